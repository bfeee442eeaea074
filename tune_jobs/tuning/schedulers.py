"""Schedulers of Ray Tune by the name they have on the command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from trainables.metrics import TARGET
from tune_jobs.command_line.options import JobOptions
from tune_jobs.ray_runtime.ray_internals import HyperBand
from tune_jobs.run_folder.records import EpochRow

REDUCTION = 3
"""One of so many trials goes on at each rung."""
NO_CONTROLLER: Any = None
"""ASHA does not look at it."""


def build_scheduler(
    options: JobOptions, epochs_before: dict[str, dict[int, EpochRow]]
) -> TrialScheduler:
    """FIFO, or successive halving with a third of the trials going on at each rung.

    ASHA (Li et al. 2020) decides when a trial gets to a rung; HyperBand (Li et al. 2018) pauses
    trials until all of a bracket have got there.

    Args:
        options: of the job.
        epochs_before: what earlier drivers of the run have seen, by trial and epoch. ASHA goes on
            with the rungs that make of it.
    """
    epochs = options.training.epochs
    common: dict[str, Any] = {
        "time_attr": "epoch", "metric": TARGET, "mode": "max", "max_t": epochs,
        "reduction_factor": REDUCTION,
    }  # fmt: skip
    if options.scheduler == "asha":
        asha = ASHAScheduler(grace_period=grace_period(epochs), **common)
        for name, rows in epochs_before.items():
            trial: Any = SimpleNamespace(trial_id=name)  # all that ASHA wants to know of it
            asha.on_trial_add(NO_CONTROLLER, trial)
            for epoch, row in sorted(rows.items()):
                asha.on_trial_result(
                    NO_CONTROLLER, trial, {"epoch": epoch, TARGET: row["val_accuracy"]}
                )
        return asha
    if options.scheduler == "hyperband":
        return HyperBand(**common)
    return FIFOScheduler()


def grace_period(epochs: int) -> int:
    """Epochs before the first rung, for three rungs where there are enough."""
    return max(1, epochs // REDUCTION**2)
