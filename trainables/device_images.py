"""Inputs of a model on the training device: resident there, or streamed to it in batches.

Shape letters: N images, B batch size, S height and width, F features.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from trainables.image_rows import ImageRows

RESIDENT_BYTES = 2**29
"""Size in bytes up to which a CPU maps the file of all images. Larger files are read in batches,
because mapped pages count as memory of every process that reads them."""
GPU_SHARE = 0.4
"""Largest share of a GPU's free memory that the images of a split may take."""
AHEAD = 3
"""Number of batches that are read before they are needed."""

Inputs: TypeAlias = "Resident | Streamed"
"""Images or features of a split, on the training device or on their way to it."""


class Resident:
    """Inputs in the memory of the device.

    Args:
        tensor: Images, N×S×S×3, uint8, or features, N×F, float32.
        rows: Rows of the split in `tensor`, 1-D, int64; None for all, in order.
    """

    def __init__(self, tensor: Tensor, rows: Tensor | None = None):
        self.tensor, self.rows = tensor, rows
        self.shape = (len(tensor) if rows is None else len(rows), *tensor.shape[1:])
        self.device = tensor.device

    def __len__(self) -> int:
        return int(self.shape[0])

    def slices(self, size: int, start: int = 0) -> Iterator[Tensor]:
        """Yield all inputs in order in batches of `size`, from the position `start` on."""
        for first in range(start, len(self), size):
            part = slice(first, first + size)
            yield self.tensor[part if self.rows is None else self.rows[part]]

    def batches(self, order: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and the rows of the batch in them, for each batch of an epoch.

        Args:
            order: Positions of each batch, B, int64, on the device.
        """
        for index in order:
            yield self.tensor, index if self.rows is None else self.rows[index]


class Streamed:
    """Images that are read in batches, ahead of their use and in another thread.

    Args:
        images: Images of the split.
        device: Device that batches are copied to.
    """

    def __init__(self, images: ImageRows, device: torch.device):
        self.images, self.device, self.shape = images, device, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def slices(self, size: int, start: int = 0) -> Iterator[Tensor]:
        """Yield all images in order in batches of `size`, from the position `start` on."""
        return self._read_ahead(
            np.arange(first, min(first + size, len(self)))
            for first in range(start, len(self), size)
        )

    def batches(self, order: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and the rows of the batch in them, for each batch of an epoch.

        Args:
            order: Positions of each batch, B, int64.
        """
        # All at once, as each copy from a GPU waits for what it is computing.
        positions = [index.cpu().numpy() for index in order]
        for index, batch in zip(order, self._read_ahead(iter(positions)), strict=True):
            yield batch, torch.arange(len(index), device=self.device)

    def _read_ahead(self, positions: Iterator[Any]) -> Iterator[Tensor]:
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[Tensor]] = deque()
            try:
                waiting.extend(pool.submit(self._read, each) for each in islice(positions, AHEAD))
                while waiting:
                    batch = waiting.popleft().result()
                    waiting.extend(pool.submit(self._read, each) for each in islice(positions, 1))
                    yield batch.to(self.device, non_blocking=True)
            finally:  # the loop may end early, by an error or a stopped trial
                for each in waiting:
                    each.cancel()

    def _read(self, positions: Any) -> Tensor:
        batch = torch.from_numpy(self.images.read(positions))
        return batch.pin_memory() if self.device.type == "cuda" else batch


def on_device(images: ImageRows, device: torch.device) -> Inputs:
    """Return images as inputs on a device: resident if they fit, otherwise streamed."""
    if device.type == "cpu":
        small = int(np.prod(images.store.shape, dtype=np.int64)) <= RESIDENT_BYTES
        whole = images.store.whole() if small else None
        if whole is None:
            return Streamed(images, device)
        return Resident(to_device(whole, device), to_device(images.rows, device))
    if images.nbytes > GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
        return Streamed(images, device)
    tensor = torch.empty(images.shape, dtype=torch.uint8, device=device)
    done = 0
    for block in images.blocks():
        tensor[done : done + len(block)] = torch.from_numpy(block).to(device)
        done += len(block)
    return Resident(tensor)


def to_device(array: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """Convert an array to a tensor of the same shape and dtype on a device.

    On a CPU the tensor shares the memory of the array, which may be read-only.
    """
    with warnings.catch_warnings():
        # Nothing writes into the tensors, so read-only arrays are safe.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
