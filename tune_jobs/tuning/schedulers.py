"""Build the Ray Tune scheduler named on the command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from trainables.target import TARGETS
from tune_jobs.command_line.options import JobOptions
from tune_jobs.ray_runtime.tune_internals import HyperBand
from tune_jobs.run_folder.records import EpochRow

REDUCTION = 3
"""Reduction factor of successive halving: one of this many trials passes each rung."""
NO_CONTROLLER: Any = None
"""Stands in for the Tune controller, which ASHA does not use."""


def build_scheduler(
    options: JobOptions, epochs_before: dict[str, dict[int, EpochRow]]
) -> TrialScheduler:
    """Return FIFO, or successive halving in which a third of the trials passes each rung.

    ASHA (Li et al. 2020) decides as soon as a trial reaches a rung; HyperBand (Li et al. 2018)
    pauses trials until all trials of a bracket have reached it.

    Args:
        options: options of the job.
        epochs_before: epochs recorded by earlier drivers of the run, by trial and epoch. ASHA
            starts with the rungs that these fill.
    """
    epochs, target = options.training.epochs, TARGETS[options.training.metric]
    common: dict[str, Any] = {
        "time_attr": "epoch", "metric": target.column, "mode": target.mode, "max_t": epochs,
        "reduction_factor": REDUCTION,
    }  # fmt: skip
    if options.scheduler == "asha":
        asha = ASHAScheduler(grace_period=grace_period(epochs), **common)
        for name, rows in epochs_before.items():
            trial: Any = SimpleNamespace(trial_id=name)  # all that ASHA reads of a trial
            asha.on_trial_add(NO_CONTROLLER, trial)
            for epoch, row in sorted(rows.items()):
                score = row[target.column]  # type: ignore[literal-required]
                asha.on_trial_result(NO_CONTROLLER, trial, {"epoch": epoch, target.column: score})
        return asha
    if options.scheduler == "hyperband":
        return HyperBand(**common)
    return FIFOScheduler()


def grace_period(epochs: int) -> int:
    """Return the epochs before the first rung; with 9 epochs or more there are three rungs."""
    return max(1, epochs // REDUCTION**2)
