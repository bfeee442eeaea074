import pytest
import timm
import torch
from timm.layers import DropPath
from torchvision.models import get_model
from torchvision.ops import StochasticDepth

from tests import nets
from trainables.models import build_model
from trainables.models.stochastic_depth import set_drop_path

TIMM = [
    "convnext_atto", "vit_tiny_patch16_224", "resnet18", "swin_tiny_patch4_window7_224",
    "regnety_002", "poolformer_s12", "nfnet_f0", "tiny_vit_5m_224", "test_vit",
]  # fmt: skip


def rates(model):
    """Probabilities of all layers of stochastic depth that skip anything."""
    found = [
        layer.drop_prob if isinstance(layer, DropPath) else layer.p
        for layer in model.modules()
        if isinstance(layer, DropPath | StochasticDepth)
    ]
    return [rate for rate in found if rate]


@pytest.mark.parametrize("name", TIMM)
def test_a_network_of_timm_gets_the_rates_that_timm_would_give_it(name):
    with torch.device("meta"):
        theirs = timm.create_model(name, drop_path_rate=0.2)
        ours = timm.create_model(name)
        assert set_drop_path(ours, 0.2)
    assert rates(ours) == pytest.approx(rates(theirs))


@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t", "swin_v2_t"])
def test_a_network_of_torchvision_keeps_its_shape_of_rates(name):
    with torch.device("meta"):
        model = get_model(name)
    before = rates(model)
    set_drop_path(model, 2 * max(before))
    assert rates(model) == pytest.approx([2 * rate for rate in before])
    set_drop_path(model, 0.0)
    assert rates(model) == []


@pytest.mark.parametrize("build", [nets.tiny, lambda: get_model("resnet18")])
def test_a_network_without_stochastic_depth_has_no_blocks(build):
    assert set_drop_path(build(), 0.5) == 0


def test_blocks_are_skipped_in_training_only():
    torch.manual_seed(0)
    model = build_model("timm:test_vit", 10, 160)
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        before = model.eval()(images)
        set_drop_path(model, 0.9)
        torch.testing.assert_close(model(images), before)
        assert not torch.allclose(model.train()(images), before)
