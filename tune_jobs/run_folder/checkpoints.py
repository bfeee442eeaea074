"""Checkpoints of trials: the newest training state, and the weights of the best epoch."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import safetensors.numpy
import safetensors.torch
from torch import Tensor

from trainables.checkpoint import BEST_FILE, TrainingState, load_checkpoint
from trainables.config import TrialConfig, file_stem
from trainables.errors import InputError
from trainables.features import whole_model
from trainables.models.weights import Weights, fingerprint, read_weights
from tune_jobs.run_folder.folder import WEIGHTS_FOLDER, RunFolder

logger = logging.getLogger(__name__)


def newest_checkpoint(
    trial: RunFolder, config: TrialConfig | None = None
) -> tuple[RunFolder, TrainingState] | None:
    """Return the checkpoint of a trial with the most epochs.

    Checkpoints left incomplete by a kill, and those of another configuration, are skipped.

    Args:
        trial: folder of the trial, which need not exist.
        config: configuration of the trial; None if a scheduler may have changed it.

    Returns:
        The folder of the checkpoint and the training state in it; None without a usable checkpoint.

    Raises:
        InputError: another version wrote a checkpoint with settings that this one does not know.
        PermissionError: a checkpoint is another user's, who alone can read it.
    """
    newest: tuple[RunFolder, TrainingState] | None = None
    for folder in (trial.child(n) for n in trial.names() if n.startswith("checkpoint_")):
        try:
            with folder.on_disk() as local:
                state = load_checkpoint(local)
            epochs, own = len(state["history"]), TrialConfig.from_dict(state["config"])
        except PermissionError:  # not damaged: training would start again, and then delete it
            raise
        except InputError as error:
            raise InputError(
                f"{folder.uri} was written by another version of bakeoff "
                f"({str(error).partition(':')[0]}): resume with that version, or delete this "
                "folder to train from the checkpoint before it"
            ) from error
        except Exception as error:  # damaged files raise all kinds of errors
            logger.warning("skipping unreadable checkpoint %s: %s", folder.uri, error)
            continue
        if config in (None, own) and (newest is None or epochs > len(newest[1]["history"])):
            newest = folder, state
    return newest


def write_initial_weights(
    folder: RunFolder, weights: dict[str, Weights], examples: Iterable[TrialConfig]
) -> None:
    """Write the backbone weights of the linear probes of a run, whose checkpoints lack them.

    Args:
        folder: folder of the run.
        weights: initial weights by model.
        examples: configurations of trials; without a trial of mode probe nothing is written.
    """
    if not weights or not any(config.mode == "probe" for config in examples):
        return
    kept = folder.child(WEIGHTS_FOLDER)
    kept.make()
    for model, loaded in weights.items():
        kept.write(file_name(model), safetensors.numpy.save(loaded))


def file_name(model: str) -> str:
    """Return the name of the file with the initial weights of a model."""
    return file_stem(model) + ".safetensors"


def check_weights(folder: RunFolder, checkpoint: str, sha256: str | None) -> None:
    """Raise InputError if the weights of a trial are missing, or were altered since training.

    Args:
        folder: folder of the run.
        checkpoint: path of the trial's checkpoint below the run folder.
        sha256: SHA-256 of the weights in hexadecimal; None for runs of earlier versions, which did
            not record it.
    """
    file = folder.child(f"{checkpoint}/{BEST_FILE}").uri
    try:
        content = folder.read(f"{checkpoint}/{BEST_FILE}")
    except OSError as error:
        raise InputError(
            f"{file} is missing ({error}): restore it from a backup, or train the trial again"
        ) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{file} was altered after training, its SHA-256 is not {sha256}: restore it from a "
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
    """Return the state dict of a trial's model after its best epoch.

    Args:
        folder: folder of the run.
        checkpoint: path of the trial's checkpoint below the run folder.
        config: configuration of the trial.
        num_classes: number of classes of the dataset.
        image_size: height and width of the images in pixels.
        started_from: expected fingerprint of the backbone weights of a linear probe; None skips
            the check.

    Raises:
        InputError: the backbone weights have another fingerprint, or cannot be read.
    """
    state: dict[str, Tensor] = safetensors.torch.load(folder.read(f"{checkpoint}/{BEST_FILE}"))
    if config.mode != "probe":
        return state
    start = backbone_weights(folder, config, started_from)
    return whole_model(config, num_classes, image_size, start, state)


def backbone_weights(
    folder: RunFolder, config: TrialConfig, started_from: str | None = None
) -> Weights:
    """Return the weights of the frozen backbone of a linear probe.

    Args:
        folder: folder of the run.
        config: configuration of the trial.
        started_from: expected fingerprint of the weights; None skips the check.

    Raises:
        InputError: the weights have another fingerprint, or cannot be read.
    """
    kept = folder.child(WEIGHTS_FOLDER)
    file = kept.child(file_name(config.model)).uri
    if kept.has(file_name(config.model)):
        start: Weights = safetensors.numpy.load(kept.read(file_name(config.model)))
    else:  # a shortlist, which keeps no copies of networks
        file = f"{config.weights}, the initial weights of {config.model},"
        start = read_weights(config.model, config.weights)
    if started_from not in (None, fingerprint(start)):
        raise InputError(
            f"{file} was altered after heads were trained on its features: restore it from a "
            "backup, or train the trials again"
        )
    return start
