import copy
import importlib.util

import pytest
import torch
from torch import nn

from tests import nets
from tests.images import training_data
from trainables.checkpoint import load_checkpoint, save_checkpoint
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.loop import fit
from trainables.models import build_model
from trainables.models.heads import find_head
from trainables.models.lora import add_adapters, layers_to_adapt, merged_state

TINY = "tests.nets:tiny"
NETWORKS = {
    "resnet18": 32,
    "timm:test_efficientnet": 32,
    "timm:test_vit": 160,
    "timm:convnext_atto": 32,
}


def make_config(**changes):
    base = {"lr": 1e-2, "epochs": 2, "batch_size": 16, "model": TINY, "weights": "file",
            "mode": "lora", "precision": "fp32", "lora_rank": 2}  # fmt: skip
    return TrialConfig(**{**base, **changes})


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return {key: value.numpy() for key, value in nets.tiny(10).state_dict().items()}


@pytest.mark.parametrize(("name", "size"), NETWORKS.items())
def test_convolutional_networks_and_transformers_are_adapted(name, size):
    torch.manual_seed(0)
    model = build_model(name, 10, size)
    plain, head = copy.deepcopy(model).eval(), find_head(model, name, size)
    images = torch.randn(2, 3, size, size)
    add_adapters(model, name, head, size, rank=4)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(images), plain(images))  # the adapters begin at zero
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert {key for key in trained if not key.startswith(f"{head}.")} == {
        key for key, _ in model.named_parameters() if ".lora_" in key
    }
    total = sum(p.numel() for p in plain.parameters())
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) < 0.3 * total
    model(images).square().sum().backward()
    unused = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    with torch.no_grad():
        for key, value in model.named_parameters():
            if ".lora_B." in key:
                value.normal_(std=0.02)
        merged = merged_state(model)
        assert {k: v.shape for k, v in merged.items()} == {
            k: v.shape for k, v in plain.state_dict().items()
        }
        before = plain(images)
        plain.load_state_dict(merged)
        assert not torch.allclose(plain(images), before)
        torch.testing.assert_close(plain(images), model(images), rtol=1e-4, atol=1e-4)


def test_only_the_head_and_low_rank_changes_of_weights_are_learnt(tiny_data, weights):
    states = []
    config = make_config()
    fit(config, tiny_data, lambda _, state: states.append(copy.deepcopy(state)), weights=weights)
    best = states[-1]["best"]
    assert best.keys() == weights.keys()
    for path in ("0.weight", "3.weight"):
        change = best[path].flatten(1) - torch.from_numpy(weights[path]).flatten(1)
        assert change.abs().max() > 0
        assert torch.linalg.matrix_rank(change, atol=1e-5) <= config.lora_rank
    for path in ("0.bias", "1.weight", "4.bias"):
        assert torch.equal(best[path], torch.from_numpy(weights[path]))
    assert not torch.equal(best["9.weight"], torch.from_numpy(weights["9.weight"]))


def test_adapters_learn(digits):
    data = training_data(digits.images, digits.labels, digits.classes)
    torch.manual_seed(1)
    start = {key: value.numpy() for key, value in nets.tiny(10).state_dict().items()}
    config = make_config(lr=0.03, epochs=3, lora_rank=8)
    history = fit(config, data, lambda *_: None, weights=start)
    assert history[-1]["val_accuracy"] > history[0]["val_accuracy"] > 0.15


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "layer_decay": 0.5}], ids=str)
def test_an_interrupted_trial_ends_as_if_nothing_had_happened(
    changes, tiny_data, weights, tmp_path
):
    config = make_config(epochs=3, schedule="cosine", **changes)

    def run(stop=None, resume=None):
        last = {}

        def report(metrics, state):
            last.update(copy.deepcopy(state))
            save_checkpoint(tmp_path, state)
            if metrics["epoch"] == stop:
                raise KeyboardInterrupt

        fit(config, tiny_data, report, weights=weights, resume=resume)
        return last

    with pytest.raises(KeyboardInterrupt):
        run(stop=1)
    resumed, whole = run(resume=load_checkpoint(tmp_path)), run()
    for part in ("model", "best", "average"):
        assert resumed[part].keys() == whole[part].keys()
        assert all(torch.equal(resumed[part][key], whole[part][key]) for key in whole[part])
    assert [e["val_loss"] for e in resumed["history"]] == [e["val_loss"] for e in whole["history"]]


class Odd(nn.Module):
    """Reads the weights of one layer, and has a convolution of two groups and a subclass."""

    def __init__(self):
        super().__init__()
        self.grouped, self.read = nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(3, 4, 1)
        self.own, self.head = type("Own", (nn.Linear,), {})(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.grouped(nn.functional.conv2d(x, self.read.weight))
        return self.head(self.own(x.mean((2, 3))))


def test_a_network_with_nothing_to_adapt_is_refused():
    with pytest.raises(InputError, match=r"no layer of odd .*mode full"):
        layers_to_adapt(Odd(), "odd", "head", 4)
    model = Odd()
    model.own = nn.Linear(4, 4)
    assert layers_to_adapt(model, "odd", "head", 4) == ["own"]


def test_without_peft_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install peft"):
        layers_to_adapt(nets.tiny(), "tiny", "9", 8)
