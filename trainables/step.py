"""One optimiser step, with gradient accumulation if the batch does not fit into memory.

Shape letters: B batch size, H height, W width, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from trainables import cuda_graph
from trainables.config import TrialConfig
from trainables.ema import WeightAverage
from trainables.memory import is_out_of_memory
from trainables.precision import Autocast
from trainables.random_state import random_state, set_random_state

AUXILIARY_WEIGHT = 0.3
"""Weight of the loss of each auxiliary head (Szegedy et al., Going deeper with convolutions)."""


class Step:
    """Training step: forward pass, backward pass and optimiser step on one batch.

    A batch that does not fit into memory is split into micro-batches, whose gradients are
    accumulated to those of the batch. Batch normalisation then uses the statistics of each
    micro-batch, unless it is frozen.

    On a GPU the forward and backward passes of full batches are captured as a CUDA graph and
    replayed, until `release_graph`. Models of timm and user-defined models are not captured,
    because their Python code may behave differently in every step.

    Args:
        model: Model to train.
        config: Trial configuration.
        optimizer: Optimiser of the model's parameters.
        scheduler: Learning-rate schedule, advanced after every step.
        scaler: Gradient scaler, enabled in fp16.
        prepare: Function that turns a batch into the input of the model.
        autocast: Factory of autocast contexts.
        class_weights: Weight of each class in the loss, C, float32, on the training device; None
            if all weigh the same.
        average: Moving average of the weights, updated after every step; None for none.
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
        class_weights: Tensor | None = None,
        average: WeightAverage | None = None,
    ):
        self.model, self.config, self.prepare, self.autocast = model, config, prepare, autocast
        self.optimizer, self.scheduler, self.scaler = optimizer, scheduler, scaler
        self.class_weights, self.average = class_weights, average
        self.micro_batches = 1
        self.captures = autocast.device_type == "cuda" and ":" not in config.model
        self.release_graph()

    def release_graph(self) -> None:
        """Discard the captured CUDA graph, to free its memory or because the model changes mode."""
        self.warm = False
        self.captured: cuda_graph.CapturedPass | None = None

    @property
    def micro_batch_size(self) -> int:
        """Largest number of images in a micro-batch."""
        return -(-self.config.batch_size // self.micro_batches)

    def __call__(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Train on one batch.

        Args:
            batch: Images, B×H×W×3, uint8, or features, B×F, float32, on the training device.
            target: Labels, B, int64, or shares of each class, B×C, float32, on the training
                device.

        Returns:
            Mean loss, float32, and number of correctly classified images, int64, both scalars on
            the device and measured before the optimiser step. A mixed image counts as correct if
            it is classified as the class with the largest share.

        Raises:
            RuntimeError: A micro-batch of two images does not fit into memory.
        """
        before = random_state(batch.device)
        while True:
            try:
                loss, correct = self._pass(batch, target)
                break
            except RuntimeError as error:
                # Batch normalisation needs two images in each micro-batch.
                if not is_out_of_memory(error) or len(batch) < 4 * self.micro_batches:
                    raise
            self.release_graph()
            self.micro_batches *= 2
            set_random_state(before, batch.device)
        if self.config.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)  # in fp16 gradients are scaled
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss, correct

    def _pass(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Run the forward and backward passes, by replay of a CUDA graph where possible."""
        if len(batch) != self.config.batch_size:
            # A last batch of another size runs without the graph, whose memory it may need.
            self.release_graph()
            return self._backward(batch, target)
        if not self.captures or self.micro_batches > 1:
            return self._backward(batch, target)
        if not self.warm:  # libraries initialise themselves in the first pass
            self.warm = True
            return self._backward(batch, target)
        if self.captured is None:
            try:
                self.captured = cuda_graph.CapturedPass(self._backward, self.model, batch, target)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # The pass alone fits into memory, but not together with a captured graph.
                self.captures = False
        return (self.captured or self._backward)(batch, target)

    def _backward(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Run the forward and backward passes on each micro-batch; return loss and correct."""
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=target.device)
        correct = torch.zeros((), dtype=torch.long, device=target.device)
        # The last batch of an epoch may be too small for as many micro-batches.
        count = max(1, min(self.micro_batches, len(batch) // 2))
        for images, labels in zip(
            batch.tensor_split(count), target.tensor_split(count), strict=True
        ):
            prepared = self.prepare(images)
            with self.autocast():
                output = self.model(prepared)
            logits, *auxiliary = (output,) if isinstance(output, Tensor) else output
            loss = self._loss(logits, labels)
            for other in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * self._loss(other, labels)
            loss = loss * (len(labels) / len(target))
            self.scaler.scale(loss).backward()
            total += loss.detach()
            classes = labels if labels.ndim == 1 else labels.argmax(1)
            correct += (logits.argmax(1) == classes).sum()
        return total, correct

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return criterion(
            self.config.loss,
            logits.float(),
            labels,
            self.config.label_smoothing,
            self.class_weights,
        )


def criterion(
    loss: Literal["cross_entropy", "softmax_cross_entropy"],
    logits: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Compute the mean loss of a batch.

    Args:
        loss: Loss function.
        logits: Logits, B×C, float32.
        labels: Labels, B, int64, or shares of each class that sum to 1, B×C, float32.
        label_smoothing: Label smoothing, in 0..1.
        class_weights: Weight of each class, C, float32; None if all weigh the same.

    Returns:
        Mean over images of the loss times the weight of the class, a scalar, float32. It is not
        divided by the weights of the batch, as PyTorch's is: that would give a rare class less than
        its weight, because the batches that have its images would count less.
    """
    if loss == "softmax_cross_entropy":
        logits = logits.softmax(1)
    if class_weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    weights = class_weights[labels] if labels.ndim == 1 else labels @ class_weights
    return (each * weights).mean()
