import numpy as np
import torch
from torch import nn

from tests.nets import tiny
from trainables.attribution import (
    covered_probabilities,
    most_important,
    occlusion_map,
    untrained,
)
from trainables.image_rows import ImageRows
from trainables.preparation import Preparation


class Corner(nn.Module):
    """Class 0 if the upper left quarter is bright, whatever the rest."""

    def forward(self, x):
        bright = x[:, :, :8, :8].mean(dim=(1, 2, 3))
        return torch.stack([bright, -bright, torch.zeros_like(bright)], dim=1)


def test_a_map_marks_what_the_network_looks_at():
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, :8, :8] = 3
    found = occlusion_map(Corner(), image, 0)
    assert found.shape == (8, 8)
    assert (found[:4, :4] > 0).all()
    assert np.abs(found[5:, 5:]).max() == 0
    assert (occlusion_map(Corner(), image, 1)[:4, :4] < 0).all()
    marked = most_important(found, 0.25)
    assert marked.sum() == 16
    assert marked[:4, :4].all()
    as_is, covered, elsewhere = covered_probabilities(
        Corner(), image, 0, np.stack([marked & False, marked, marked[::-1, ::-1]])
    )
    assert covered < as_is
    assert elsewhere == as_is


def test_untrained_networks_differ_by_seed_alone_and_leave_the_generator():
    images = ImageRows(np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8))
    prepare = Preparation((0.5,) * 3, (0.5,) * 3, torch.device("cpu"))
    before = torch.get_rng_state()
    first, again, other = (untrained(tiny, seed, images, prepare) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert not first.training
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert not torch.equal(first[1].running_mean, torch.zeros(8))
