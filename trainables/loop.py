"""The training loop: plain functions without Ray.

Shape letters: N images, B batch, H height, W width, C classes.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.augment import pick, pick_flip_crop
from trainables.checkpoint import TrainingState
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import DivergedError
from trainables.memory import peak_memory_mb, reset_peak_memory
from trainables.metrics import TARGET, weighted_scores
from trainables.models.weights import Weights
from trainables.optim import build_optimizer, build_scheduler
from trainables.precision import Autocast, repeatable_convolutions, resolve_precision
from trainables.prediction import predict, to_device
from trainables.random_state import random_state, set_random_state
from trainables.step import Step, criterion
from trainables.task import build_task

Report = Callable[[dict[str, float], TrainingState], None]
FINITE_CHECK_STEPS = 50


@repeatable_convolutions()
def fit(
    config: TrialConfig,
    data: TrainingData,
    report: Report,
    *,
    device: torch.device | None = None,
    resume: TrainingState | None = None,
    weights: Weights | None = None,
) -> list[dict[str, float]]:
    """Train one model, and report after every epoch.

    Args:
        config: what to train and how.
        data: images to train on and to validate with.
        report: called after each epoch with its metrics (`metrics.EPOCH_METRICS` and `epoch`)
            and the complete state. The state's tensors go on changing: save, do not keep.
        device: to train on, the CPU by default. The images are put there once.
        resume: a state of an earlier call under the same config; training goes on after its
            last epoch, on the same kind of device with results identical to the bit as far as
            its kernels add in one order (convolutions do).
        weights: what training starts from, where the config says so.

    Returns:
        The metrics of every epoch, those before `resume` included.

    Raises:
        InputError: the model cannot be built, or the weights do not fit it.
        DivergedError: the training or validation loss is not finite.
    """
    device = device or torch.device("cpu")
    reset_peak_memory(device)
    torch.manual_seed(config.seed)
    order_rng = torch.Generator().manual_seed(config.seed)
    # A trial that moves to another machine keeps the precision it began with.
    precision = resume["precision"] if resume else resolve_precision(config.precision, device)
    autocast = Autocast(precision, device)
    task = build_task(config, data, weights, device, precision)
    model = task.model
    train_labels = to_device(data.train_labels, device)
    val_labels = to_device(data.val_labels, device)
    steps = len(batch_sizes(len(train_labels), config.batch_size))
    optimizer = build_optimizer(config, model, task.head)
    scheduler = build_scheduler(config, optimizer, steps)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast.dtype is torch.float16)
    step = Step(model, config, optimizer, scheduler, scaler, task.prepare, autocast)
    state: TrainingState = {
        "config": config.to_dict(),
        "precision": precision,
        "history": [],
        "model": model.state_dict(),
        "optimizer": {},
        "scheduler": {},
        "scaler": {},
        "rng": {},
        "parts": step.parts,
        "best": {},
    }
    if resume is not None:
        same = TrialConfig.from_dict(resume["config"]) == config
        assert same, "a state goes on under its own config only"
        state["history"], state["best"] = list(resume["history"]), resume["best"]
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
        scheduler.load_state_dict(resume["scheduler"])
        scaler.load_state_dict(resume["scaler"])
        set_random_state(resume["rng"], device)
        order_rng.set_state(resume["rng"]["order"])
        step.parts = resume.get("parts", 1)  # states of earlier versions have none

    history = state["history"]
    while len(history) < config.epochs:
        epoch = len(history) + 1
        start = time.perf_counter()
        # The rate the epoch starts with; schedules change it step by step.
        learning_rate = float(optimizer.param_groups[0]["lr"])
        set_training(model, config, task.head, epoch)
        train_loss, train_accuracy = train_one_epoch(
            step, task.train, train_labels, order_rng, epoch
        )
        logits = predict(model, task.val, task.prepare, autocast)
        scores = weighted_scores(logits, val_labels)
        val_loss = float(criterion(config.loss, logits, val_labels))
        if not math.isfinite(val_loss):  # the last step of the epoch may have done it
            raise DivergedError(epoch, steps, val_loss)
        seconds = time.perf_counter() - start
        metrics = {
            "epoch": epoch,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "val_loss": val_loss,
            **{f"val_{name}": value for name, value in scores.items()},
            "learning_rate": learning_rate,
            "seconds": seconds,
            "images_per_second": (len(train_labels) + len(val_labels)) / seconds,
            "peak_memory_mb": peak_memory_mb(device),
            "micro_batch": step.micro_batch,
        }
        if all(metrics[TARGET] > earlier[TARGET] for earlier in history):
            state["best"] = copy.deepcopy(model.state_dict())
        history.append(metrics)
        state["model"] = model.state_dict()
        state["optimizer"] = optimizer.state_dict()
        state["scheduler"] = scheduler.state_dict()
        state["scaler"] = scaler.state_dict()
        state["rng"] = {"order": order_rng.get_state(), **random_state(device)}
        state["parts"] = step.parts
        report(metrics, state)
    return history


def train_one_epoch(
    step: Step, images: Tensor, labels: Tensor, order_rng: torch.Generator, epoch: int
) -> tuple[float, float]:
    """Pass once over N×H×W×3 `images`, or N×F features, in random order.

    Returns:
        Loss and accuracy, means over samples while the model was changing.

    Raises:
        DivergedError: the loss is not finite.
    """
    choose = pick_flip_crop if step.config.augment == "flip_crop" else pick
    n, device = len(images), images.device
    order = torch.randperm(n, generator=order_rng).to(device)
    batches = order.split(batch_sizes(n, step.config.batch_size))
    losses = torch.empty(len(batches), device=device)
    right = torch.zeros((), dtype=torch.long, device=device)
    for i, index in enumerate(batches):
        losses[i], correct = step(choose(images, index), labels[index])
        right += correct
        # Looking at a loss waits for a GPU, so it is done in blocks.
        if (i + 1) % FINITE_CHECK_STEPS == 0 or i + 1 == len(batches):
            raise_if_not_finite(losses[: i + 1], epoch)
    step.forget()
    sizes = torch.tensor([len(index) for index in batches], device=device)
    return float((losses * sizes).sum() / n), float(right) / n


def batch_sizes(images: int, size: int) -> list[int]:
    """Images of each batch of an epoch.

    A last batch of a single image joins the one before: batch normalisation has nothing to
    normalise with where a network has shrunk one image to one pixel.
    """
    sizes = [size] * (images // size)
    rest = images % size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def set_training(model: nn.Module, config: TrialConfig, head: str | None, epoch: int) -> None:
    """Put a model into training mode, as far as it is trained in that epoch."""
    model.train()
    if config.mode == "gradual":
        assert head is not None
        head_only = epoch <= config.head_epochs
        model.train(not head_only).requires_grad_(not head_only)
        model.get_submodule(head).train().requires_grad_()
    if config.freeze_batch_norm:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def raise_if_not_finite(losses: Tensor, epoch: int) -> None:
    """Raise DivergedError for the first loss that is infinite or not a number."""
    wrong = (~losses.isfinite()).nonzero()
    if len(wrong):
        step = int(wrong[0])
        raise DivergedError(epoch, step + 1, float(losses[step]))
