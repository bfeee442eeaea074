"""The adapter between Ray Tune and the training loop: the only file here that knows Ray."""

from __future__ import annotations

import json
import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch
from ray import tune

from trainables.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from trainables.config import TrialConfig
from trainables.costs import latency_ms
from trainables.data import TrainingData
from trainables.errors import DivergedError
from trainables.loop import fit
from trainables.models import build_for
from trainables.models.weights import Weights
from trainables.status import TrialStatus


def train_trial(
    ray_config: dict[str, Any], *, data: TrainingData, weights: dict[str, Weights]
) -> None:
    """Train one trial to its end, reporting every epoch to Ray Tune.

    A trial that diverges, or fails with an exception, ends with a report of `status` and `error`
    instead of raising: Ray would run it again, with the same end. What Ray does retry is a worker
    that died.

    Args:
        ray_config: of one key, `trial`, a dict with `name`; `config`, a TrialConfig as JSON;
            `cpus`, how many it was given; `resume`, the checkpoint of an earlier driver to go on
            from, or None; `latency`, whether to measure that of the model.
        data: images, shared with the other trials of the node.
        weights: what training starts from, by model, shared likewise.
    """
    trial = ray_config["trial"]
    torch.set_num_threads(max(1, int(trial["cpus"])))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    }

    def report(metrics: dict[str, float], state: TrainingState) -> None:
        with tempfile.TemporaryDirectory() as folder:
            digest = save_checkpoint(Path(folder), state)
            tune.report(
                {
                    **metrics,
                    **facts,
                    "status": TrialStatus.RUNNING.value,
                    "precision": state["precision"],
                    "weights_sha256": digest,
                    "training_iteration": metrics["epoch"],
                },
                checkpoint=tune.Checkpoint.from_directory(folder),
            )

    try:
        config = TrialConfig.from_dict(json.loads(trial["config"]))
        if trial["latency"]:
            size = config.input_size or data.image_size
            facts["latency_ms"] = latency_ms(build_for(config, data).to(device), size, device)
        resume = state_to_resume(trial["resume"])
        if resume is not None:
            # A trial that was killed after its last epoch has no other report to say this in.
            running = TrialStatus.RUNNING.value
            tune.report({**facts, "status": running, "precision": resume["precision"]})
        start = None if config.weights == "none" else weights[config.model]
        fit(config, data, report, device=device, resume=resume, weights=start)
    except DivergedError as error:
        tune.report({**facts, "status": TrialStatus.DIVERGED.value, "error": str(error)})
    except Exception as error:
        first_line = next(iter(str(error).strip().splitlines()), "")
        tune.report(
            {
                **facts,
                "status": TrialStatus.FAILED.value,
                "error": f"{type(error).__name__}: {first_line}",
                "traceback": traceback.format_exc(),
            }
        )


def state_to_resume(path: str | None) -> TrainingState | None:
    """The training state to go on from, or None to begin.

    It is the one Ray hands over, after a lost worker or when a scheduler resumes or copies a
    trial, and else the one at `path`, which an earlier driver has left.
    """
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and path is not None:
        checkpoint = tune.Checkpoint(path)
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_checkpoint(Path(folder))
