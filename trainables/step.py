"""One step of an optimiser, in parts where the batch does not fit into memory.

Shape letters: B batch, H height, W width, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from trainables.config import TrialConfig
from trainables.cuda_graph import RecordedPass
from trainables.memory import is_out_of_memory
from trainables.precision import Autocast
from trainables.random_state import random_state, set_random_state

AUXILIARY_SHARE = 0.3
"""Weight of each auxiliary head's loss, as in Szegedy et al., Going deeper with convolutions."""


class Step:
    """Trains a model on one batch after the other.

    A batch that does not fit is split into micro-batches, whose gradients add up to those of the
    batch. Batch normalisation then normalises with the statistics of each micro-batch, unless it
    is frozen.

    On a GPU the passes of whole batches are recorded once and replayed, until `forget`. Those of
    timm's networks and of one's own are not: their Python may do something else in every step.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrialConfig,
        optimizer: torch.optim.Optimizer,
        scheduler: lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        prepare: Callable[[Tensor], Tensor],
        autocast: Autocast,
    ):
        self.model, self.config, self.prepare, self.autocast = model, config, prepare, autocast
        self.optimizer, self.scheduler, self.scaler = optimizer, scheduler, scaler
        self.parts = 1
        known = config.mode == "probe" or ":" not in config.model
        self.records = autocast.device_type == "cuda" and known
        self.forget()

    def forget(self) -> None:
        """Let go of what was recorded: the model trains otherwise, or others need its memory."""
        self.warm = False
        self.recorded: RecordedPass | None = None

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at a time, at most."""
        return -(-self.config.batch_size // self.parts)

    def __call__(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            batch: B×H×W×3 bytes, or what else `prepare` takes.
            target: B labels.

        Returns:
            The mean loss, and how many were right, both on the device and before the step.

        Raises:
            RuntimeError: not even two images fit into memory.
        """
        before = random_state(batch.device)
        while True:
            try:
                loss, right = self._pass(batch, target)
                break
            except RuntimeError as error:
                # Batch normalisation needs two images in each part.
                if not is_out_of_memory(error) or len(batch) < 4 * self.parts:
                    raise
            self.forget()
            self.parts *= 2
            set_random_state(before, batch.device)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        return loss, right

    def _pass(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if len(batch) != self.config.batch_size:
            self.forget()  # the last batch of an epoch, which runs in memory of its own
            return self._backward(batch, target)
        if not self.records or self.parts > 1:
            return self._backward(batch, target)
        if not self.warm:  # libraries set themselves up in a first pass
            self.warm = True
            return self._backward(batch, target)
        if self.recorded is None:
            try:
                self.recorded = RecordedPass(self._backward, self.model, batch, target)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self.records = False  # the pass itself fits, which a recording is beside
        return (self.recorded or self._backward)(batch, target)

    def _backward(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=target.device)
        right = torch.zeros((), dtype=torch.long, device=target.device)
        parts = max(1, min(self.parts, len(batch) // 2))  # the last batch of an epoch is smaller
        for images, labels in zip(
            batch.tensor_split(parts), target.tensor_split(parts), strict=True
        ):
            prepared = self.prepare(images)
            with self.autocast():
                output = self.model(prepared)
            logits, *auxiliary = (output,) if isinstance(output, Tensor) else output
            loss = self._loss(logits, labels)
            for other in auxiliary:
                loss = loss + AUXILIARY_SHARE * self._loss(other, labels)
            loss = loss * (len(labels) / len(target))
            self.scaler.scale(loss).backward()
            total += loss.detach()
            right += (logits.argmax(1) == labels).sum()
        return total, right

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return criterion(self.config.loss, logits.float(), labels, self.config.label_smoothing)


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
