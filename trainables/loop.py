"""The training loop: plain functions without Ray.

Shape letters: N images, B batch, H height, W width, C classes.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from trainables.augment import normalize, pick, pick_flip_crop
from trainables.checkpoint import TrainingState
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import DivergedError
from trainables.metrics import TARGET, peak_memory_mb, weighted_scores
from trainables.models import build_model

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
ResolvedPrecision: TypeAlias = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Report = Callable[[dict[str, float], TrainingState], None]
# Larger batches fall out of a CPU's cache: 2,070 images/s at 128, 1,150 at 500 on one core.
EVAL_BATCH = {"cpu": 128, "cuda": 2000}
FINITE_CHECK_STEPS = 50


def fit(
    config: TrialConfig,
    data: TrainingData,
    report: Report,
    *,
    device: torch.device | None = None,
    resume: TrainingState | None = None,
) -> list[dict[str, float]]:
    """Train one model, and report after every epoch.

    Args:
        config: what to train and how.
        data: images to train on and to validate with.
        report: called after each epoch with its metrics (`metrics.EPOCH_METRICS` and `epoch`)
            and the complete state. The state's tensors go on changing: save, do not keep.
        device: to train on, the CPU by default. The images are put there once.
        resume: a state of an earlier call under the same config; training goes on after its
            last epoch, on a CPU with results identical to the bit.

    Returns:
        The metrics of every epoch, those before `resume` included.

    Raises:
        InputError: the model cannot be built.
        DivergedError: the training or validation loss is not finite.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(config.seed)
    order_rng = torch.Generator().manual_seed(config.seed)
    model = build_model(config.model, len(data.classes), data.image_size, **config.build_args)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train_images, train_labels = to_device(data.train_images, data.train_labels, device)
    val_images, val_labels = to_device(data.val_images, data.val_labels, device)
    mean, std = input_statistics(config, data)
    prepare = Preparation(mean, std, device)
    # A trial that moves to another machine keeps the precision it began with.
    precision = resume["precision"] if resume else resolve_precision(config.precision, device)
    autocast = Autocast(precision, device)
    steps = math.ceil(len(train_images) / config.batch_size)
    optimizer = build_optimizer(config, model)
    scheduler = build_scheduler(config, optimizer, steps)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast.dtype is torch.float16)
    state: TrainingState = {
        "config": config.to_dict(),
        "precision": precision,
        "history": [],
        "model": model.state_dict(),
        "optimizer": {},
        "scheduler": {},
        "scaler": {},
        "rng": {},
        "best": {},
    }
    if resume is not None:
        assert resume["config"] == state["config"], "a state goes on under its own config only"
        state["history"], state["best"] = list(resume["history"]), resume["best"]
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
        scheduler.load_state_dict(resume["scheduler"])
        scaler.load_state_dict(resume["scaler"])
        set_rng_state(resume["rng"], order_rng, device)

    history = state["history"]
    while len(history) < config.epochs:
        epoch = len(history) + 1
        start = time.perf_counter()
        # The rate the epoch starts with; schedules change it step by step.
        learning_rate = float(optimizer.param_groups[0]["lr"])
        train_loss, train_accuracy = train_one_epoch(
            model, train_images, train_labels, config, optimizer, scheduler, scaler,
            prepare, autocast, order_rng, epoch,
        )  # fmt: skip
        logits = predict(model, val_images, prepare, autocast)
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
            "images_per_second": (len(train_images) + len(val_images)) / seconds,
            "peak_memory_mb": peak_memory_mb(device),
        }
        if all(metrics[TARGET] > earlier[TARGET] for earlier in history):
            state["best"] = copy.deepcopy(model.state_dict())
        history.append(metrics)
        state["model"] = model.state_dict()
        state["optimizer"] = optimizer.state_dict()
        state["scheduler"] = scheduler.state_dict()
        state["scaler"] = scaler.state_dict()
        state["rng"] = rng_state(order_rng, device)
        report(metrics, state)
    return history


def train_one_epoch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: TrialConfig,
    optimizer: torch.optim.Optimizer,
    scheduler: lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    prepare: Preparation,
    autocast: Autocast,
    order_rng: torch.Generator,
    epoch: int,
) -> tuple[float, float]:
    """Pass once over N×H×W×3 `images` in random order.

    Returns:
        Loss and accuracy, means over samples while the model was changing.

    Raises:
        DivergedError: the loss is not finite.
    """
    model.train()
    choose = pick_flip_crop if config.augment == "flip_crop" else pick
    n, device = len(images), images.device
    order = torch.randperm(n, generator=order_rng).to(device)
    batches = order.split(config.batch_size)
    losses = torch.empty(len(batches), device=device)
    right = torch.zeros((), dtype=torch.long, device=device)
    for step, index in enumerate(batches):
        batch, target = prepare(choose(images, index)), labels[index]
        with autocast():
            logits = model(batch)
        loss = criterion(config.loss, logits.float(), target, config.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        losses[step] = loss.detach()
        right += (logits.argmax(1) == target).sum()
        # Looking at a loss waits for a GPU, so it is done in blocks.
        if (step + 1) % FINITE_CHECK_STEPS == 0 or step + 1 == len(batches):
            raise_if_not_finite(losses[: step + 1], epoch)
    sizes = torch.tensor([len(index) for index in batches], device=device)
    return float((losses * sizes).sum() / n), float(right) / n


def raise_if_not_finite(losses: Tensor, epoch: int) -> None:
    """Raise DivergedError for the first loss that is infinite or not a number."""
    wrong = (~losses.isfinite()).nonzero()
    if len(wrong):
        step = int(wrong[0])
        raise DivergedError(epoch, step + 1, float(losses[step]))


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, prepare: Preparation, autocast: Autocast) -> Tensor:
    """Logits N×C of N×H×W×3 images, by the model in evaluation mode."""
    model.eval()
    logits = []
    for batch in images.split(EVAL_BATCH[images.device.type]):
        with autocast():
            logits.append(model(prepare(batch)).float())
    return torch.cat(logits)


def criterion(
    loss: Literal["cross_entropy", "softmax_cross_entropy"],
    logits: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean loss of B×C logits against B labels, as one number."""
    if loss == "softmax_cross_entropy":
        logits = logits.softmax(1)
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


class Preparation:
    """Bytes B×H×W×3 -> normalised floats B×3×H×W, with the statistics kept on the device."""

    def __init__(
        self,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        device: torch.device,
    ):
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)

    def __call__(self, batch: Tensor) -> Tensor:
        """Prepare one batch."""
        return normalize(batch, self.mean, self.std)


def input_statistics(
    config: TrialConfig, data: TrainingData
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and std that the model's input is normalised with."""
    if config.normalize == "half":
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return data.mean, data.std


class Autocast:
    """Context of the precision that a trial computes in; called for a fresh one."""

    def __init__(self, precision: ResolvedPrecision, device: torch.device):
        self.device_type = device.type
        self.dtype = DTYPES[precision]

    def __call__(self) -> torch.autocast:
        """A context to compute in."""
        enabled = self.dtype is not torch.float32
        return torch.autocast(self.device_type, self.dtype if enabled else None, enabled=enabled)


def resolve_precision(precision: Precision, device: torch.device) -> ResolvedPrecision:
    """What `auto` means on a device: bf16 where that is faster, else fp32.

    On a CPU that takes AMX, or the AVX512-BF16 of AMD. Intel's AVX512-BF16 without AMX is slower
    than fp32 (benchmarks/results.md).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("amx_bf16")) or (
            bool(capabilities.get("avx512_bf16")) and "AMD" in str(capabilities.get("cpu_name"))
        )
    return "bf16" if native else "fp32"


def build_optimizer(config: TrialConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser a config names, fused into one pass over the parameters."""
    parameters = model.parameters()
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=config.momentum, nesterov=True, **common)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.Adam(parameters, **common)


def build_scheduler(
    config: TrialConfig, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> lr_scheduler.LRScheduler:
    """The course of the learning rate a config names, advanced after every step."""
    total = config.epochs * steps_per_epoch
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, total)
    if config.schedule == "one_cycle":
        # The momentum asked for is kept: only the rate runs through a cycle.
        return lr_scheduler.OneCycleLR(optimizer, config.lr, total, cycle_momentum=False)
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def to_device(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Arrays as tensors; on a CPU they share the arrays' memory, which may be read-only."""
    import warnings

    with warnings.catch_warnings():
        # Nothing here writes into the images, so a read-only array is as good.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


def rng_state(order_rng: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    """States of all random generators that training draws from."""
    state = {"order": order_rng.get_state(), "cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(
    state: dict[str, Tensor], order_rng: torch.Generator, device: torch.device
) -> None:
    """The inverse of `rng_state`."""
    order_rng.set_state(state["order"])
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
