"""Fine-tune pretrained networks over a grid or an Optuna search, and report the best trial."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from trainables.config import (
    TrialConfig,
    check_lr,
    check_penalty,
    check_positive,
    file_stem,
)
from trainables.errors import InputError
from trainables.trust import is_own
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import CommandLine, parse
from tune_jobs.command_line.probe_options import refuse_training_options
from tune_jobs.command_line.trial_names import number_labels
from tune_jobs.ranking.chosen import chosen_networks
from tune_jobs.search.finetune_options import FinetuneOptions
from tune_jobs.search.options import StudyOptions, apply_extend, check_options, search_space
from tune_jobs.search_space.defaults import finetune_space
from tune_jobs.search_space.published import published_settings
from tune_jobs.search_space.space_file import space_yaml
from tune_jobs.tuning.before_ray import PreparedJob, start

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages
    from tune_jobs.tuning.strategy import Strategy

GRID_OPTIONS = {"seed", "scheduler", "recipe", "training", "data", "run", "from_", "force"}
"""Options of a search that a grid has too."""


def prepare(command: CommandLine[FinetuneOptions]) -> PreparedJob:
    """Check the options, and return the job.

    Raises:
        InputError: an option, the shortlist or the search space is invalid.
    """
    check_finetune(command)
    command = apply_extend(command)
    options = command.options
    if chosen := chosen_networks(command, options.from_, options.top, options.search):
        options = dataclasses.replace(options, models=chosen[0], data=chosen[1])
        command = command.with_options(options)
    configs = {
        model: base_config(options, model, source) for model, source in weights_of(options).items()
    }
    if options.search == "grid":
        trials = grid(options, configs)

        def grid_strategy(images: FoundImages) -> Strategy:
            from tune_jobs.tuning.grid import Grid
            from tune_jobs.tuning.sizes import sizes_of_grid

            return Grid(sizes_of_grid(trials, images))

        return PreparedJob(command, grid_strategy)
    # The settings of the recipe, which the search begins with, are those of training steps.
    mode = next((mode for mode in options.mode if mode != "probe"), "probe")
    bases = {
        model: config.as_probe() if mode == "probe" else config.replaced(mode=mode)
        for model, config in configs.items()
    }
    base = bases[options.models[0]]
    space = search_space(command, base, finetune_space(options.models, options.mode))

    def search_strategy(images: FoundImages) -> Strategy:
        from tune_jobs.search.optuna_strategy import OptunaStrategy

        # The first network, mode and learning rate are no better guesses than any other.
        undecided = "model", "mode", "lr"
        first = published_settings(space, bases, options.trials)
        return OptunaStrategy(options, space, bases, images, undecided, first)

    text = space_yaml(space) if options.space_print else None
    return PreparedJob(command, search_strategy, ("tune_jobs.search.optuna_strategy",), text)


def finetune() -> int:
    """Run the job, and return its exit code."""
    return start(prepare, parse(FinetuneOptions, description=__doc__))


def weights_of(options: FinetuneOptions) -> dict[str, str]:
    """Return the initial weights of each network: default, none or a file.

    Raises:
        InputError: the assignment of --weights to networks is ambiguous.
    """
    weights, models = options.weights, options.models
    if len(weights) == len(models):
        return dict(zip(models, weights, strict=True))
    if len(weights) == 1 and weights[0] in ("default", "none"):
        return dict.fromkeys(models, weights[0])
    own = [model for model in models if is_own(model)]
    if len(weights) == 1 and len(own) == 1:
        return dict.fromkeys(models, "default") | {own[0]: weights[0]}
    raise InputError(
        f"--weights {' '.join(weights)} cannot be assigned to {len(models)} networks, as a file "
        "fits only one: give default or none for all, or one entry for each"
    )


def base_config(options: FinetuneOptions, model: str, weights: str) -> TrialConfig:
    """Return the configuration that the trials of a network share."""
    return TrialConfig(
        **vars(options.training),
        lr=options.lr[0],
        seed=options.seed,
        model=model,
        model_args={"aux_loss": True} if options.aux_loss else {},
        weights=weights,
        head_epochs=options.head_epochs,
        layer_decay=options.layer_decay,
        lora_rank=options.lora_rank,
        freeze_batch_norm=options.freeze_batch_norm,
    )


def grid(options: FinetuneOptions, configs: dict[str, TrialConfig]) -> dict[str, TrialConfig]:
    """Return the configurations of the grid by trial name, in the order of their start."""
    trials, labels = {}, number_labels((*options.lr, *options.penalty))
    for seed in range(options.seed, options.seed + options.seeds):
        for model, config in configs.items():
            for mode in options.mode:
                suffix: list[str] = [mode] if len(options.mode) > 1 else []
                if mode == "probe":
                    for penalty in options.penalty if seed == options.seed else ():
                        name = ",".join([file_stem(model), f"penalty={labels[penalty]}", *suffix])
                        trials[name] = dataclasses.replace(config, seed=seed).as_probe(penalty)
                    continue
                suffix += [f"seed={seed}"] if options.seeds > 1 else []
                for lr in options.lr:
                    name = ",".join([file_stem(model), f"lr={labels[lr]}", *suffix])
                    trials[name] = config.replaced(mode=mode, lr=lr, seed=seed)
    return trials


def check_finetune(command: CommandLine[FinetuneOptions]) -> None:
    """Raise InputError if an option is out of range or has no effect."""
    options = command.options
    check_options(options)
    check_positive("--seeds", options.seeds)
    check_modes(command)
    for name in ("models", "lr", "penalty", "mode"):
        values = getattr(options, name)
        if not values:
            raise InputError(f"--{name} is empty: give one or more")
        for value, times in Counter(values).items():
            if times > 1:
                raise InputError(
                    f"--{name} has {value} {times} times, and values must be unique: give it once"
                )
    for lr in options.lr:
        check_lr(lr)
    for penalty in options.penalty:
        check_penalty(penalty)
    if options.search == "optuna" and len(set(weights_of(options).values())) > 1:
        raise InputError(
            f"--weights {' '.join(options.weights)} differ, and --search optuna needs the same "
            "value for all networks: give one value, or use --search grid"
        )
    if options.search == "grid":
        if options.extend:
            raise InputError(
                f"--extend {options.extend} applies to --search optuna only, as a grid has all its "
                "trials from the start: leave it out, or start another run with more values"
            )
        defaults = StudyOptions()
        if options.objective == options.training.metric:  # runs of version 0.1 stored it by name
            defaults = StudyOptions(objective=options.objective)
        for f in dataclasses.fields(StudyOptions):
            given = getattr(options, f.name) != getattr(defaults, f.name)
            if given and f.name not in GRID_OPTIONS:
                raise InputError(
                    f"--{f.name.strip('_').replace('_', '-')} applies to --search optuna only: add "
                    "--search optuna, or leave it out"
                )
        if options.scheduler == "pbt":
            raise InputError(
                "--scheduler pbt changes the settings that a search varies, and a grid has none: "
                "add --search optuna, or use --scheduler asha"
            )
    elif "lr" in command.given_options and len(options.lr) > 1:
        raise InputError(
            f"--lr {' '.join(map(str, options.lr))} is a grid, and --search optuna samples the "
            "learning rate: give one --lr to fix it, or leave it out"
        )
    elif options.seeds > 1:
        raise InputError(
            f"--seeds {options.seeds} applies to --search grid only: add that, or leave --seeds out"
        )


def check_modes(command: CommandLine[FinetuneOptions]) -> None:
    """Raise InputError if an option was given that has no effect in any mode of the run."""
    given, modes = command.given_options, command.options.mode
    for name, mode in (("penalty", "probe"), ("head_epochs", "gradual"), ("lora_rank", "lora")):
        if name in given and mode not in modes:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option} applies to --mode {mode} only, and --mode is {' '.join(modes)}: add "
                f"{mode}, or leave {option} out"
            )
    if set(modes) == {"probe"}:
        refuse_training_options(given, "--mode probe", "leave it out, or add another mode")


if __name__ == "__main__":
    main(finetune)
