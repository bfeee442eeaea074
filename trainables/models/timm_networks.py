"""Networks of timm: `timm:NAME`, `timm:NAME.TAG`, and `timm:hf_hub:ORG/NAME` of its hub."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
from typing import Any, cast

from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models import weight_files
from trainables.models.heads import BodyWithHead, NoHeadError, last_layer, output_of

HUB = ("hf_hub:", "hf-hub:")
"""Beginnings of names of networks that the Hugging Face hub describes, after `timm:`."""


def is_timm(name: str) -> bool:
    """Return whether a network is one of timm."""
    return name.startswith("timm:")


def hub_id(name: str) -> str | None:
    """Return ORG/NAME of `timm:hf_hub:ORG/NAME`; None for a network of timm's own list."""
    bare = name.removeprefix("timm:")
    return bare[len(HUB[0]) :] if bare.startswith(HUB) else None


def package() -> Any:
    """Import the package timm.

    Raises:
        InputError: It is not installed.
    """
    if importlib.util.find_spec("timm") is None:
        raise InputError("timm is not installed: run pip install timm")
    return importlib.import_module("timm")


def is_known(name: str) -> bool:
    """Return whether timm is installed, and has a network of the name `timm:NAME`."""
    return importlib.util.find_spec("timm") is not None and package().is_model(
        name.removeprefix("timm:").partition(".")[0]
    )


def checked(name: str) -> str:
    """Return NAME of `timm:NAME`.

    Raises:
        InputError: timm has no model of that name.
    """
    bare = name.removeprefix("timm:")
    if hub_id(name) is not None:
        return bare
    if ":" in bare or "/" in bare:
        raise InputError(
            f"{name} is no name of a timm network: use timm:NAME, or timm:hf_hub:ORG/NAME for a "
            "repository of the Hugging Face hub"
        )
    timm = package()
    if not timm.is_model(bare):
        near = difflib.get_close_matches(bare, timm.list_models(), n=5, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? See" if near else "see"
        raise InputError(f"timm has no model {bare!r}: {hint} timm.list_models()")
    architecture, _, tag = bare.partition(".")
    tagged = [f"{architecture}.*", architecture]
    tags = [known.partition(".")[2] for known in timm.list_models(tagged, include_tags=True)]
    if tag and tag not in tags:
        have = ", ".join(filter(None, tags)) or "none"
        raise InputError(
            f"timm has no weights {tag!r} of {architecture}: use timm:{architecture}, or one of "
            f"its tags: {have}"
        )
    return bare


def config_of(name: str) -> Any:
    """Return timm's description of a network and its weights, a timm.models.PretrainedCfg.

    Raises:
        InputError: There is no such network, or its description cannot be had.
    """
    bare = checked(name)
    repository = hub_id(name)
    models = package().models
    if repository is not None:
        return models.PretrainedCfg(**hub_config(repository))
    return models.get_pretrained_cfg(bare) or models.PretrainedCfg()


@functools.cache
def hub_config(repository: str) -> dict[str, Any]:
    """Return the description of a network in a repository of the Hugging Face hub.

    Raises:
        InputError: It is neither cached nor downloadable, or describes no network of timm.
    """
    folder = weight_files.placed_folder(repository)
    try:
        if folder is not None:
            hub = importlib.import_module("timm.models._hub")
            config, architecture, _ = hub.load_model_config_from_path(folder)
        else:
            if not weight_files.in_hub_cache(repository, "config.json"):
                weight_files.check_network()
            config, architecture, _ = package().models.load_model_config_from_hf(repository)
    except Exception as error:  # of the hub, of a file, or of its content
        raise InputError(
            f"config.json of https://huggingface.co/{repository} cannot be read ({error}): "
            f"{weight_files.folder_remedy(repository)}"
        ) from error
    if not package().is_model(architecture or ""):
        raise InputError(
            f"https://huggingface.co/{repository} describes {architecture}, which timm does not "
            "have: use a repository of a timm network"
        )
    return config  # type: ignore[no-any-return]


def create(
    name: str,
    num_classes: int | None = None,
    image_size: int | None = None,
    state: dict[str, Tensor] | None = None,
    pretrained: bool = False,
) -> nn.Module:
    """Create a network through timm.

    Args:
        name: `timm:NAME`.
        num_classes: Number of classes; None: as published, where 0 is no head.
        image_size: Height and width of its input in pixels; None: as published.
        state: Weights to load instead of the published ones. timm converts them to the image size;
            those of heads are left out.
        pretrained: Load the published weights, which may download them.

    Raises:
        InputError: There is no such network.
    """
    about = config_of(name)
    arguments: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if about.fixed_input_size and image_size not in (None, *about.input_size[1:]):
        arguments["img_size"] = image_size
    overlay: dict[str, Any] = {}
    if state is not None:
        # No number of classes equals 0, so timm leaves the head out.
        overlay = {"state_dict": state, "num_classes": 0, "label_offset": None}
    elif pretrained and not about.file:
        if (file := weight_files.cached_file(about)) is None:
            weight_files.check_network()
        else:
            overlay = {"file": str(file)}
    if overlay:
        overlay |= {"source": "", "custom_load": overlay.get("file", "").endswith(".npz")}
        arguments["pretrained_cfg_overlay"] = overlay
    repository = hub_id(name)
    folder = None if repository is None else weight_files.placed_folder(repository)
    source = checked(name) if folder is None else f"local-dir:{folder}"
    return package().create_model(source, pretrained=pretrained or state is not None, **arguments)  # type: ignore[no-any-return]


def build(name: str, num_classes: int, image_size: int) -> nn.Module:
    """Build a network with random weights and one head of `num_classes` outputs.

    The classifier of timm is kept if it is a single layer. Several classifiers, as of networks that
    were trained by distillation, are replaced by one linear layer on the features; see
    `BodyWithHead`.

    Raises:
        InputError: There is no such network, or it cannot be built for that image size.
    """
    try:
        model = create(name, num_classes, image_size)
    except InputError:
        raise
    except Exception as error:  # timm refuses image sizes by errors of many types
        raise InputError(
            f"{name} cannot be built for images of {image_size}×{image_size} pixels "
            f"({type(error).__name__}: {error}): use another --image-size, or --image-size native"
        ) from error
    if has_one_head(model, name, image_size):
        return model
    cast("Any", model).reset_classifier(0)
    features = output_of(model, name, image_size)
    if features.ndim != 2:
        raise InputError(
            f"{name} returns features of shape {tuple(features.shape)} without its classifier, but "
            "a head needs one vector for each image: use another network"
        )
    return BodyWithHead(model, features.shape[1], num_classes)


def has_one_head(model: nn.Module, name: str, image_size: int) -> bool:
    """Return whether a network ends in a single layer whose outputs are its logits."""
    classifier = cast("Any", model).get_classifier()
    named = config_of(name).classifier
    several = isinstance(classifier, tuple | list | nn.ModuleList) or (
        isinstance(named, tuple | list) and len(named) > 1
    )
    if several:
        return False
    try:
        return last_layer(model, name, image_size).gives_logits
    except NoHeadError:
        return False


def heads_of(name: str) -> tuple[str, ...]:
    """Return the parameter name prefixes of the heads that a network is published with.

    The layers of a head, such as its normalisation, share the first part of their names.
    """
    named = config_of(name).classifier or ()
    paths = [named] if isinstance(named, str) else named
    return tuple(f"{path.partition('.')[0]}." for path in paths)


def input_of(name: str) -> dict[str, Any]:
    """Return input_size, interpolation, crop_pct, mean and std of a network's weights."""
    about = config_of(name).to_dict()
    return importlib.import_module("timm.data").resolve_data_config(pretrained_cfg=about)  # type: ignore[no-any-return]
