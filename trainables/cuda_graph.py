"""Recording of a training step's kernels, which a GPU then runs without waiting for Python.

Small networks are faster than the CPU that tells a GPU one kernel after the other what to do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Pass = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A batch and its labels -> loss and number of right ones; leaves gradients in the model."""


class RecordedPass:
    """A pass forward and backward as a CUDA graph, replayed with the batches of later steps.

    What Python does between the kernels happens once, so it must not depend on the batch or on
    chance. Random numbers that are drawn on the GPU are other ones in every replay. Gradients are
    left in the same tensors each time: after a pass of another kind it is recorded anew.

    Args:
        backward: what is recorded, after it has run once without.
        model: that it leaves gradients in.
        batch: of the size that is recorded.
        target: its labels.

    Raises:
        RuntimeError: the memory is too little for a second pass beside the first, or a kernel
            cannot be recorded.
    """

    def __init__(self, backward: Pass, model: nn.Module, batch: Tensor, target: Tensor):
        self.batch, self.target = batch.clone(), target.clone()
        self.graph = torch.cuda.CUDAGraph()
        model.zero_grad(set_to_none=True)  # while recording no memory is given back
        with torch.cuda.graph(self.graph):
            self.loss, self.right = backward(self.batch, self.target)

    def __call__(self, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Replay; the tensors returned are overwritten by the next replay."""
        self.batch.copy_(batch)
        self.target.copy_(target)
        self.graph.replay()
        return self.loss, self.right
