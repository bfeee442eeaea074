import copy

import pytest

from trainables.errors import InputError
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.run_folder.provenance import wall_seconds
from tune_jobs.tuning.run_json import resumed_record

RECORD = {
    "format": 1,
    "job": "finetune",
    "started": "2026-01-01T00:00:00+00:00",
    "status": "interrupted",
    "resumed": [],
    "options": {"data": {}, "run": {}, "training": {}},
    "dataset": {"name": "digits", "source_fingerprint": "images"},
    "split": {"fingerprint": "split"},
    "weights": {"resnet18": "weights"},
}


def written(path, record):
    folder = RunFolder.at(path)
    folder.write_json(RUN_FILE, record)
    return folder


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("dataset", {"source_fingerprint": "others"}),
        ("split", {"fingerprint": "others"}),
        ("weights", {"resnet18": "others"}),
    ],
)
def test_a_run_is_resumed_with_the_images_the_split_and_the_weights_it_began_with(
    part, change, tmp_path
):
    folder = written(tmp_path, RECORD)
    assert resumed_record(folder, copy.deepcopy(RECORD))["status"] == "running"
    with pytest.raises(InputError, match="start another run"):
        resumed_record(folder, RECORD | {part: RECORD[part] | change})


@pytest.mark.parametrize("part", ["dataset", "split"])
def test_a_run_that_has_no_fingerprint_of_its_own_is_resumed(part, tmp_path):
    resumed_record(written(tmp_path, RECORD | {part: {}}), RECORD)


def test_pauses_do_not_count_as_wall_time_unless_a_kill_hides_when_they_began(tmp_path):
    def resume(name, record, at):
        new = RECORD | {"started": f"2026-01-01T0{at}:00:00+00:00"}
        (tmp_path / name).mkdir(exist_ok=True)
        return resumed_record(written(tmp_path / name, record), new)

    ended = {"ended": "2026-01-01T01:00:00+00:00"}
    once = resume("once", RECORD | ended, at=3) | {"ended": "2026-01-01T05:00:00+00:00"}
    assert wall_seconds(once) == (1 + 2) * 3600
    twice = resume("twice", once, at=7)
    assert wall_seconds(twice) is None  # as it has not ended
    assert wall_seconds(twice | {"ended": "2026-01-01T08:00:00+00:00"}) == (1 + 2 + 1) * 3600
    assert wall_seconds(once | {"resumed": [once["started"], *once["resumed"]]}) is None
    killed = resume("killed", RECORD, at=3) | {"ended": "2026-01-01T05:00:00+00:00"}
    assert wall_seconds(killed) is None
