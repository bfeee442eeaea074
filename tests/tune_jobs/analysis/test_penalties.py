import pandas as pd
import pytest

from trainables.target import ACCURACY
from tune_jobs.analysis.penalties import penalties_info, plot_penalties


def probes(*rows):
    columns = ("trial", "config/mode", "config/penalty", ACCURACY.best)
    return pd.DataFrame(rows, columns=list(columns))


PATHS = probes(
    ("a,penalty=1,size=96", "probe", 1.0, 0.5),
    ("a,penalty=0.1,size=96", "probe", 0.1, 0.6),
    ("b,penalty=1", "probe", 1.0, 0.4),
    ("b,penalty=0.1", "probe", 0.1, 0.3),
    ("b,penalty=0.01", "probe", 0.01, None),
    ("c,penalty=1", "probe", 1.0, 0.9),
    ("d", "full", None, 0.9),
)


def test_each_backbone_has_a_path_of_its_scored_penalties():
    info = penalties_info(PATHS, ACCURACY)
    assert {name: path.x for name, path in info.paths.items()} == {
        "a,size=96": [0.1, 1.0], "b": [0.1, 1.0]}  # fmt: skip
    assert info.paths["a,size=96"].y == pytest.approx([60, 50])
    (ax,) = plot_penalties(info).axes
    assert [line.get_ydata().tolist() for line in ax.lines] == [p.y for p in info.paths.values()]


def test_other_runs_have_none():
    assert penalties_info(PATHS[PATHS["config/mode"] == "full"], ACCURACY) is None
    assert penalties_info(pd.DataFrame(), ACCURACY) is None
