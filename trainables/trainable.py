"""Adapter between Ray Tune and the training loop: the only module here that imports Ray."""

from __future__ import annotations

import faulthandler
import json
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from trainables.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from trainables.config import TrialConfig
from trainables.costs import latency_ms
from trainables.errors import DivergedError, first_line
from trainables.loop import fit
from trainables.models import build_for
from trainables.models.weights import Weights, read_weights
from trainables.probe import fit_probe
from trainables.progress import EpochProgress
from trainables.status import TrialStatus
from trainables.trial_images import TrialImages
from trainables.trust import EVERY, trust

STDERR = 2
"""File descriptor of the log of a worker process."""


def train_trial(
    ray_config: dict[str, Any],
    *,
    images: TrialImages,
    weights: dict[str, Weights],
    send_progress: Callable[[str, int, int, int], None],
) -> None:
    """Train one trial, and report every epoch to Ray Tune.

    A trial that diverges or raises an exception reports `status`, `error` and, for an exception,
    `traceback`, and returns, because Ray would otherwise retry it with the same outcome. Ray does
    retry a trial whose worker process died.

    Args:
        ray_config: Dict with the single key `trial`, a dict of `name`: name of the trial;
            `config`: TrialConfig as JSON; `cpus`: number of CPU cores; `resume`: path of the
            checkpoint of an earlier driver to resume from, or None; `latency`: whether to measure
            the latency of the model; `latency_limit`: latency in milliseconds above which the
            trial ends before its training, or None; `splits`: number of other splits of the images
            that a network of mode probe is scored on, which is reported with its epoch as
            `Probe.judge` returns it; `timeout`: seconds without a report after which the process
            ends itself, or None.
        images: Training and validation images, which are read from the cache of the node.
        weights: Initial weights by model name, in memory shared with the other trials of the node.
            Those of other models are read on the node.
        send_progress: Receives the name of the trial and the arguments of `EpochProgress.send`.
    """
    trial = ray_config["trial"]
    trust([EVERY])  # the driver has built the network
    torch.set_num_threads(max(1, int(trial["cpus"])))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    }

    epochs = EpochProgress(partial(send_progress, trial["name"]))

    def report(metrics: dict[str, float], state: TrainingState) -> None:
        end_process_after(None)  # the driver may be slow, and pauses trials
        epochs.start(int(metrics["epoch"]) + 1)
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
        end_process_after(trial.get("timeout"))

    end_process_after(trial.get("timeout"))
    try:
        config = TrialConfig.from_dict(json.loads(trial["config"]))
        data = images.training_data(config)
        epochs.images = len(data.train_labels) + len(data.val_labels)
        if trial["latency"]:
            size = config.network_size(data.image_size)
            facts["latency_ms"] = latency_ms(build_for(config, data).to(device), size, device)
        resume = state_to_resume(trial["resume"])
        epochs.start(1 + len(resume["history"]) if resume else 1)
        limit = trial["latency_limit"]
        if limit is not None and resume is None and facts["latency_ms"] > limit:
            error = f"latency_ms {facts['latency_ms']:.3g} is above {limit:g}: not trained"
            tune.report({**facts, "status": TrialStatus.STOPPED.value, "error": error})
            return
        if resume is not None:
            # A trial that was killed after its last epoch makes no other report.
            running = TrialStatus.RUNNING.value
            tune.report({**facts, "status": running, "precision": resume["precision"]})
        start = None
        if config.weights != "none":
            start = weights.get(config.model) or read_weights(config.model, config.weights)
        if trial["splits"]:
            assert start is not None  # mode probe has weights
            fit_probe(
                config, data, report, device=device, resume=resume, weights=start,
                splits=trial["splits"], advance=epochs.advance,
            )  # fmt: skip
        else:
            fit(
                config, data, report, device=device, resume=resume, weights=start,
                advance=epochs.advance,
            )  # fmt: skip
    except DivergedError as error:
        tune.report({**facts, "status": TrialStatus.DIVERGED.value, "error": str(error)})
    except Exception as error:
        tune.report(
            {
                **facts,
                "status": TrialStatus.FAILED.value,
                "error": f"{type(error).__name__}: {first_line(error)}",
                "traceback": traceback.format_exc(),
            }
        )
    finally:
        end_process_after(None)


def end_process_after(seconds: float | None) -> None:
    """End this process in so many seconds, unless this is called before; None never ends it.

    Whatever hangs meanwhile is ended, as no Python code is needed for it.
    """
    if seconds is None:
        faulthandler.cancel_dump_traceback_later()
    else:
        faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


def state_to_resume(path: str | None) -> TrainingState | None:
    """Load the training state to resume from; None to start from the beginning.

    A checkpoint from Ray takes precedence; there is one after a worker process died, and when a
    scheduler resumes a trial or, in population-based training, exploits another one. Otherwise the
    checkpoint of an earlier driver at `path` is used, if any.
    """
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and path is not None:
        checkpoint = tune.Checkpoint(path)
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_checkpoint(Path(folder))
