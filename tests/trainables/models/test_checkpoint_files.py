"""Checkpoints as trainers save them."""

import argparse

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from tests import nets
from tests.trainables.models.networks import state_of
from trainables.errors import InputError
from trainables.models import build_model
from trainables.models.weights import load_weights, read_weights

TINY = "tests.nets:tiny"


@pytest.fixture
def network():
    torch.manual_seed(1)
    return nets.tiny()


def load(content, folder):
    torch.save(content, folder / "checkpoint.pt")
    model = build_model(TINY, 10, 16)
    load_weights(model, TINY, 16, read_weights(TINY, str(folder / "checkpoint.pt")))
    return model


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "net.0."]
)
@pytest.mark.parametrize("place", [None, "model_state_dict", "state_dict", "model"])
def test_a_checkpoint_is_read_whatever_its_trainer_calls_the_network(
    prefix, place, network, tmp_path
):
    state = prefixed(network.state_dict(), prefix)
    model = load(state if place is None else {"epoch": 3, place: state}, tmp_path)
    assert torch.equal(model[0].weight, network[0].weight)


@pytest.mark.parametrize("place", ["model_ema", "state_dict_ema"])
def test_averaged_weights_are_preferred(place, network, tmp_path):
    averaged = AveragedModel(network)
    with torch.no_grad():
        averaged.module[0].weight += 1
    options = argparse.Namespace(lr=0.1)
    content = {"model": network.state_dict(), place: averaged.state_dict(), "args": options}
    model = load(content, tmp_path)
    assert torch.equal(model[0].weight, network[0].weight + 1)


def test_a_prefix_of_some_names_is_named(network, tmp_path):
    state = prefixed(network.state_dict(), "student.net.") | {"teacher.weight": torch.ones(2)}
    with pytest.raises(InputError) as error:
        load({"state_dict": state}, tmp_path)
    fitting, names = len(network.state_dict()), len(state)
    assert f"{fitting} of its {names} names fit without the prefix 'student.net.'" in str(
        error.value
    )


def test_weights_that_diverged_are_refused(network, tmp_path):
    with torch.no_grad():
        network[0].bias[3] = float("nan")
    with pytest.raises(InputError, match=r"NaN in 0\.bias"):
        load(network.state_dict(), tmp_path)


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"weights": {"a": torch.ones(1)}}, {}, {5: torch.ones(1)}]
)
def test_a_file_without_a_state_dict_is_refused_by_what_it_holds(content, tmp_path):
    with pytest.raises(InputError) as error:
        load(content, tmp_path)
    assert "no state dict" in str(error.value)
    assert "model_state_dict" in str(error.value)
    assert all(repr(key) in str(error.value) for key in content)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02t.", b"\x80\x02h\x05.", b"\x80\x02J\x01.", b"\x80\x02}i.", b"PK\3\4"]
)
def test_a_damaged_file_is_refused(content, tmp_path):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pt (cannot be read|is refused)"):
        read_weights(TINY, str(tmp_path / "weights.pt"))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_a_network_with_several_heads_fit_its_body(prefix):
    name = "timm:levit_128s"
    published = state_of(name, 64)
    model = build_model(name, 3, 64)
    load_weights(model, name, 64, prefixed(published, prefix))
    key = "stem.conv1.linear.weight"
    assert torch.equal(model.body.state_dict()[key], torch.from_numpy(published[key]))
    again = {key: value.numpy() for key, value in model.state_dict().items()}
    load_weights(build_model(name, 5, 64), name, 64, again)  # as this package saves them
