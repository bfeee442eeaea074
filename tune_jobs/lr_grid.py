"""Train the custom CNN at several learning rates and show which is best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from trainables.config import TrialConfig, check_lr, check_positive
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import parse
from tune_jobs.command_line.trial_names import number_labels
from tune_jobs.ray_runtime.early_start import ray_while_importing
from tune_jobs.tuning.before_ray import find_before_ray


@dataclass(frozen=True, kw_only=True)
class GridOptions(JobOptions):
    """Options of the job."""

    job = "lr-grid"
    extended_by = ("lr",)
    lr: tuple[float, ...] = (1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1)
    """Learning rates, above 0. The defaults are those of the student report."""
    seed: int = 0
    """First random seed. With --seeds N, N consecutive seeds are used."""
    seeds: int = 1
    """Number of random seeds per learning rate. Each is a trial of its own."""
    extend: bool = False
    """Train the finished run --name at the learning rates of --lr too."""
    scheduler: Literal["fifo", "asha", "hyperband"] = "fifo"
    """Scheduler: fifo trains every trial for all epochs, asha stops trials
    that fall behind, hyperband pauses trials to compare them at the same
    epoch."""


def grid(options: GridOptions) -> dict[str, TrialConfig]:
    """Return the trial configurations of a grid by name, in the order in which they start.

    Raises:
        InputError: a learning rate is not above zero or is given twice, or there is none.
    """
    for lr in options.lr:
        check_lr(lr)
    for lr, times in Counter(options.lr).items():
        if times > 1:
            raise InputError(f"learning rate {lr:g} is given {times} times in --lr: give it once")
    if not options.lr:
        raise InputError("--lr is empty: give at least one learning rate, e.g. --lr 1e-4 1e-3")
    check_positive("--seeds", options.seeds)
    labels = number_labels(options.lr)
    return {
        f"lr={labels[lr]}" + (f",seed={seed}" if options.seeds > 1 else ""): TrialConfig(
            **vars(options.training), lr=lr, seed=seed
        )
        for seed in range(options.seed, options.seed + options.seeds)
        for lr in options.lr
    }


def lr_grid() -> int:
    """Run the job: parse options, make the trials, and train them. Return the exit code."""
    command = parse(GridOptions, description=__doc__)
    trials = grid(command.options)
    found = find_before_ray(command.options)
    with ray_while_importing(
        command.options.run.address, preload=command.options.run.fills_machine
    ):
        from tune_jobs.tuning.grid import Grid
        from tune_jobs.tuning.job import run
        from tune_jobs.tuning.sizes import sizes_of_grid

        return run(command, lambda images: Grid(sizes_of_grid(trials, images)), found)


if __name__ == "__main__":
    main(lr_grid)
