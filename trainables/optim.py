"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from trainables.config import TrialConfig
from trainables.models.heads import stages


def build_optimizer(
    config: TrialConfig, model: nn.Module, head: str | None = None
) -> torch.optim.Optimizer:
    """Build the optimiser of a configuration, in its fused implementation.

    With layer-wise learning-rate decay there is one parameter group per stage of the network, the
    head first. The head has the learning rate of the configuration, and each stage before it a
    learning rate lower by the factor `stage_decay`. Mode lora leaves out what is frozen.

    Args:
        config: Trial configuration.
        model: Model to train.
        head: Name of the model's last layer; None unless the configuration needs it.
    """
    assert config.lr is not None  # mode probe has no optimiser
    parameters: Any = model.parameters()
    if config.mode == "lora":
        parameters = [p for p in parameters if p.requires_grad]
    if head is not None and (config.mode == "gradual" or config.stage_decay != 1):
        parameters = [
            {"params": trained, "lr": config.lr * config.stage_decay**depth}
            for depth, stage in enumerate(reversed(stages(model, head)))
            if (trained := [p for p in stage if p.requires_grad or config.mode != "lora"])
        ]
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=config.momentum, nesterov=True, **common)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.Adam(parameters, **common)


def build_scheduler(
    config: TrialConfig, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> lr_scheduler.LRScheduler:
    """Build the learning-rate schedule of a configuration, to be advanced after every step."""
    total = config.epochs * steps_per_epoch
    rising = round(config.warmup * total)
    if rising:
        falls = config.schedule == "cosine"

        def share(step: int) -> float:
            """Return the learning rate of a step, from 0, relative to the maximum."""
            if step < rising:
                return (step + 1) / (rising + 1)
            progress = (step - rising) / max(1, total - rising)
            return (1 + math.cos(math.pi * progress)) / 2 if falls else 1.0

        return lr_scheduler.LambdaLR(optimizer, share)
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, total)
    if config.schedule == "one_cycle":
        max_lr = [group["lr"] for group in optimizer.param_groups]
        # Only the learning rate is cycled; the momentum stays as configured.
        return lr_scheduler.OneCycleLR(optimizer, max_lr, total, cycle_momentum=False)
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
