import json

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from trainables.class_weights import class_weights, read_class_weights
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.step import criterion

CLASSES = ("cat", "dog", "eel")


def test_balanced_is_that_of_scikit_learn():
    labels = [0] * 90 + [1] * 9 + [2]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights("balanced", (90, 9, 1), CLASSES) == pytest.approx(expected)


def test_a_class_without_training_images_does_not_change_the_others():
    assert class_weights("balanced", (9, 1, 0), CLASSES) == [10 / 18, 10 / 2, 1.0]


def test_none_weighs_nothing():
    assert class_weights("none", (1, 1, 1), CLASSES) is None


def test_a_file_is_needed_once(tmp_path):
    file = tmp_path / "weights.json"
    file.write_text('{"eel": 10, "cat": 0.5,\n "dog": 1}')
    setting = read_class_weights(str(file))
    file.unlink()
    assert read_class_weights(setting) == setting  # as of a run that is resumed
    config = TrialConfig.from_dict(json.loads(json.dumps({"lr": 0.1, "class_weights": setting})))
    weights = class_weights(config.class_weights, (30, 20, 10), CLASSES)
    assert [weight / weights[1] for weight in weights] == pytest.approx([0.5, 1, 10])
    assert np.average(weights, weights=(30, 20, 10)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat: 1", "no JSON"),
        ('{"cat": ' + "[" * 100_000, "no JSON"),
        ("[1, 2, 3]", "must map class names to weights"),
        ("{}", "must map class names to weights"),
        ('{"cat": 0}', "weight 0 for class 'cat'"),
        ('{"cat": -1.5}', "weight -1.5 for class 'cat'"),
        ('{"cat": NaN}', "weight nan for class 'cat'"),
        ('{"cat": Infinity}', "finite"),
        ('{"cat": "2"}', "weight '2' for class 'cat'"),
        ('{"cat": true}', "weight True"),
        ('{"cat": {"a": 1}}', "weight {'a': 1}"),
        ('{"cat": 1, "cat": 2}', "'cat' twice"),
    ],
)
def test_a_bad_file_is_refused_by_what_is_wrong(text, words, tmp_path):
    file = tmp_path / "weights.json"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_class_weights(str(file))
    assert words in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("value", ["balance", "", "no/such/file.json", "/", "/dev/zero"])
def test_what_is_no_file_is_refused(value):
    with pytest.raises(InputError, match="none, balanced or a JSON file"):
        read_class_weights(value)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"cat": 1, "dog": 1, "eel": 1, "emu": 1}, "'emu', which must be classes of the images"),
        ({"cat": 1, "eel": 2}, "lack 'dog'"),
    ],
)
def test_names_must_be_those_of_the_classes(weights, words):
    with pytest.raises(InputError, match=words):
        class_weights(json.dumps(weights), (1, 1, 1), CLASSES)


def test_only_the_ratios_of_weights_matter():
    weights = json.dumps({"cat": 1e308, "dog": 1e308, "eel": 0.5e308})
    assert class_weights(weights, (1, 1, 2), CLASSES) == pytest.approx([4 / 3, 4 / 3, 2 / 3])


def test_a_setting_is_no_path():
    with pytest.raises(InputError, match=r"class_weights 'weights\.json'"):
        TrialConfig(lr=0.1, class_weights="weights.json")


@pytest.mark.parametrize("loss", ["cross_entropy", "softmax_cross_entropy"])
def test_the_loss_is_the_weighted_mean_over_images(loss):
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, 3, generator=generator), torch.arange(50) % 3
    weights = torch.tensor([0.5, 1, 10])
    inputs = logits.softmax(1) if loss == "softmax_cross_entropy" else logits
    each = F.cross_entropy(inputs, labels, reduction="none")
    expected = (each * weights[labels]).sum() / len(labels)
    torch.testing.assert_close(criterion(loss, logits, labels, class_weights=weights), expected)
