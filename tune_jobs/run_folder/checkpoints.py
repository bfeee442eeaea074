"""Checkpoints of trials: the newest complete state, and the weights of the best epoch."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import safetensors.numpy
import safetensors.torch
from torch import Tensor

from trainables.checkpoint import BEST_FILE, TrainingState, load_checkpoint
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.features import whole_model
from trainables.models.weights import Weights, fingerprint
from tune_jobs.run_folder.folder import WEIGHTS_FOLDER, RunFolder

logger = logging.getLogger(__name__)


def newest_checkpoint(
    trial: RunFolder, config: TrialConfig | None = None
) -> tuple[RunFolder, TrainingState] | None:
    """The checkpoint of a trial that is furthest.

    One cut short by a kill is passed over, and so is one made under another config than that given.

    Args:
        trial: its folder, which need not exist.
        config: of the trial; None where a scheduler may have changed it.

    Returns:
        The checkpoint's folder and what it holds; None where there is none.
    """
    newest: tuple[RunFolder, TrainingState] | None = None
    for folder in (trial.child(n) for n in trial.names() if n.startswith("checkpoint_")):
        try:
            with folder.on_disk() as local:
                state = load_checkpoint(local)
        except Exception as error:  # damaged bytes raise anything
            logger.warning("passing over the unreadable checkpoint %s: %s", folder.uri, error)
            continue
        same = config is None or TrialConfig.from_dict(state["config"]) == config
        if same and (newest is None or len(state["history"]) > len(newest[1]["history"])):
            newest = folder, state
    return newest


def keep_weights(
    folder: RunFolder, weights: dict[str, Weights], examples: Iterable[TrialConfig]
) -> None:
    """Write what the probes of a run start from, so that the run is complete without its source."""
    if not any(config.mode == "probe" for config in examples):
        return
    kept = folder.child(WEIGHTS_FOLDER)
    kept.make()
    for model, given in weights.items():
        kept.write(file_name(model), safetensors.numpy.save(given))


def file_name(model: str) -> str:
    """Of the file that a model's weights are kept in."""
    return model.replace(":", ".").replace("/", "_") + ".safetensors"


def check_weights(folder: RunFolder, checkpoint: str, sha256: str | None) -> None:
    """Raise InputError if the weights of a trial are gone, or are not those that it trained.

    Args:
        folder: of the run.
        checkpoint: of the trial, below the folder.
        sha256: of its weights; None where an earlier version wrote them, which kept no hash.
    """
    file = folder.child(f"{checkpoint}/{BEST_FILE}").uri
    try:
        content = folder.read(f"{checkpoint}/{BEST_FILE}")
    except OSError as error:
        raise InputError(
            f"{file} is missing ({error}): take it from a backup, or train the trial again"
        ) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{file} was altered since it was trained, its SHA-256 is not {sha256}: take it from a "
            "backup, or train the trial again"
        )


def best_weights(
    folder: RunFolder,
    checkpoint: str,
    config: TrialConfig,
    num_classes: int,
    image_size: int,
    started_from: str | None = None,
) -> dict[str, Tensor]:
    """State dict of a trial's model after its best epoch.

    Args:
        folder: of the run.
        checkpoint: of the trial, below the folder.
        config: of the trial.
        num_classes: of the dataset.
        image_size: pixels of height and width of its images.
        started_from: fingerprint of the weights that the network of a probe must have.

    Raises:
        InputError: it has others by now.
    """
    state: dict[str, Tensor] = safetensors.torch.load(folder.read(f"{checkpoint}/{BEST_FILE}"))
    if config.mode != "probe":
        return state
    start = safetensors.numpy.load(folder.read(f"{WEIGHTS_FOLDER}/{file_name(config.model)}"))
    if started_from not in (None, fingerprint(start)):
        file = folder.child(WEIGHTS_FOLDER).child(file_name(config.model)).uri
        raise InputError(
            f"{file} was altered since the heads were trained on its features: take it from a "
            "backup, or train again"
        )
    return whole_model(config, num_classes, image_size, start, state)
