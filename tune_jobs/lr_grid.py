"""Train one model at several learning rates, and say which is best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from trainables.config import TrialConfig, check_lr, check_positive
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import parse
from tune_jobs.command_line.trial_names import lr_labels
from tune_jobs.ray_runtime.early_start import ray_while_importing


@dataclass(frozen=True, kw_only=True)
class GridOptions(JobOptions):
    """Options of the grid."""

    job = "lr-grid"
    lr: tuple[float, ...] = (1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1)
    """Learning rates; the default ones are the report's."""
    seed: int = 0
    """Of the first training at each rate."""
    seeds: int = 1
    """Trainings at each rate, with consecutive seeds."""
    scheduler: Literal["fifo", "asha", "hyperband"] = "fifo"
    """fifo trains each trial to its end, asha stops those that fall behind, hyperband pauses trials
    to compare them after the same epochs."""


def grid(options: GridOptions) -> dict[str, TrialConfig]:
    """The trials of a grid by name, in the order they start.

    Raises:
        InputError: a rate is not a positive number or stands there twice, or there is none.
    """
    for lr in options.lr:
        check_lr(lr)
    for lr, times in Counter(options.lr).items():
        if times > 1:
            raise InputError(f"learning rate {lr:g} is given {times} times: once is enough")
    if not options.lr:
        raise InputError("--lr is empty: give one rate or more, e.g. --lr 1e-4 1e-3")
    check_positive("--seeds", options.seeds)
    labels = lr_labels(options.lr)
    return {
        f"lr={labels[lr]}" + (f",seed={seed}" if options.seeds > 1 else ""): TrialConfig(
            **vars(options.training), lr=lr, seed=seed
        )
        for seed in range(options.seed, options.seed + options.seeds)
        for lr in options.lr
    }


def lr_grid() -> int:
    """The job: options, then trials, then Ray Tune. Returns the exit code."""
    command = parse(GridOptions, description=__doc__)
    trials = grid(command.options)
    with ray_while_importing(command.options.run.address):
        from tune_jobs.tuning.grid import Grid
        from tune_jobs.tuning.job import run

        return run(command, Grid(trials))


if __name__ == "__main__":
    main(lr_grid)
