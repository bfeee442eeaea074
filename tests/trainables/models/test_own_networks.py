"""Networks of a person's own that cannot be used are refused with the reason."""

import pytest
import torch

from trainables.errors import InputError
from trainables.models import build_model
from trainables.models.heads import linear_head
from trainables.models.own_networks import construct, loads_weights
from trainables.models.weights import read_weights

MODULE = """
import torch
from torch import nn

def raises(num_classes):
    raise KeyError("layers")

def needs_depth(depth, num_classes=3):
    return nn.Linear(1, num_classes)

def no_network(**anything):
    return 3

class Divides(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, x):
        x = x.mean((2, 3))
        return self.layer(x / (x - x))

def divides():
    return Divides()

def raises_when_pretrained(pretrained=False):
    if pretrained:
        raise FileNotFoundError("no file weights.pt")
    return Divides()

class Softmax(Divides):
    def forward(self, x):
        return self.layer(x.mean((2, 3))).softmax(1)

def softmax():
    return Softmax()

WEIGHTS = torch.arange(15.0).view(5, 3)

def loads_itself():
    model = Divides()
    model.layer.weight = nn.Parameter(WEIGHTS.clone())
    return model

def conv_head(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, num_classes, 1), nn.Flatten()
    )
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nets_of_mine.py").write_text(MODULE)
    (tmp_path / "broken_nets.py").write_text("def build(:\n")
    (tmp_path / "failing_nets.py").write_text("1 / 0\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nets_of_mine:raises", ["nets_of_mine:raises(num_classes=5", "KeyError", "layers"]),
        ("nets_of_mine:needs_depth", ["'depth'", "default value"]),
        ("nets_of_mine:no_network", ["int", "torch.nn.Module"]),
        ("nets_of_mine:divides", ["nets_of_mine:divides", "NaN"]),
        ("broken_nets:build", ["broken_nets", "SyntaxError"]),
        ("failing_nets:build", ["failing_nets", "ZeroDivisionError"]),
    ],
)
def test_a_function_that_gives_no_usable_network_is_refused(name, words):
    with pytest.raises(InputError) as error:
        build_model(name, 5, 16)
    assert all(word in str(error.value) for word in words)


def test_a_function_that_cannot_load_its_weights_is_refused():
    with pytest.raises(InputError, match=r"pretrained=True\) raises FileNotFoundError: no file"):
        read_weights("nets_of_mine:raises_when_pretrained", "default")


def test_a_network_that_changes_its_logits_is_not_probed():
    model = build_model("nets_of_mine:softmax", 5, 16)
    with pytest.raises(InputError, match="changes the outputs of its last layer"):
        linear_head(model, "nets_of_mine:softmax", 16)


def test_a_convolution_of_pooled_features_is_a_linear_head_with_the_same_weights():
    name = "nets_of_mine:conv_head"
    model, original = build_model(name, 5, 16), construct(name, 5, pretrained=False)
    model.load_state_dict(original.state_dict())  # of a model that an earlier version saved
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(model(images), original(images))
    model.load_state_dict(model.state_dict())
    head = linear_head(model, name, 16)
    layer = model.get_submodule(head)
    model.set_submodule(head, torch.nn.Identity())
    features = model(images)
    assert features.shape == (4, 8)
    torch.testing.assert_close(layer(features).flatten(1), original(images))


@pytest.mark.parametrize(("function", "loads"), [("loads_itself", True), ("divides", False)])
def test_a_network_that_loads_its_own_weights_is_noticed(function, loads):
    state = torch.random.get_rng_state()
    assert loads_weights(f"nets_of_mine:{function}", 5) == loads
    assert torch.equal(torch.random.get_rng_state(), state)
