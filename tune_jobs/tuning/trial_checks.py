"""Checks of the trials of a run, before anything is written."""

from __future__ import annotations

import torch

from trainables.class_weights import class_weights
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import build_model
from trainables.models.heads import find_head, linear_head
from trainables.models.lora import layers_to_adapt
from trainables.models.own_networks import loads_weights
from trainables.models.stochastic_depth import set_drop_path
from trainables.models.weights import Weights, load_weights
from trainables.preparation import check_normalization
from trainables.trial_images import TrialImages
from trainables.trust import is_own
from tune_jobs.analysis.formatting import class_counts
from tune_jobs.tuning.found_images import FoundImages
from tune_jobs.tuning.tuner import parameters_at


def check_models(examples: list[TrialConfig], found: FoundImages) -> None:
    """Build the networks of some trials, before images are decoded, which may take long.

    Raises:
        InputError: a network is unknown, cannot be built, or has no normalisation of its own.
    """
    for config in examples:
        check_normalization(config)
        size = config.network_size(found.stored_size or 0)
        if size:  # else it is that of the images, which are as small as they are
            parameters_at(config, len(found.listing.classes), size)


def own_weights_notes(examples: list[TrialConfig], num_classes: int) -> list[str]:
    """Return a sentence on each network of --weights none that does not start from random weights.

    Args:
        examples: configurations of some trials.
        num_classes: number of classes.
    """
    own = {c.model for c in examples if c.weights == "none" and is_own(c.model)}
    return [
        f"{name} has the same weights whatever the seed when it is built, so that it loads weights "
        "of its own: they are not random, as --weights none asks for"
        for name in sorted(own)
        if loads_weights(name, num_classes)
    ]


def check_weights(
    weights: dict[str, Weights], data: TrialImages, examples: list[TrialConfig]
) -> None:
    """Check that pretrained weights fit their networks, and that modes can be applied to them.

    Args:
        weights: pretrained weights by model; models with random initial weights are not in it.
        data: training and validation images of the run.
        examples: configurations of some trials.

    Raises:
        InputError: weights do not fit, or a network has no layers that its mode needs.
    """
    for config in {config.model: config for config in examples}.values():
        if config.model not in weights:
            continue
        size = data.network_size(config)
        model = build_model(config.model, len(data.classes), size, **config.build_args)
        load_weights(model, config.model, size, weights[config.model])
        modes = {c.mode for c in examples if c.model == config.model}
        if "probe" in modes:
            linear_head(model, config.model, size)
        if "lora" in modes:
            head = find_head(model, config.model, size)
            layers_to_adapt(model, config.model, head, size)


def check_loss_weights(config: TrialConfig, data: TrialImages) -> None:
    """Raise InputError unless --class-weights names the classes of the images."""
    class_weights(config.class_weights, class_counts(data.train_labels, data.classes), data.classes)


def check_drop_path(config: TrialConfig, data: TrialImages) -> None:
    """Raise InputError if --drop-path has no effect on the network of a trial."""
    if config.drop_path is None:
        return
    with torch.device("meta"):
        size = data.network_size(config)
        model = build_model(config.model, len(data.classes), size, **config.build_args)
    if not set_drop_path(model, config.drop_path):
        raise InputError(
            f"--drop-path {config.drop_path}: {config.model} has no stochastic depth: leave it "
            "out, or use a network with it, such as convnext_tiny or timm's vision transformers"
        )
