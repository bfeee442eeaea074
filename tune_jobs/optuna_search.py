"""Search for the best hyperparameters with Optuna, and stop trials that fall behind early."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.config import TrialConfig
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse
from tune_jobs.ray_runtime.early_start import ray_while_importing
from tune_jobs.search.options import StudyOptions, apply_extend, check_options, search_space
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space_file import space_yaml
from tune_jobs.tuning.before_ray import find_before_ray

DEFAULT_LR = 1e-3
"""Learning rate of the first trial."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(StudyOptions):
    """Options of a search over one network."""

    job = "optuna-search"
    model: str = "cnn"
    """Network: cnn, a torchvision name, timm:NAME, package.module:function.
    Its initial weights are random; the job finetune uses pretrained ones."""


def optuna_search() -> int:
    """Run the job, and return its exit code."""
    command = apply_extend(parse(SearchOptions, description=__doc__))
    options = command.options
    check_options(options)
    base = TrialConfig(
        **vars(options.training),
        lr=DEFAULT_LR,
        seed=options.seed,
        model=options.model,
    )
    space = search_space(command, base, default_space(options.model))
    if options.space_print:
        print(space_yaml(space), end="")  # noqa: T201  the requested output
        return 0
    found = find_before_ray(options)
    with ray_while_importing(
        options.run.address, "tune_jobs.search.optuna_strategy", preload=options.run.fills_machine
    ):
        from tune_jobs.search.optuna_strategy import OptunaStrategy
        from tune_jobs.tuning.job import run

        bases = {base.model: base}
        return run(command, lambda images: OptunaStrategy(options, space, bases, images), found)


if __name__ == "__main__":
    main(optuna_search)
