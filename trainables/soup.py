"""Greedy soup: an average of the weights of several trainings of one pretrained network.

Wortsman et al. 2022, Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time, recipe 1. Shape letters: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from trainables import metrics
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import on_device, to_device
from trainables.image_rows import ImageRows
from trainables.models import build_for
from trainables.precision import Autocast, ResolvedPrecision
from trainables.prediction import predict
from trainables.preparation import Preparation, preparation
from trainables.step import criterion
from trainables.target import TARGETS

NORM_IMAGES, NORM_BATCH = 2048, 64
"""Training images that batch-norm statistics are recomputed on, and how many at a time."""

State = dict[str, Tensor]
"""State dict of a model."""


@dataclass(frozen=True)
class Soup:
    """An average of the weights of some of the trainings."""

    members: tuple[int, ...]
    """Positions of the averaged trainings, the best first; one alone if no average is as good."""
    state: State
    """State dict of the averaged model, on the CPU."""
    scores: dict[str, float]
    """Scores of the validation images: val_loss, and val_* of `classification_scores`."""


def greedy_soup(
    config: TrialConfig,
    data: TrainingData,
    norm_images: ImageRows,
    load: Callable[[int], State],
    count: int,
    device: torch.device,
    precision: ResolvedPrecision,
) -> Soup:
    """Average weights greedily: a training is kept if the average's metric does not fall.

    Batch-norm statistics of an average are recomputed on training images, as in Izmailov et al.
    2018 (stochastic weight averaging): the statistics of an averaged network are not the average
    of the statistics. The networks of Wortsman et al. have no batch normalisation.

    Args:
        config: Configuration of the best training; the others have the same network and inputs.
        data: Training and validation data.
        norm_images: Training images in the view of the validation images.
        load: Returns the state dict of a training by its position; the best has position 0.
        count: Number of trainings, 2 or more.
        device: Device to evaluate on.
        precision: Numeric precision to evaluate in.

    Raises:
        ValueError: The state dicts are of different networks.
    """
    evaluation = _Evaluation(config, data, norm_images, device, precision)
    target = TARGETS[config.metric]
    total = load(0)
    soup = evaluation.soup(total, (0,))
    for position in range(1, count):
        added = add(total, load(position))
        new = evaluation.soup(added, (*soup.members, position))
        if target.merit(new.scores[target.column]) >= target.merit(soup.scores[target.column]):
            total, soup = added, new
    return soup


class _Evaluation:
    """The network of the trainings, with the images that averages are scored on."""

    def __init__(
        self,
        config: TrialConfig,
        data: TrainingData,
        norm_images: ImageRows,
        device: torch.device,
        precision: ResolvedPrecision,
    ):
        self.config = config
        model = build_for(config, data)
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.prepare = preparation(config, data, device)
        self.autocast = Autocast(precision, device)
        self.val = on_device(data.val_images, device)
        self.labels = to_device(data.val_labels, device)
        # In random order: those of a source may be sorted by class.
        order = torch.randperm(len(norm_images), generator=torch.Generator().manual_seed(0))
        self.norm_images = norm_images.take(order[:NORM_IMAGES].numpy())

    def soup(self, total: State, members: tuple[int, ...]) -> Soup:
        """Return the average with its scores, from the sum of the members' weights."""
        self.model.load_state_dict(divide(total, len(members)))
        # Frozen statistics are the same in all members.
        if len(members) > 1 and not self.config.freeze_batch_norm:
            recompute_batch_norm(self.model, self.norm_images, self.prepare, self.autocast)
        logits = predict(self.model, self.val, self.prepare, self.autocast)
        scores = metrics.classification_scores(logits, self.labels)
        state = self.model.state_dict()
        return Soup(
            members,
            {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
            {
                "val_loss": float(criterion(self.config.loss, logits, self.labels)),
                **{f"val_{name}": value for name, value in scores.items()},
            },
        )


@torch.no_grad()
def recompute_batch_norm(
    model: nn.Module, images: ImageRows, prepare: Preparation, autocast: Autocast
) -> None:
    """Replace the running statistics of batch normalisation by those of some images.

    Unlike torch.optim.swa_utils.update_bn, it leaves dropout off, which is off in evaluation too.

    Args:
        model: Network; it is left in evaluation mode, and unchanged without batch normalisation.
        images: Images, N×S×S×3, uint8, in random order.
        prepare: Preprocessing of batches.
        autocast: Factory of autocast contexts.
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # so that all batches weigh the same
        norm.train()
    size = min(NORM_BATCH, len(images))
    # A smaller last batch would weigh as much as the others.
    for batch in islice(on_device(images, prepare.mean.device).slices(size), len(images) // size):
        with autocast():
            model(prepare(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def add(first: State, second: State) -> State:
    """Return the sum of two state dicts; integers and booleans are those of the first.

    Raises:
        ValueError: The state dicts are of different networks.
    """
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError("the weights to be averaged are of different networks")
    return {
        name: tensor + second[name] if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def divide(total: State, count: int) -> State:
    """Return a sum of `count` state dicts divided by their number."""
    return {
        name: tensor / count if tensor.is_floating_point() else tensor
        for name, tensor in total.items()
    }
