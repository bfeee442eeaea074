"""Optimisers and the course of the learning rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from trainables.config import TrialConfig
from trainables.models.heads import stages


def build_optimizer(
    config: TrialConfig, model: nn.Module, head: str | None = None
) -> torch.optim.Optimizer:
    """The optimiser a config names, fused into one pass over the parameters.

    Args:
        config: of the trial.
        model: what it trains.
        head: name of the model's last layer, for mode gradual, which has a group of parameters a
            stage: the head's first, with the rate of the config.
    """
    parameters: Any = model.parameters()
    if config.mode == "gradual":
        assert head is not None
        parameters = [
            {"params": stage, "lr": config.lr * config.layer_decay**depth}
            for depth, stage in enumerate(reversed(stages(model, head)))
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
    """The course of the learning rate a config names, advanced after every step."""
    total = config.epochs * steps_per_epoch
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, total)
    if config.schedule == "one_cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        # The momentum asked for is kept: only the rate runs through a cycle.
        return lr_scheduler.OneCycleLR(optimizer, highest, total, cycle_momentum=False)
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
