"""Names of models as people write them: ResNet18, ImageNet weights, 224 px, head only."""

from __future__ import annotations

import re
from pathlib import Path

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import is_registered
from trainables.models.timm_networks import config_of, is_timm

SPELLINGS = {
    "alexnet": "AlexNet", "beit": "BEiT", "clip": "CLIP", "convnext": "ConvNeXt", "deit": "DeiT",
    "densenet": "DenseNet", "dino": "DINO", "dinov2": "DINOv2", "dinov3": "DINOv3",
    "efficientnet": "EfficientNet", "eva": "EVA", "googlenet": "GoogLeNet", "hrnet": "HRNet",
    "inception": "Inception", "maxvit": "MaxViT", "mnasnet": "MNASNet", "mobilenet": "MobileNet",
    "mobilevit": "MobileViT", "regnet": "RegNet", "resnet": "ResNet", "resnext": "ResNeXt",
    "seresnet": "SE-ResNet", "seresnext": "SE-ResNeXt", "shufflenet": "ShuffleNet",
    "siglip": "SigLIP", "squeezenet": "SqueezeNet", "swin": "Swin", "vgg": "VGG", "vit": "ViT",
    "wide": "Wide", "xception": "Xception",
}  # fmt: skip
"""Beginnings of the words of architecture names, as their authors write them."""
DATASETS = {
    "in22k": "ImageNet-22k", "in21k": "ImageNet-21k", "in12k": "ImageNet-12k", "in1k": "ImageNet",
}  # fmt: skip
"""Parts of the tags of timm's weights -> the images that they were trained on, largest first."""
MODES = {"probe": "head only", "lora": "LoRA"}
"""Fine-tuning modes that do not train all layers, in words."""
DECIMAL = re.compile(r"(?<=[a-z_])(\d)_(?=\d(?!\d))")
"""The underscore that stands for a decimal point, as in mnasnet0_5."""


def is_custom(config: TrialConfig) -> bool:
    """Return whether the network is the user's own rather than a published architecture."""
    own = ":" in config.model and not is_timm(config.model)
    return is_registered(config.model) or (own and config.weights == "none")


def display_name(config: TrialConfig, size: int, qualified: bool = False, averaged: int = 1) -> str:
    """Return the name of a model in tables and figures, from the configuration of its trial.

    Args:
        config: configuration of the trial.
        size: height and width of the network inputs in pixels; 0 if unknown.
        qualified: name the module or the tag of the network too.
        averaged: number of trainings whose weights are averaged.
    """
    parts = [network_name(config.model, qualified)]
    if is_custom(config):
        parts[0] = f"custom {parts[0]}"
    elif config.weights == "none":
        parts[0] += " from scratch"
    else:
        parts.append(f"{weights_name(config)} weights")
    if size:
        parts.append(f"{size} px")
    if config.mode in MODES:
        parts.append(MODES[config.mode])
    if averaged > 1:
        parts.append(f"average of {averaged} trainings")
    return ", ".join(parts)


def short_name(config: TrialConfig, qualified: bool = False) -> str:
    """Return the name of a model in sentences: pretrained ResNet18, custom CNN.

    Arguments are the same as for `display_name`.
    """
    network = network_name(config.model, qualified)
    if is_custom(config):
        return f"custom {network}"
    return f"{network} from scratch" if config.weights == "none" else f"pretrained {network}"


def network_name(model: str, qualified: bool = False) -> str:
    """Return the name of a network: that of its architecture, or nets:net of a function net.

    Args:
        model: model name of a configuration.
        qualified: add all packages of the module of a function, and the name of a network of timm
            without the owner of a repository in parentheses.
    """
    if is_registered(model):
        return model.upper()
    if is_timm(model):
        name = model.removeprefix("timm:")
        architecture = name.rpartition("/")[2].partition(".")[0]
        return f"{spelled(architecture)} ({model})" if qualified else spelled(architecture)
    module, _, function = model.rpartition(":")
    if not module:
        return spelled(function)
    return model if qualified else f"{module.rpartition('.')[2]}:{function}"


def spelled(name: str) -> str:
    """Return the name of an architecture as its authors write it; others are left as they are."""
    words = DECIMAL.sub(r"\1.", name.removeprefix("tf_")).split("_")
    if _known(words[0]) is None:
        return name
    return "-".join(_known(word) or _capitalised(word) for word in words)


def _known(word: str) -> str | None:
    stem = max((each for each in SPELLINGS if word.startswith(each)), key=len, default=None)
    return None if stem is None else SPELLINGS[stem] + word[len(stem) :].upper()


def _capitalised(word: str) -> str:
    return word.upper() if len(word) <= 2 else word.capitalize()


def weights_name(config: TrialConfig) -> str:
    """Return what the initial weights of a pretrained network are, to stand before "weights"."""
    if config.weights != "default":
        return Path(config.weights).name
    if not is_timm(config.model):
        return "pretrained" if ":" in config.model else "ImageNet"
    tag = config.model.rpartition("/")[2].partition(".")[2]
    if not tag:
        try:
            tag = config_of(config.model).tag or ""
        except InputError:  # timm is not installed, or the hub not reachable
            tag = ""
    known = next((images for part, images in DATASETS.items() if part in tag), tag)
    return known or "pretrained"
