"""Options of shortlists. This module imports nothing heavy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from trainables.config import Recipe
from trainables.errors import InputError
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.probe_options import refuse_training_options

NETWORKS = (
    # Convolutional, trained on ImageNet-1k with its labels.
    "resnet18",
    "resnet50",
    "densenet121",
    "googlenet",
    "regnet_y_1_6gf",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "timm:mobilenetv4_conv_medium.e500_r224_in1k",
    # Convolutional, trained on ImageNet-21k, or learned from a larger network.
    "timm:tf_efficientnetv2_s.in21k_ft_in1k",
    "timm:convnext_tiny.fb_in22k",
    "timm:convnext_tiny.dinov3_lvd1689m",
    # Transformers, trained with labels.
    "timm:vit_small_patch16_224.augreg_in21k",
    "timm:vit_base_patch16_224.augreg_in21k",
    "timm:deit3_small_patch16_224.fb_in22k_ft_in1k",
    "timm:swin_tiny_patch4_window7_224.ms_in22k",
    # Transformers, self-supervised.
    "timm:vit_small_patch16_224.dino",
    "timm:vit_small_patch16_dinov3.lvd1689m",
    "timm:eva02_small_patch14_224.mim_in22k",
    # Transformers, trained on images with their captions.
    "timm:vit_base_patch32_clip_224.openai",
    "timm:vit_base_patch16_siglip_224.v2_webli",
)
"""Networks chosen for being different: convolutional and transformer; supervised, self-supervised
and image-text; small to base."""


@dataclass(frozen=True, kw_only=True)
class ShortlistOptions(JobOptions):
    """Options of the job."""

    # The help of an option breaks its lines where the docstring has a whole sentence in a line.

    job = "shortlist"
    first_options = ("data", "image_size", "models", "with", "name", "resume", "plan")
    models: tuple[str, ...] = NETWORKS
    """Networks: torchvision names, timm:NAME, or package.module:function.
    Those whose weights cannot be had are listed, and the others go on."""
    with_: Annotated[tuple[str, ...], tyro.conf.arg(name="with")] = ()
    """Run folders whose best trial stands in the same table, e.g. one of the
    custom CNN. They must be of the same images and splits."""
    recipe: Literal["standard"] = "standard"
    """Preset of the training options that matter to a head."""
    scheduler: Literal["fifo"] = "fifo"
    """Every network is judged."""

    @classmethod
    def recipes(cls) -> dict[str, Recipe]:
        """Return the preset: images as the weights of each network expect them."""
        return {"standard": Recipe(epochs=1, normalize="weights")}


def check_shortlist(command: CommandLine[ShortlistOptions]) -> None:
    """Raise InputError if an option is out of range or has no effect."""
    options = command.options
    refuse_training_options(command.given_options, "a shortlist", "leave it out")
    if not options.models:
        raise InputError("--models is empty: give one or more networks")
    for model, times in Counter(options.models).items():
        if times > 1:
            raise InputError(f"--models has {model} {times} times: give it once")
