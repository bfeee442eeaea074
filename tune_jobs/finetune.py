"""Fine-tune pretrained networks, at several rates and in several ways, and say which is best."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from trainables.config import Recipe, TrialConfig, check_lr, check_positive
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import DataOptions
from tune_jobs.command_line.parser import CommandLine, parse
from tune_jobs.command_line.trial_names import lr_labels
from tune_jobs.search.options import StudyOptions, check_options, extended, search_space
from tune_jobs.search_space.defaults import finetune_space

EPOCHS = 10
REPORT_MODELS = ("resnet18", "densenet121", "googlenet")


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(StudyOptions):
    """Options of fine-tuning."""

    job = "finetune"
    models: tuple[str, ...] = REPORT_MODELS
    """Networks of torchvision by name, timm:NAME, or your own as package.module:function; the
    default ones are the report's."""
    weights: tuple[str, ...] = ("default",)
    """One for all networks, or one for each: default downloads those that a network comes with,
    none starts from scratch, and everything else is a file of safetensors or of a state dict. One
    file for several networks is of the one that is your own; the others take default."""
    lr: tuple[float, ...] = (1e-5, 1e-4, 1e-3)
    """Learning rates of a grid; 1e-5 is the report's."""
    mode: tuple[Literal["full", "probe", "gradual"], ...] = ("full",)
    """full trains all layers, probe the head alone on features that are computed once, gradual the
    head first and then all, the slower the further from the head."""
    seeds: int = 1
    """Trainings of each, with consecutive seeds; of a grid."""
    search: Literal["grid", "optuna"] = "grid"
    """grid trains every network at every rate, optuna searches rates and more of them."""
    scheduler: Literal["fifo", "asha", "hyperband", "pbt"] = "fifo"
    """fifo trains each trial to its end, asha stops those that fall behind, hyperband pauses trials
    to compare them after the same epochs, pbt (of optuna) has the worst go on as changed copies."""
    aux_loss: bool = False
    """Train GoogLeNet and Inception with their auxiliary heads too."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch normalisation as the weights have them."""
    head_epochs: int = 1
    """Of mode gradual, in which the head alone is trained."""
    layer_decay: float = 0.7
    """Of mode gradual: the rate of a stage of the network over that of the stage after it."""
    data: DataOptions = field(default_factory=lambda: DataOptions(image_size=32))

    @classmethod
    def recipes(cls) -> dict[str, Recipe]:
        """Presets for networks that have learnt already."""
        return {
            # Cross-entropy of the logits, as the report fine-tunes.
            "report": Recipe(epochs=EPOCHS, split=(0.6, 0.2, 0.2)),
            "standard": Recipe(epochs=EPOCHS, normalize="weights"),
            "fast": Recipe(
                epochs=3,
                schedule="one_cycle",
                normalize="weights",
                optimizer="adamw",
                weight_decay=0.01,
            ),
        }


def finetune() -> int:
    """The job: options, then trials, then Ray Tune. Returns the exit code."""
    command = parse(FinetuneOptions, description=__doc__)
    check_finetune(command)
    command = extended(command)
    options = command.options
    configs = {
        model: base_config(options, model, source) for model, source in weights_of(options).items()
    }
    if options.search == "grid":
        trials = grid(options, configs)
        from tune_jobs.tuning.grid import Grid
        from tune_jobs.tuning.job import run

        return run(command, Grid(trials))
    base = dataclasses.replace(configs[options.models[0]], mode=options.mode[0])
    space = search_space(command, base, finetune_space(options.models, options.mode))
    if options.space_print:
        from tune_jobs.search_space.space_file import space_yaml

        print(space_yaml(space), end="")  # noqa: T201  this is what was asked for
        return 0
    from tune_jobs.search.optuna_strategy import OptunaStrategy
    from tune_jobs.tuning.job import run

    # The first network, at the lowest rate, is no better guess than any other.
    search = OptunaStrategy(options, space, base, undecided=("model", "mode", "lr"))
    if options.data.image_size == "native" and not options.run.resume:
        check_one_size((base.model, *search.models()))
    return run(command, search)


def weights_of(options: FinetuneOptions) -> dict[str, str]:
    """What each network starts from.

    Raises:
        InputError: it is not clear which weights are of which network.
    """
    given, models = options.weights, options.models
    if len(given) == len(models):
        return dict(zip(models, given, strict=True))
    if len(given) == 1 and given[0] in ("default", "none"):
        return dict.fromkeys(models, given[0])
    own = [model for model in models if ":" in model and not model.startswith("timm:")]
    if len(given) == 1 and len(own) == 1:
        return dict.fromkeys(models, "default") | {own[0]: given[0]}
    raise InputError(
        f"--weights {' '.join(given)} is for {len(models)} networks: give default or none for "
        "all, or one entry for each, as a file is of one network"
    )


def base_config(options: FinetuneOptions, model: str, weights: str) -> TrialConfig:
    """What the trials of a network have in common."""
    return TrialConfig(
        **vars(options.training),
        lr=options.lr[0],
        seed=options.seed,
        model=model,
        model_args={"aux_loss": True} if options.aux_loss else {},
        weights=weights,
        head_epochs=options.head_epochs,
        layer_decay=options.layer_decay,
        freeze_batch_norm=options.freeze_batch_norm,
        input_size=native_size(model) if options.data.image_size == "native" else None,
    )


def native_size(model: str) -> int:
    """Pixels that the network's weights were trained on.

    Raises:
        InputError: there is no such network, or it does not say.
    """
    from trainables.models import is_registered, pretrained  # imports torch

    size = None if is_registered(model) else pretrained.input_spec(model).size
    if size is None:
        raise InputError(f"{model} has no image size of its own: give --image-size in pixels")
    return size


def check_one_size(models: Iterable[str]) -> None:
    """Raise InputError unless the weights of all networks were trained on one size of images."""
    sizes = {model: native_size(model) for model in models}
    if len(set(sizes.values())) > 1:
        own = ", ".join(f"{model} {size}" for model, size in sizes.items())
        raise InputError(
            f"--image-size native is not one size for these networks ({own}), and --search optuna "
            "trains all at one: give it in pixels, or networks of one size, or --search grid"
        )


def grid(options: FinetuneOptions, configs: dict[str, TrialConfig]) -> dict[str, TrialConfig]:
    """The trials of a grid by name, in the order they start."""
    trials, labels = {}, lr_labels(options.lr)
    for seed in range(options.seed, options.seed + options.seeds):
        for model, config in configs.items():
            for mode in options.mode:
                for lr in options.lr:
                    parts = [model.replace(":", ".").replace("/", "_"), f"lr={labels[lr]}"]
                    parts += [mode] if len(options.mode) > 1 else []
                    parts += [f"seed={seed}"] if options.seeds > 1 else []
                    trials[",".join(parts)] = dataclasses.replace(
                        config, mode=mode, lr=lr, seed=seed
                    )
    return trials


def check_finetune(command: CommandLine[FinetuneOptions]) -> None:
    """Raise InputError where an option is out of its range, or has no effect."""
    options = command.options
    check_options(options)
    check_positive("--seeds", options.seeds)
    for name in ("models", "lr", "mode"):
        values = getattr(options, name)
        if not values:
            raise InputError(f"--{name} is empty: give one or more")
        for value, times in Counter(values).items():
            if times > 1:
                raise InputError(f"--{name} has {value} {times} times: once is enough")
    for lr in options.lr:
        check_lr(lr)
    if options.search == "optuna" and len(set(weights_of(options).values())) > 1:
        raise InputError(
            f"--weights {' '.join(options.weights)}: --search optuna starts all networks alike; "
            "give one of them, or --search grid"
        )
    if options.search == "grid":
        if options.extend:
            raise InputError(
                f"--extend {options.extend} is of a search, and a grid has all its trials from the "
                "start: leave it out, or start another run for more"
            )
        defaults = StudyOptions()
        for f in dataclasses.fields(StudyOptions):
            own = f.name in ("seed", "scheduler", "recipe", "training", "data", "run", "force")
            if not own and getattr(options, f.name) != getattr(defaults, f.name):
                raise InputError(
                    f"--{f.name.strip('_').replace('_', '-')} is an option of a search: add "
                    "--search optuna, or leave it out"
                )
        if options.scheduler == "pbt":
            raise InputError("--scheduler pbt needs --search optuna, which draws the changes")
    elif "lr" in command.given and len(options.lr) > 1:
        raise InputError("--search optuna draws rates: give one --lr to fix it, or leave it out")
    elif options.seeds > 1:
        raise InputError("--seeds is an option of a grid: leave it out, or --search grid")


if __name__ == "__main__":
    main(finetune)
