import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from tests import nets
from trainables import features
from trainables.cache_files import cache_folder
from trainables.checkpoint import load_checkpoint, save_checkpoint, unpack
from trainables.config import PENALTIES, TrialConfig
from trainables.data import ImageRows
from trainables.errors import InputError
from trainables.loop import fit
from trainables.models import build_model
from trainables.models.weights import read_weights
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import Preparation
from trainables.probe import Probe

CPU = torch.device("cpu")
TINY = "tests.nets:tiny"
COSTS = ("seconds", "features_s", "images_per_second", "peak_memory_mb")


def make_config(penalty=0.01, **changes):
    base = {"model": TINY, "precision": "fp32", "weights": "file"}
    return TrialConfig(**{"lr": 1.0, **base, **changes}).as_probe(penalty)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    save_file(nets.tiny().state_dict(), tmp_path / "tiny.safetensors")
    return read_weights(TINY, str(tmp_path / "tiny.safetensors"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def train(config, data, weights, **options):
    """The only epoch of a trial without what it cost, and the head."""
    states = []
    (row,) = fit(config, data, lambda _, state: states.append(state), weights=weights, **options)
    for state in states:
        correct = unpack(state["correct"], len(data.val_labels))
        assert correct.mean() == pytest.approx(row["val_accuracy"])
    return {k: v for k, v in row.items() if k not in COSTS}, states and states[0]["best"]


def test_the_whole_network_scores_as_its_head_did(tiny_data, weights):
    row, head = train(make_config(), tiny_data, weights)
    whole = features.whole_model(make_config(), 10, tiny_data.image_size, weights, head)
    for key, value in weights.items():
        if not key.startswith("9."):
            assert np.array_equal(whole[key].numpy(), value)
    model = build_model(TINY, 10, tiny_data.image_size)
    model.load_state_dict(whole)
    prepare = Preparation((0.5,) * 3, (0.5,) * 3, CPU)
    images = torch.from_numpy(tiny_data.val_images.read())
    logits = predict(model, images, prepare, Autocast("fp32", CPU))
    accuracy = (logits.argmax(1).numpy() == tiny_data.val_labels).mean()
    assert row["val_accuracy"] == pytest.approx(accuracy)


def test_the_head_is_that_of_scikit_learn_on_standardised_features(tiny_data, weights):
    row, head = train(make_config(0.1), tiny_data, weights)
    raw = features.compute_features(make_config(), tiny_data, weights, CPU, "fp32")
    mean, std = raw["train"].mean(0), raw["train"].std(0)
    n = len(tiny_data.train_labels)
    reference = LogisticRegression(C=1 / (0.1 * n), tol=1e-9, max_iter=10_000)
    reference.fit((raw["train"] - mean) / std, tiny_data.train_labels)
    expected = reference.predict_proba((raw["val"] - mean) / std)
    logits = raw["val"] @ head["weight"].numpy().T + head["bias"].numpy()
    found = torch.from_numpy(logits).softmax(1).numpy()
    np.testing.assert_allclose(found[:, reference.classes_], expected, atol=0.01)
    assert row["penalty"] == 0.1


def test_each_trial_has_the_time_that_its_features_took(tiny_data, weights):
    rows = [
        fit(make_config(penalty), tiny_data, lambda *_: None, weights=weights)[0]
        for penalty in (0.1, 0.01)
    ]
    assert rows[0]["features_s"] == rows[1]["features_s"] > 0  # the second read them from the cache


def test_a_trial_of_one_penalty_does_not_depend_on_earlier_ones(tiny_data, weights, monkeypatch):
    alone = train(make_config(0.03), tiny_data, weights)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder().parent / "other"))
    for penalty in reversed(PENALTIES):
        train(make_config(penalty), tiny_data, weights)
    again = train(make_config(0.03), tiny_data, weights)
    assert alone[0] == again[0]
    assert all(torch.equal(alone[1][key], again[1][key]) for key in alone[1])


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_without_a_penalty_the_best_of_the_path_is_kept(tiny_data, weights, metric):
    rows = [
        train(make_config(penalty, metric=metric), tiny_data, weights)[0] for penalty in PENALTIES
    ]
    sign = -1 if metric == "log_loss" else 1
    best = max(rows, key=lambda row: (sign * row[f"val_{metric}"], -row["val_loss"]))
    assert train(make_config(None, metric=metric), tiny_data, weights)[0] == best


def test_class_weights_count(tiny_data, weights):
    plain, heavy = (
        train(make_config(class_weights=each), tiny_data, weights)[1]
        for each in ("none", '{"0": 50, ' + ", ".join(f'"{i}": 1' for i in range(1, 10)) + "}")
    )
    assert heavy["bias"][0] - heavy["bias"].mean() > plain["bias"][0] - plain["bias"].mean()


def test_a_finished_trial_is_not_fitted_again(tiny_data, weights, tmp_path):
    config = make_config()
    fit(config, tiny_data, lambda _, state: save_checkpoint(tmp_path, state), weights=weights)
    state = load_checkpoint(tmp_path)
    row, reported = train(config, tiny_data, weights, resume=state)
    assert reported == []
    assert row == {k: v for k, v in state["history"][0].items() if k not in COSTS}


def test_features_are_computed_once_for_all_heads(tiny_data, weights, monkeypatch):
    computed = []
    compute = features.compute_features
    monkeypatch.setattr(
        features, "compute_features", lambda *args: computed.append(1) or compute(*args)
    )
    for penalty in (1.0, 0.1, None):
        train(make_config(penalty), tiny_data, weights)
    assert len(computed) == 1
    train(make_config(), tiny_data, {**weights, "0.bias": weights["0.bias"] + 1})
    brighter = dataclasses.replace(
        tiny_data, train_images=ImageRows(tiny_data.train_images.read() + 1)
    )
    train(make_config(), brighter, weights)
    train(make_config(normalize="weights"), tiny_data, weights)
    assert len(computed) == 4


def test_other_labels_give_other_heads_of_the_same_features(tiny_data, weights):
    _, head = train(make_config(), tiny_data, weights)
    turned = dataclasses.replace(tiny_data, train_labels=(tiny_data.train_labels + 1) % 10)
    _, other = train(make_config(), turned, weights)
    assert not torch.equal(head["weight"], other["weight"])


def test_features_are_those_of_a_network_as_it_is_written(tiny_data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    config = make_config(model="own_network:net")
    keys = []
    for scale in (1, 2):
        file = tmp_path / "own_network.py"
        file.write_text(f"def net(num_classes): ...\nSCALE = {scale}  # of what forward does\n")
        keys.append(features.content_key(config, tiny_data, {}, CPU, "fp32"))
    assert keys[0] != keys[1]


NORMALISING = """
from torch import nn

class Normalising(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 5)

    def forward(self, x):
        return self.head(x.mean((2, 3)) / x.std((1, 2, 3), keepdim=True).flatten(1))

def net():
    return Normalising()
"""


def test_features_that_are_not_finite_are_refused(tiny_data, tmp_path, monkeypatch):
    """As those of an image of one colour, in a network that divides by its contrast."""
    monkeypatch.syspath_prepend(tmp_path)
    Path(tmp_path, "normalising_network.py").write_text(NORMALISING)
    config = make_config(model="normalising_network:net")
    state = build_model(config.model, 10, tiny_data.image_size).state_dict()
    images = tiny_data.train_images.read()
    images[3] = 128
    blank = dataclasses.replace(tiny_data, train_images=ImageRows(images))
    weights = {key: value.numpy() for key, value in state.items()}
    train(config, tiny_data, weights)
    with pytest.raises(InputError, match=r"infinite or NaN for 1 of .* --normalize"):
        train(config, blank, weights)


def test_features_that_were_long_not_used_are_deleted(tiny_data, weights):
    def names(**changes):
        train(make_config(**changes), tiny_data, weights)
        return {f for f in (cache_folder() / "features").iterdir() if f.name.endswith("val.npy")}

    def grow_old(files, days):
        for file in files:
            key = file.name.removesuffix("val.npy")
            for each in file.parent.glob(f"{key}*.npy"):
                os.utime(each, (time.time() - days * 24 * 3600,) * 2)

    first = names()
    second = names(normalize="weights") - first
    assert len(first) == len(second) == 1
    grow_old(first | second, features.UNUSED_DAYS + 1)
    assert names() == first | second  # found, and used again
    left = names(normalize="dataset")
    assert first < left
    assert not second & left


def test_resampled_scores_are_those_of_heads_that_did_not_see_the_images(tiny_data, weights):
    probe = Probe(make_config(), tiny_data, weights, CPU, "fp32")
    n, held = len(tiny_data.train_labels), len(tiny_data.val_labels)
    own = np.arange(n), np.arange(n, n + held)
    rng = np.random.default_rng(0)
    order = rng.permutation(n + held)
    other = np.sort(order[held:]), np.sort(order[:held])
    scores = probe.resampled(0.01, [own, other])
    head = probe.fit(probe.train, probe.train_labels, 0.01)
    assert scores[0] == pytest.approx(probe.scores(head)["val_accuracy"])
    assert scores == probe.resampled(0.01, [own, other])
    assert scores[::-1] == pytest.approx(probe.resampled(0.01, [other, own]))


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_a_penalty_is_above_zero(penalty):
    with pytest.raises(InputError, match=r"penalty .* above 0"):
        make_config(penalty)


def test_heads_of_subsets_share_the_features_of_all_images(tiny_data, weights, monkeypatch):
    computed = []
    compute = features.compute_features
    monkeypatch.setattr(features, "compute_features", lambda *a: computed.append(1) or compute(*a))
    config = make_config(precision="fp32")
    whole = Probe(config, tiny_data, weights, CPU, "fp32")
    for chosen in (np.arange(0, 40, 2), np.arange(1, 40, 2)):
        part = dataclasses.replace(
            tiny_data,
            train_images=tiny_data.train_images.take(chosen),
            train_labels=tiny_data.train_labels[chosen],
            whole=tiny_data,
            chosen=chosen,
        )
        probe = Probe(config, part, weights, CPU, "fp32")
        raw = torch.from_numpy(np.array(whole.features.train[chosen]))
        assert torch.allclose(probe.mean, raw.mean(dim=0), atol=1e-6)
        fresh = Probe(config, dataclasses.replace(part, whole=None, chosen=None), weights, CPU,
                      "fp32")  # fmt: skip
        for penalty in (1e-2,):
            expected, found = (each.path(penalty)[penalty].weight for each in (fresh, probe))
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-2)
    assert len(computed) == 3  # of all images once, and of both parts for comparison
