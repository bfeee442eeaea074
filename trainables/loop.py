"""The training loop, independent of Ray.

Shape letters: N images, H height, W width.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables import augment, metrics
from trainables.checkpoint import TrainingState, pack
from trainables.class_weights import class_weights
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import Inputs, to_device
from trainables.ema import WeightAverage
from trainables.errors import DivergedError
from trainables.memory import peak_memory_mb, reset_peak_memory
from trainables.mixing import Mixing, build_mixing
from trainables.models.layers import train_depthwise_in_fp32
from trainables.models.lora import merged_state
from trainables.models.weights import Weights
from trainables.optim import build_optimizer, build_scheduler
from trainables.patience import is_trained
from trainables.precision import Autocast, deterministic_convolutions, resolve_precision
from trainables.prediction import predict
from trainables.probe import fit_probe
from trainables.progress import Advance, ignore
from trainables.random_state import random_state, set_random_state
from trainables.step import Step, criterion
from trainables.target import TARGETS
from trainables.task import build_task

Report = Callable[[dict[str, float], TrainingState], None]
"""Callback that receives the metrics and the training state of an epoch."""
FINITE_CHECK_STEPS = 50
"""Number of steps between checks that all losses are finite."""


@deterministic_convolutions()
def fit(
    config: TrialConfig,
    data: TrainingData,
    report: Report,
    *,
    device: torch.device | None = None,
    resume: TrainingState | None = None,
    weights: Weights | None = None,
    advance: Advance = ignore,
) -> list[dict[str, float]]:
    """Train one model, and report its metrics and state after every epoch.

    In mode probe there is one epoch, see `probe.fit_probe`.

    Args:
        config: Trial configuration.
        data: Training and validation data.
        report: Callback, called after each epoch with its metrics (EPOCH_METRICS and `epoch`) and
            the complete training state. Training continues to modify the tensors of the state, so
            the callback must save or copy what it keeps.
        device: Device to train on, the CPU by default. All images are copied to it once, if they
            fit, and otherwise in batches.
        resume: Training state of an earlier call under the same configuration; training resumes
            after its last epoch. On the same type of device the results are bit-identical to those
            of an uninterrupted training, if all kernels are deterministic (convolutions are).
        weights: Initial weights; required unless `config.weights` is `none`.
        advance: Callback, called after each batch of training and validation images.

    Returns:
        Metrics of every epoch, including those before `resume`.

    Raises:
        InputError: The model cannot be built, or the weights do not fit it.
        DivergedError: The training or validation loss is not finite.
    """
    device = device or torch.device("cpu")
    if config.mode == "probe":
        assert weights is not None  # TrialConfig rejects mode probe without weights
        return fit_probe(
            config, data, report, device=device, resume=resume, weights=weights, advance=advance
        )
    reset_peak_memory(device)
    torch.manual_seed(config.seed)
    order_rng = torch.Generator().manual_seed(config.seed)
    # A trial that resumes on another node keeps its precision.
    precision = resume["precision"] if resume else resolve_precision(config.precision, device)
    autocast = Autocast(precision, device)
    task = build_task(config, data, weights, device)
    model = task.model
    train_depthwise_in_fp32(model)
    train_labels = to_device(data.train_labels, device)
    val_labels = to_device(data.val_labels, device)
    steps = len(batch_sizes(len(train_labels), config.batch_size))
    optimizer = build_optimizer(config, model, task.head)
    scheduler = build_scheduler(config, optimizer, steps)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast.dtype is torch.float16)
    augmentation = augment.build_augmentation(config, task.val.shape[1])
    mixing = build_mixing(config, len(data.classes))
    counts = train_labels.bincount(minlength=len(data.classes)).tolist()
    by_class = class_weights(config.class_weights, counts, data.classes)
    loss_weights = (
        None if by_class is None else torch.tensor(by_class, dtype=torch.float32, device=device)
    )
    average = WeightAverage(model, config.ema) if config.ema else None
    evaluated = model if average is None else average.module
    step = Step(
        model, config, optimizer, scheduler, scaler, task.prepare, autocast, loss_weights, average
    )
    state: TrainingState = {
        "config": config.to_dict(),
        "precision": precision,
        "history": [],
        "model": model.state_dict(),
        "optimizer": {},
        "scheduler": {},
        "scaler": {},
        "rng": {},
        "average": {},
        "parts": step.micro_batches,
        "best": {},
        "correct": b"",
    }
    if resume is not None:
        same = TrialConfig.from_dict(resume["config"]) == config
        assert same, "a state resumes only under its own config"
        state["history"], state["best"] = list(resume["history"]), resume["best"]
        state["correct"] = resume["correct"]
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
        scheduler.load_state_dict(resume["scheduler"])
        scaler.load_state_dict(resume["scaler"])
        set_random_state(resume["rng"], device)
        order_rng.set_state(resume["rng"]["order"])
        step.micro_batches = resume.get("parts", 1)  # absent from states of earlier versions
        if average is not None:
            average.load_state_dict(resume["average"])

    history, target = state["history"], TARGETS[config.metric]
    while not is_trained(config, history):
        epoch = len(history) + 1
        start = time.perf_counter()
        # The learning rate at the start of the epoch; schedules change it every step.
        learning_rate = float(optimizer.param_groups[0]["lr"])
        set_training(model, config, task.head, epoch)
        train_loss, train_accuracy = train_one_epoch(
            step, task.train, train_labels, order_rng, epoch, augmentation, mixing, advance
        )
        logits = predict(evaluated, task.val, task.prepare, autocast, advance)
        scores = metrics.classification_scores(logits, val_labels)
        val_loss = float(criterion(config.loss, logits, val_labels))
        if not math.isfinite(val_loss):  # the last step of the epoch may have diverged
            raise DivergedError(epoch, steps, val_loss)
        seconds = time.perf_counter() - start
        measured = {
            "epoch": epoch,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "val_loss": val_loss,
            **{f"val_{name}": value for name, value in scores.items()},
            "learning_rate": learning_rate,
            "seconds": seconds,
            "images_per_second": (len(train_labels) + len(val_labels)) / seconds,
            "peak_memory_mb": peak_memory_mb(device),
            "micro_batch": step.micro_batch_size,
        }
        merit = target.merit(measured[target.column])
        if all(merit > target.merit(earlier[target.column]) for earlier in history):
            whole = merged_state if config.mode == "lora" else nn.Module.state_dict
            state["best"] = copy.deepcopy(whole(evaluated))
            state["correct"] = pack(logits.argmax(1) == val_labels)
        history.append(measured)
        state["model"] = model.state_dict()
        state["optimizer"] = optimizer.state_dict()
        state["scheduler"] = scheduler.state_dict()
        state["scaler"] = scaler.state_dict()
        state["average"] = {} if average is None else average.state_dict()
        state["rng"] = {"order": order_rng.get_state(), **random_state(device)}
        state["parts"] = step.micro_batches
        report(measured, state)
    return history


def train_one_epoch(
    step: Step,
    images: Inputs,
    labels: Tensor,
    order_rng: torch.Generator,
    epoch: int,
    augmentation: augment.Augmentation,
    mixing: Mixing | None,
    advance: Advance,
) -> tuple[float, float]:
    """Train for one epoch, in random order.

    Args:
        step: Training step.
        images: Images, N×H×W×3, uint8.
        labels: Labels, N, int64, on the training device.
        order_rng: Random number generator of the order, on the CPU.
        epoch: Number of the epoch, from 1, for messages.
        augmentation: Function that gathers and augments a batch.
        mixing: Function that mixes the images and labels of a batch; None does not.
        advance: Callback, called with the number of images of each batch.

    Returns:
        Mean training loss and accuracy, each measured before the step that used the sample.

    Raises:
        DivergedError: The loss is not finite.
    """
    n, device = len(images), images.device
    order = torch.randperm(n, generator=order_rng).to(device)
    batches = order.split(batch_sizes(n, step.config.batch_size))
    losses = torch.empty(len(batches), device=device)
    total_correct = torch.zeros((), dtype=torch.long, device=device)
    for i, (tensor, rows) in enumerate(images.batches(batches)):
        batch, target = augmentation(tensor, rows), labels[batches[i]]
        if mixing is not None:
            batch, target = mixing(batch, target)
        losses[i], correct = step(batch, target)
        total_correct += correct
        advance(len(batches[i]))
        # Reading a loss synchronises with a GPU, so losses are checked in blocks.
        if (i + 1) % FINITE_CHECK_STEPS == 0 or i + 1 == len(batches):
            raise_if_not_finite(losses[: i + 1], epoch)
    step.release_graph()
    sizes = torch.tensor([len(index) for index in batches], device=device)
    return float((losses * sizes).sum() / n), float(total_correct) / n


def batch_sizes(images: int, size: int) -> list[int]:
    """Compute the batch sizes of an epoch.

    If the last batch would have a single image, it is merged into the batch before it: batch
    normalisation fails on one image whose feature maps have been reduced to one pixel.

    Args:
        images: Number of training images.
        size: Batch size of the configuration.
    """
    sizes = [size] * (images // size)
    rest = images % size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def set_training(model: nn.Module, config: TrialConfig, head: str | None, epoch: int) -> None:
    """Set training mode and requires_grad on the modules that are trained in an epoch.

    Args:
        model: Model of the trial.
        config: Trial configuration.
        head: Name of the model's last layer; None unless the configuration needs it.
        epoch: Number of the epoch, from 1.
    """
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
    """Raise DivergedError for the first of the 1-D `losses` that is infinite or NaN."""
    wrong = (~losses.isfinite()).nonzero()
    if len(wrong):
        step = int(wrong[0])
        raise DivergedError(epoch, step + 1, float(losses[step]))
