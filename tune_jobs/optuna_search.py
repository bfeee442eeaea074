"""Search for the best hyperparameters with Optuna, and stop trials that fall behind early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import TrialConfig
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import CommandLine, parse
from tune_jobs.search.options import StudyOptions, apply_extend, check_options, search_space
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space_file import space_yaml
from tune_jobs.tuning.before_ray import PreparedJob, start

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages
    from tune_jobs.tuning.strategy import Strategy

DEFAULT_LR = 1e-3
"""Learning rate of the first trial."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(StudyOptions):
    """Options of a search over one network."""

    job = "optuna-search"
    first_options = (*StudyOptions.first_options, "model", "trials", "max_time")
    model: str = "cnn"
    """Network: cnn, a torchvision name, timm:NAME, package.module:function.
    Its initial weights are random; the job finetune uses pretrained ones."""


def prepare(command: CommandLine[SearchOptions]) -> PreparedJob:
    """Check the options, and return the job.

    Raises:
        InputError: an option or the search space is invalid.
    """
    command = apply_extend(command)
    options = command.options
    check_options(options)
    base = TrialConfig(
        **vars(options.training),
        lr=DEFAULT_LR,
        seed=options.seed,
        model=options.model,
    )
    space = search_space(command, base, default_space(options.model))

    def strategy(images: FoundImages) -> Strategy:
        from tune_jobs.search.optuna_strategy import OptunaStrategy

        return OptunaStrategy(options, space, {base.model: base}, images)

    text = space_yaml(space) if options.space_print else None
    return PreparedJob(command, strategy, ("tune_jobs.search.optuna_strategy",), text)


def optuna_search() -> int:
    """Run the job, and return its exit code."""
    return start(prepare, parse(SearchOptions, description=__doc__))


if __name__ == "__main__":
    main(optuna_search)
