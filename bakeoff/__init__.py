"""The jobs of bakeoff as functions, for notebooks and scripts, and their results as data frames.

    import bakeoff

    grid = bakeoff.lr_grid(data="photos/", lr=[1e-3, 3e-4], epochs=10)
    tuned = bakeoff.finetune(data="photos/", models=["resnet18"], mode="probe")
    comparison = bakeoff.compare(grid, tuned)
    answers = bakeoff.predict("more-photos/", model=comparison)

The functions take the options of the command line by their names with underscores, and check them
as it does: what is wrong raises InputError. Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakeoff.comparison import Comparison
from bakeoff.jobs import compare, finetune, lr_grid, predict, search, shortlist
from bakeoff.run import Run
from trainables.errors import InputError
from tune_jobs.command_line.invocation import JOBS

if TYPE_CHECKING:
    from tune_jobs.analysis.results import (
        load_attribution,
        load_comparison,
        load_doubtful_labels,
        load_epochs,
        load_front,
        load_learning_curve,
        load_predictions,
        load_robustness,
        load_runs,
        load_shortlist,
        load_trials,
    )

__all__ = [
    "Comparison",
    "InputError",
    "Run",
    "compare",
    "finetune",
    "load_attribution",
    "load_comparison",
    "load_doubtful_labels",
    "load_epochs",
    "load_front",
    "load_learning_curve",
    "load_predictions",
    "load_robustness",
    "load_runs",
    "load_shortlist",
    "load_trials",
    "lr_grid",
    "predict",
    "search",
    "shortlist",
]


def __getattr__(name: str) -> Any:
    """Import the loaders when they are asked for, as pandas takes time to import."""
    if name.startswith("load_") and name in __all__:
        from tune_jobs.analysis import results

        return getattr(results, name)
    if (job := name.replace("_", "-")) in JOBS:
        raise AttributeError(f"{name} is a job of the command line alone: bakeoff {job} --help")
    raise AttributeError(f"module 'bakeoff' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what notebooks complete."""
    return __all__
