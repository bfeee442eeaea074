import importlib.util
import io
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.conftest import write_model
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.export import export
from trainables.models import list_models
from trainables.saved_model import load_model

SETTINGS = [
    *({"model": name} for name in list_models()),
    {"model": "resnet18", "normalize": "weights"},
    {"model": "tests.nets:tiny", "input_size": 16},
    {"model": "tests.nets:tiny", "input_size": 4},
]


@pytest.fixture(params=SETTINGS, ids=str)
def classifier(request, tiny_data, tmp_path):
    write_model(tmp_path, TrialConfig(lr=1e-3, **request.param), tiny_data)
    return load_model(tmp_path)


def test_onnx_gives_the_models_logits_for_bytes(classifier, digits):
    content = export(classifier, "onnx")
    session = onnxruntime.InferenceSession(content)
    for images in (digits.images[:1], digits.images[:50]):
        logits = session.run(["logits"], {"images": images})[0]
        np.testing.assert_allclose(logits, classifier.logits(images).numpy(), atol=1e-4)
    (classes,) = onnx.load_from_string(content).metadata_props
    assert json.loads(classes.value) == list(digits.classes)


def test_torchscript_gives_the_models_logits_for_bytes(classifier, digits):
    content = export(classifier, "torchscript")
    files = {"classes.json": ""}
    model = torch.jit.load(io.BytesIO(content), _extra_files=files)
    for images in (digits.images[:1], digits.images[:50]):
        logits = model(torch.from_numpy(images)).detach().numpy()
        np.testing.assert_allclose(logits, classifier.logits(images).numpy(), atol=1e-4)
    assert json.loads(files["classes.json"]) == list(digits.classes)


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_what_would_differ_is_not_exported(kind, tiny_data, tmp_path, monkeypatch):
    write_model(tmp_path, TrialConfig(lr=1e-3), tiny_data)
    classifier = load_model(tmp_path)
    logits = type(classifier).logits
    monkeypatch.setattr(type(classifier), "logits", lambda *given: logits(*given) + 1e-3)
    with pytest.raises(InputError, match=r"differs from the model by 0\.001"):
        export(classifier, kind)


def test_a_missing_package_is_named(tiny_data, tmp_path, monkeypatch):
    write_model(tmp_path, TrialConfig(lr=1e-3), tiny_data)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install onnx onnxruntime onnxscript"):
        export(load_model(tmp_path), "onnx")
