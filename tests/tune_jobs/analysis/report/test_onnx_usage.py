import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from tests.conftest import write_model
from trainables.config import TrialConfig
from trainables.decoding import open_rgb, render
from trainables.export import export
from trainables.saved_model import load_model
from trainables.views import Decoding, View
from tune_jobs.analysis.report.onnx_usage import onnx_usage


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_data):
    """A folder with model.onnx, and the model that it was made of."""
    folder = tmp_path_factory.mktemp("exported")
    write_model(folder, TrialConfig(lr=1e-3), tiny_data)
    classifier = load_model(folder)
    (folder / "model.onnx").write_bytes(export(classifier, "onnx"))
    return folder, classifier


@pytest.mark.parametrize(
    "shape",
    [{}, {"resize": "letterbox"}, {"resize": "squash"}, {"resize_to": 20}],
    ids=["crop", "letterbox", "squash", "crop of a larger square"],
)
def test_the_code_of_the_card_classifies_as_predict_does(shape, exported, monkeypatch, capfd):
    folder, classifier = exported
    view = View(classifier.view.size, interpolation="bicubic", **shape)
    Image.fromarray(load_sample_image("china.jpg")).save(folder / "image.jpg", quality=95)
    content = (folder / "image.jpg").read_bytes()
    square = render(open_rgb(content, Decoding()), view, Decoding())
    expected = (classifier.logits(square[None]) / 2.5).softmax(1).numpy()[0]

    monkeypatch.chdir(folder)
    found = {}
    exec(onnx_usage(view, "white", 2.5), found)
    assert list(found["probabilities"]) == list(classifier.classes)
    np.testing.assert_allclose(list(found["probabilities"].values()), expected, atol=0.02)
    assert capfd.readouterr().out.startswith(classifier.classes[expected.argmax()])


@pytest.mark.parametrize("size", [(400, 533), (533, 400), (131, 90)])
@pytest.mark.parametrize("shape", [{}, {"resize": "squash"}, {"resize_to": 73}])
def test_the_code_of_the_card_makes_the_pixels_that_models_are_scored_on(size, shape):
    """Half a pixel beside them, one photograph in twenty is classified otherwise at 64 pixels."""
    view = View(64, **shape)
    image = Image.fromarray(load_sample_image("flower.jpg")).resize(size)
    code = onnx_usage(view, "white", 1.0)
    square = code[code.index('.convert("RGB")\n') + 16 : code.index("images =")]
    found = {"image": image, "Image": Image}
    exec(square, found)
    expected = render(image, view, Decoding())
    assert np.abs(np.asarray(found["image"]).astype(int) - expected).max() <= 1
