"""Attribution maps by occlusion: how much each part of an image speaks for a prediction.

Shape letters: B batch size, S height and width, G cells along a side of a map, M masks, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.image_rows import ImageRows
from trainables.precision import Autocast
from trainables.prediction import batch_size
from trainables.preparation import Preparation
from trainables.soup import recompute_batch_norm

Bools: TypeAlias = NDArray[np.bool_]
Map: TypeAlias = NDArray[np.float64]
"""Attribution map, G×G, float64: positive where the image speaks for the class."""

CELLS = 8
"""Most cells along a side of a map, so that a map takes at most (CELLS - 1)² forward passes."""
BLURRED = 4
"""Height and width in pixels of an image once it is blurred, before it is enlarged again."""


def step_of(size: int) -> int:
    """Return the height and width of a cell in pixels, for network inputs of some size."""
    return math.ceil(size / CELLS)


def log_odds(logits: Tensor, label: int) -> Tensor:
    """Return the log-odds of a class, B, float64, of logits, B×C.

    Unlike a probability, it still changes where the network is certain.
    """
    others = [i for i in range(logits.shape[1]) if i != label]
    return logits[:, label].double() - logits[:, others].double().logsumexp(1)


def occlusion_map(model: nn.Module, inputs: Tensor, label: int) -> Map:
    """Return how much the log-odds of a class fall when a window of the image is covered.

    Occlusion (Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section
    4.2) of the log-odds, as in Zintgraf et al. 2017 (Visualizing deep neural network decisions). It
    needs the outputs alone, so that it is the same for every network. A window is two by two cells
    and moves by one; a cell has the mean of its windows. Windows are covered with zeros, the mean
    colour that the inputs are normalised with.

    Args:
        model: network in evaluation mode.
        inputs: network inputs of one image, 1×3×S×S, float32, on the device of the network.
        label: the class.
    """
    from captum.attr import Occlusion  # takes a second to import, and few comparisons need it

    def score(batch: Tensor) -> Tensor:
        return log_odds(model(batch), label)

    size = inputs.shape[-1]
    step = step_of(size)
    window = min(2 * step, size)
    with torch.no_grad():
        found = Occlusion(score).attribute(
            inputs,
            sliding_window_shapes=(3, window, window),
            strides=(3, step, step),
            baselines=0,
            perturbations_per_eval=batch_size(inputs.device, size),
        )
    cells: Map = found[0, 0, ::step, ::step].double().cpu().numpy()
    return cells


def most_important(values: Map, fraction: float) -> Bools:
    """Return the cells with the highest values, G×G, bool.

    Args:
        values: a map, G×G, float64.
        fraction: how many of its cells.
    """
    count = max(1, round(fraction * values.size))
    chosen = np.zeros(values.size, dtype=np.bool_)
    chosen[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)


@torch.no_grad()
def covered_probabilities(
    model: nn.Module, inputs: Tensor, label: int, masks: Bools, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return the probability of a class with some cells of the image covered, M, float64.

    They are covered by the blurred image, not by the colour that the maps are made with: a map that
    marks only what reacts to that colour has no advantage here.

    Args:
        model: network in evaluation mode.
        inputs: network inputs of one image, 1×3×S×S, float32, on the device of the network.
        label: the class.
        masks: cells that are covered, M×G×G, bool.
        temperature: number that logits are divided by.
    """
    size = inputs.shape[-1]
    step = step_of(size)
    blurred = F.interpolate(
        F.adaptive_avg_pool2d(inputs, min(BLURRED, size)), (size, size), mode="bilinear"
    )
    pixels = torch.from_numpy(masks.repeat(step, axis=1).repeat(step, axis=2))[:, :size, :size]
    logits = torch.cat(
        [
            model(torch.where(few[:, None].to(inputs.device), blurred, inputs))
            for few in pixels.split(batch_size(inputs.device, size))
        ]
    )
    found: NDArray[np.float64] = torch.sigmoid_(
        log_odds(logits / temperature, label)
    ).cpu().numpy()  # fmt: skip
    return found


def untrained(
    build: Callable[[], nn.Module], seed: int, images: ImageRows, prepare: Preparation
) -> nn.Module:
    """Return a network with random weights, in evaluation mode.

    Batch-norm statistics are those of some images, as in training: with the initial ones the signal
    of a deep network fades below the precision of its outputs.

    Args:
        build: builds the network with random weights.
        seed: seed of the weights.
        images: training images, N×S×S×3, uint8, in random order.
        prepare: preprocessing of batches, on the device of the network.
    """
    device = prepare.mean.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build().to(device)
    recompute_batch_norm(model, images, prepare, Autocast("fp32", device))
    return model
