"""What a hostile or damaged model.json is refused for."""

import hashlib
import json
import math

import pytest
from safetensors.torch import load, save

from tests.conftest import write_model
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.model_file import parse_description
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS, load_model


@pytest.fixture(scope="module")
def folder(tiny_data, tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    write_model(made, TrialConfig(lr=1e-3, model_args={"widths": [4, 8]}), tiny_data)
    return made


@pytest.fixture
def about(folder):
    return json.loads((folder / MODEL_FILE).read_text())


THRESHOLD = {"risk": 0.05, "threshold": 0.8, "coverage": 0.9}
VIEW = {"size": 8, "resize": "squash", "resize_to": None, "interpolation": "bilinear"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "2"), ("format", None), ("format", True),
        ("model", 3), ("model", None), ("model", ["cnn"]), ("model", ""), ("model", "a\x1b[2J"),
        ("model", "n" * 2000),
        ("model_args", []), ("model_args", {"widths": {"a": 1}}), ("model_args", {"widths": [1e9]}),
        ("model_args", {"dropout": math.nan}), ("model_args", {"hidden_units": 10**30}),
        ("classes", [1, 2]), ("classes", [["a"], ["b"]]), ("classes", None),
        ("classes", "0123456789"),
        ("classes", [None, "a"]), ("classes", ["a", "a"]), ("classes", []), ("classes", {"a": 1}),
        ("classes", ["n" * 2000, "a"]),
        ("mean", [math.nan, 0.5, 0.5]), ("mean", [1e30, 0.5, 0.5]), ("mean", 0.5), ("mean", [0.5]),
        ("mean", ["a", "b", "c"]), ("mean", None),
        ("std", [0, 0.5, 0.5]), ("std", [-1, 0.5, 0.5]), ("std", [math.inf, 0.5, 0.5]),
        ("std", [True, True, True]),
        ("input_size", 0), ("input_size", "8"), ("input_size", 10**9), ("input_size", 8.5),
        ("sha256", None), ("sha256", "0"), ("sha256", "é" * 64),
        ("view", None), ("view", []), ("view", VIEW | {"size": 10**6}), ("view", {}),
        ("view", VIEW | {"size": -1}),
        ("view", VIEW | {"resize": "magic"}), ("view", VIEW | {"resize": ["crop"]}),
        ("view", VIEW | {"resize_to": 4}), ("view", VIEW | {"more": 1}), ("view", {"size": 8}),
        ("decoding", None), ("decoding", {}), ("decoding", {"background": [1, 2, 300]}),
        ("decoding", {"background": [1, 2, 3], "white_level": 0}),
        ("decoding", {"background": "red", "white_level": None}),
        ("temperature", "1"), ("temperature", 0), ("temperature", math.nan),
        ("rejection", {}), ("rejection", [0.5]), ("rejection", [{"risk": 0.1}]),
        ("rejection", [THRESHOLD | {"risk": math.nan}]), ("rejection", [THRESHOLD | {"more": 1}]),
        ("rejection", [THRESHOLD | {"threshold": "1"}]), ("rejection", [THRESHOLD] * 2000),
    ],
)  # fmt: skip
def test_an_entry_that_breaks_its_rule_is_named(name, value, about):
    with pytest.raises(InputError, match=f"damaged.*{name}"):
        parse_description(json.dumps(about | {name: value}).encode())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"3", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{" * 9, b"9" * 5000]
)
def test_what_is_no_object_is_refused(content):
    with pytest.raises(InputError, match="damaged"):
        parse_description(content)


def test_every_entry_is_needed(about):
    for name in set(about):
        without = {key: value for key, value in about.items() if key != name}
        with pytest.raises(InputError, match=f"damaged.*{name}"):
            parse_description(json.dumps(without).encode())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_args": {"widths": [10**6, 10**6]}}, "more weights"),
        ({"model_args": {"widths": [-4, 8]}}, "widths"),
        ({"model_args": {"kernel_size": 4}}, "odd"),
        ({"model_args": {"colour": 4}}, "colour"),
        ({"classes": ["a", "b"]}, "another network"),
        ({"model": "cnn2"}, "unknown"),
    ],
)
def test_a_network_that_cannot_be_is_one_message(changes, words, about, folder, tmp_path):
    (tmp_path / MODEL_FILE).write_text(json.dumps(about | changes))
    (tmp_path / MODEL_WEIGHTS).write_bytes((folder / MODEL_WEIGHTS).read_bytes())
    with pytest.raises(InputError, match=words):
        load_model(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(value, about, folder, tmp_path):
    state = load((folder / MODEL_WEIGHTS).read_bytes())
    next(each for each in state.values() if each.is_floating_point()).view(-1)[0] = value
    weights = save({name: tensor.contiguous() for name, tensor in state.items()})
    digest = hashlib.sha256(weights).hexdigest()
    (tmp_path / MODEL_WEIGHTS).write_bytes(weights)
    (tmp_path / MODEL_FILE).write_text(json.dumps(about | {"sha256": digest}))
    with pytest.raises(InputError, match="not finite"):
        load_model(tmp_path)
