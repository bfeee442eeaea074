"""Train the custom CNN at several learning rates and show which is best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.config import TrialConfig, check_lr, check_positive
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine, parse
from tune_jobs.command_line.trial_names import number_labels
from tune_jobs.tuning.before_ray import PreparedJob, start

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages
    from tune_jobs.tuning.strategy import Strategy


@dataclass(frozen=True, kw_only=True)
class GridOptions(JobOptions):
    """Options of the job."""

    job = "lr-grid"
    extended_by = ("lr",)
    first_options = (*JobOptions.first_options, "lr", "seeds")
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


def prepare(command: CommandLine[GridOptions]) -> PreparedJob:
    """Check the options, and return the job; errors are those of `grid`."""
    trials = grid(command.options)

    def strategy(images: FoundImages) -> Strategy:
        from tune_jobs.tuning.grid import Grid
        from tune_jobs.tuning.sizes import sizes_of_grid

        return Grid(sizes_of_grid(trials, images))

    return PreparedJob(command, strategy)


def lr_grid() -> int:
    """Run the job, and return its exit code."""
    return start(prepare, parse(GridOptions, description=__doc__))


if __name__ == "__main__":
    main(lr_grid)
