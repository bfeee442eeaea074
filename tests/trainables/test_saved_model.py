import json

import numpy as np
import pytest
import torch

from tests.conftest import write_model
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.precision import tf32_disabled
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS, load_model
from trainables.views import View


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"normalize": "dataset", "dropout": 0.1, "model_args": {"widths": [4, 8]}},
        {"model": "resnet18", "normalize": "weights", "input_size": 16},
        {"model": "tests.nets:tiny"},
    ],
)
def test_a_model_is_rebuilt_from_its_files_alone(settings, tiny_data, tmp_path):
    model = write_model(tmp_path, TrialConfig(lr=1e-3, **settings), tiny_data)
    classifier = load_model(tmp_path)
    assert classifier.classes == tiny_data.classes
    assert classifier.view == View(tiny_data.image_size, "squash")
    images = torch.from_numpy(tiny_data.val_images.read())
    with torch.inference_mode():
        expected = model.eval()(classifier.prepare(images))
    torch.testing.assert_close(classifier.logits(tiny_data.val_images), expected)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_predictions_do_not_depend_on_the_batch(name, digits, tiny_data, tmp_path):
    write_model(tmp_path, TrialConfig(lr=1e-3, model=name), tiny_data)
    classifier = load_model(tmp_path)
    images = digits.images[:130]
    whole = classifier.logits(images).softmax(1)
    single = torch.cat([classifier.logits(images[i : i + 1]) for i in range(130)]).softmax(1)
    assert (whole - single).abs().max() < 1e-5
    assert whole.dtype is torch.float32


def test_the_precision_of_convolutions_is_given_back():
    before = torch.backends.cudnn.conv.fp32_precision
    with tf32_disabled():
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision == before


def alter(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (MODEL_WEIGHTS, alter, "altered"),
        (MODEL_WEIGHTS, lambda content: content[:-9], "altered"),
        (MODEL_WEIGHTS, None, "holds no model.safetensors"),
        (MODEL_FILE, None, "holds no model.json"),
        (MODEL_FILE, lambda content: content[:40], "damaged"),
        (MODEL_FILE, lambda content: content.replace(b'"sha256"', b'"hash"'), "damaged"),
        (MODEL_FILE, lambda content: content.replace(b'"format": 2', b'"format": 9'), "upgrade"),
        (MODEL_FILE, lambda content: content.replace(b'"cnn"', b'"resnet18"'), "damaged"),
    ],
)
def test_what_cannot_be_used_is_refused(file, change, words, tiny_data, tmp_path):
    write_model(tmp_path, TrialConfig(lr=1e-3), tiny_data)
    if change is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(change((tmp_path / file).read_bytes()))
    with pytest.raises(InputError, match=words):
        load_model(tmp_path)


def test_the_description_is_plain_json(tiny_data, tmp_path):
    write_model(tmp_path, TrialConfig(lr=1e-3), tiny_data)
    about = json.loads((tmp_path / MODEL_FILE).read_text())
    assert about["model"] == "cnn"
    assert np.allclose(about["mean"], 0.5)
