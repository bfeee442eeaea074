"""Results written when a run ends: best/, curves.png and the final run.json."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from safetensors.torch import save

from trainables.config import TrialConfig
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS, describe_model
from trainables.status import TrialStatus
from trainables.target import ACCURACY, TARGETS
from trainables.trial_images import TrialImages
from tune_jobs.analysis.results import load_epochs
from tune_jobs.run_folder.checkpoints import best_weights
from tune_jobs.run_folder.folder import BEST_FOLDER, CURVES_FILE, RUN_FILE, RunFolder
from tune_jobs.run_folder.provenance import now
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.run_folder.schema import members_of, merit
from tune_jobs.run_folder.settings import eligible
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.strategy import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 20
"""Maximum number of trials for which curves.png is drawn."""


def finish(run: Run, record: RunRecord) -> None:
    """Write best/ and curves.png from the tables of a run, and complete run.json."""
    folder, recorder = run.folder, run.recorder
    best = best_row(recorder, run.options.has_seeds)
    if best is not None:
        write_best(folder, best, recorder.configs[best["trial"]], run.data, record)
        if len(recorder.rows) <= MOST_CURVES:
            from tune_jobs.analysis.curves import (  # imports matplotlib
                curves_info,
                has_curves,
                plot_curves,
            )

            epochs = load_epochs(folder.uri)
            if has_curves(epochs):
                write_figure(folder, CURVES_FILE, plot_curves(curves_info(epochs)))
    unfinished = any(TrialStatus(row["status"]).is_open for row in recorder.rows.values())
    record |= {"status": "interrupted" if unfinished else "finished", "ended": now()}
    folder.write_json(RUN_FILE, record)


def write_figure(folder: RunFolder, name: str, figure: Figure) -> None:
    """Write a figure as a PNG file."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120)
    folder.write(name, picture.getvalue())


def best_row(recorder: Recorder, seeds: bool = False) -> TrialRow | None:
    """Return the trial that is best by the metric of the run; ties go to the lower loss.

    Trials that violate a constraint are left out.

    Args:
        recorder: tables of the run.
        seeds: whether each setting was trained with several random seeds; the trial is then one of
            the setting with the best mean.
    """
    rows = list(recorder.rows.values())
    metrics = {name: TARGETS[config.metric] for name, config in recorder.configs.items()}
    if seeds and rows:
        rows = eligible(rows, recorder.configs, metrics[rows[0]["trial"]])
    scored = [row for row in rows if row.get("checkpoint") and recorder.feasible(row) is not False]
    return max(scored, key=lambda row: merit(row, metrics[row["trial"]]), default=None)


def write_best(
    folder: RunFolder,
    row: TrialRow,
    config: TrialConfig,
    images: TrialImages,
    record: RunRecord,
) -> None:
    """Write best/: the weights, and everything needed to rebuild the model without the run."""
    best = folder.child(BEST_FOLDER)
    best.make()
    assert row["checkpoint"] is not None  # best_row returns only trials that have one
    data = images.training_data(config)
    state = best_weights(folder, row["checkpoint"], config, len(data.classes), data.image_size)
    weights = save({name: tensor.contiguous() for name, tensor in state.items()})
    best.write(MODEL_WEIGHTS, weights)
    best.write_json(
        MODEL_FILE,
        {
            **describe_model(config, data, weights, images.images.how),
            "trial": row["trial"],
            "epoch": row.get("best/epoch"),
            "members": members_of(row),
            "metric": config.metric,
            **{target.column: row[target.best] for target in (ACCURACY, TARGETS[config.metric])},  # type: ignore[literal-required]
            "dataset": record["dataset"]["fingerprint"],
        },
    )
