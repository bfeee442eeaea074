"""The adapter between Ray Tune and the training loop: the only file here that knows Ray."""

from __future__ import annotations

import logging
import pickle
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
import torch
from ray import tune
from safetensors import SafetensorError

from trainables.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import DivergedError
from trainables.loop import fit

logger = logging.getLogger(__name__)


def train_trial(ray_config: dict[str, Any], *, data: TrainingData, run_path: str) -> None:
    """Train one trial to its end, reporting every epoch to Ray Tune.

    A trial that was interrupted goes on from its newest checkpoint. One that diverges, or fails
    with an exception, ends with a report of `status` and `error` instead of raising: Ray would
    run it again, with the same end. What Ray does retry is a worker that died.

    Args:
        ray_config: of one key, `trial`, a dict with `name`, its folder below `run_path`;
            `config`, a TrialConfig as a dict; `cpus`, how many it was given.
        data: images, shared with the other trials of the node.
        run_path: path or URI of the run folder.
    """
    trial = ray_config["trial"]
    torch.set_num_threads(max(1, int(trial["cpus"])))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}

    def report(metrics: dict[str, float], state: TrainingState) -> None:
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(Path(folder), state)
            tune.report(
                {
                    **metrics,
                    **facts,
                    "status": "running",
                    "precision": state["precision"],
                    "training_iteration": metrics["epoch"],
                },
                checkpoint=tune.Checkpoint.from_directory(folder),
            )

    try:
        config = TrialConfig.from_dict(trial["config"])
        resume = newest_state(f"{run_path}/{trial['name']}", config)
        fit(config, data, report, device=device, resume=resume)
    except DivergedError as error:
        tune.report({**facts, "status": "diverged", "error": str(error)})
    except Exception:
        tune.report({**facts, "status": "failed", "error": traceback.format_exc()})


def newest_state(trial_path: str, config: TrialConfig) -> TrainingState | None:
    """The training state to go on from, or None to begin.

    It is the one Ray hands over, after a lost worker or when a scheduler resumes or copies a
    trial, and else the newest in the trial's own folder, which an earlier driver has left.
    """
    given = tune.get_checkpoint()
    if given is not None:
        with given.as_directory() as folder:
            return load_checkpoint(Path(folder))
    states = [state for state in saved_states(trial_path) if state["config"] == config.to_dict()]
    return max(states, key=lambda state: len(state["history"]), default=None)


def saved_states(trial_path: str) -> Iterator[TrainingState]:
    """The readable checkpoints of a trial's folder. One cut short by a kill is passed over."""
    fs, path = pyarrow.fs.FileSystem.from_uri(trial_path)
    selector = pyarrow.fs.FileSelector(path, allow_not_found=True)
    for info in fs.get_file_info(selector):
        if not info.base_name.startswith("checkpoint_"):
            continue
        try:
            with tune.Checkpoint(info.path, fs).as_directory() as folder:
                yield load_checkpoint(Path(folder))
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
            logger.warning("passing over the unreadable checkpoint %s: %s", info.path, error)
