"""CUDA graph capture and replay of a training step, to remove kernel launch overhead.

The kernels of small networks run faster than Python can launch them one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Pass = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function of a batch and its labels that returns the loss and the number of correctly classified
images, both scalars, and leaves gradients in the model."""


class CapturedPass:
    """Forward and backward passes, captured as a CUDA graph and replayed on later batches.

    Python code runs only during capture, so it must not depend on the content of the batch or on
    random numbers. Random numbers drawn on the GPU differ in every replay. Every replay writes the
    gradients into the same tensors, so a new capture is needed after a pass without the graph.

    Args:
        backward: Passes to capture; must have run once without capture, to initialise libraries.
        model: Model whose gradients `backward` computes.
        batch: Images, B×H×W×3, uint8, or features, B×F, float32, of the batch size of all replays.
        target: Labels, B, int64, or shares of each class, B×C, float32.

    Raises:
        RuntimeError: The memory does not suffice for the graph, or a kernel cannot be captured.
    """

    def __init__(self, backward: Pass, model: nn.Module, batch: Tensor, target: Tensor):
        self.batch, self.target = batch.clone(), target.clone()
        self.graph = torch.cuda.CUDAGraph()
        model.zero_grad(set_to_none=True)  # no memory can be released during capture
        # Another thread may be pinning the memory of the next batches.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss, self.correct = backward(self.batch, self.target)

    def __call__(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Replay the graph on another batch, of the shapes and dtypes that were captured.

        Returns:
            Loss and number of correctly classified images, scalars, overwritten by the next replay.
        """
        self.batch.copy_(batch)
        self.target.copy_(target)
        self.graph.replay()
        return self.loss, self.correct
