import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from PIL import Image

import bakeoff
from tests.conftest import write_model
from tests.tune_jobs.conftest import command_line
from trainables.arrays import DIGEST_BYTES
from trainables.config import TrialConfig
from trainables.saved_model import MODEL_FILE, load_model
from tune_jobs.predict import predict
from tune_jobs.run_folder.folder import TEST_IMAGES_FILE

run = command_line(predict)


@pytest.fixture
def images(tmp_path, digits):
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(digits.images[i]).save(folder / f"{i}.png")
    Image.fromarray(digits.images[3]).save(folder / "below" / "3.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def model(tmp_path, tiny_data):
    folder = tmp_path / "model"
    folder.mkdir()
    write_model(folder, TrialConfig(lr=1e-3), tiny_data)
    return folder


@pytest.mark.parametrize(("suffix", "read"), [("parquet", pd.read_parquet), ("csv", pd.read_csv)])
def test_a_folder_becomes_a_table(suffix, read, images, model, digits, tmp_path):
    output = tmp_path / f"table.{suffix}"
    assert run(images, "--model", model, "--output", output) == 0
    frame = read(output)
    expected = load_model(model).logits(digits.images[:4]).softmax(1).numpy()
    names = [f"{i}.png" for i in range(3)] + ["below/3.png"]
    assert list(frame["file"]) == [str(images / name) for name in names]
    probabilities = frame[[f"probability/{name}" for name in digits.classes]].to_numpy()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert [str(name) for name in frame["predicted"]] == [
        digits.classes[i] for i in expected.argmax(1)
    ]
    np.testing.assert_allclose(frame["probability"], expected.max(1), rtol=1e-5)


def test_probabilities_are_those_of_the_temperature_of_a_comparison(images, model, tmp_path):
    about = json.loads((model / MODEL_FILE).read_text())
    (model / MODEL_FILE).write_text(json.dumps(about | {"temperature": 4.0}))
    assert run(images / "0.png", "--model", model, "--output", tmp_path / "table.parquet") == 0
    classifier = load_model(model)
    logits = classifier.logits(np.asarray(Image.open(images / "0.png"))[None])
    found = pd.read_parquet(tmp_path / "table.parquet").iloc[0]
    assert found["probability"] == pytest.approx(float((logits / 4).softmax(1).max()), rel=1e-5)


@pytest.mark.parametrize("below", ["best", "model"], ids=["run", "comparison"])
def test_the_folder_of_a_run_or_a_comparison_has_the_model(below, images, model, tmp_path):
    (tmp_path / "whole").mkdir()
    model.rename(tmp_path / "whole" / below)
    output = tmp_path / "table.csv"
    assert run(images / "0.png", "--model", tmp_path / "whole", "--output", output) == 0
    assert pd.read_csv(output)["predicted"].notna().all()


def test_sealed_test_images_are_not_classified_without_a_word(images, model, tmp_path, capfd):
    """A copy under another name is one, and a run of an earlier version does not tell."""
    model.rename(tmp_path / "best")
    assert run(images, "--model", tmp_path) == 0
    assert "images are sealed" not in capfd.readouterr().out
    sealed = [hashlib.blake2b(file.read_bytes(), digest_size=DIGEST_BYTES).digest()
              for file in (images / "1.png", images / "below" / "3.png")]  # fmt: skip
    np.save(tmp_path / TEST_IMAGES_FILE, np.frombuffer(b"".join(sealed), np.uint8).reshape(2, -1))
    (images / "1.png").rename(images / "other.png")
    assert run(images, "--model", tmp_path) == 0
    said = "2 of 4 images are sealed test images of this run"
    assert said in capfd.readouterr().out
    with pytest.warns(UserWarning, match=said):
        frame = bakeoff.predict(images, model=tmp_path)
    assert len(frame) == 4


@pytest.fixture
def thresholds(model):
    """Let the model answer all images but the least sure at a risk of 5%, and all at 20%."""
    about = json.loads((model / MODEL_FILE).read_text())

    def choose(images):
        classifier = load_model(model)
        pixels = np.stack([np.asarray(Image.open(file)) for file in images])
        least = classifier.probabilities(pixels).max(1).values.sort().values
        chosen = [(0.05, float(least[1])), (0.2, 0.0)]
        rejection = [{"risk": r, "threshold": t, "coverage": 0.9} for r, t in chosen]
        (model / MODEL_FILE).write_text(json.dumps(about | {"rejection": rejection}))

    return choose


@pytest.mark.parametrize(("risk", "answers"), [(5, 3), (12.5, 3), (30, 4)])
def test_images_of_which_the_model_is_not_sure_are_not_answered(
    risk, answers, images, model, thresholds, tmp_path, capfd
):
    files = [images / "0.png", images / "1.png", images / "2.png", images / "below/3.png"]
    thresholds(files)
    (images / "4.png").write_bytes(b"no image at all")
    given = [images, "--model", model, "--reject-above", risk]
    assert run(*given, "--output", tmp_path / "table.parquet") == 0
    frame = pd.read_parquet(tmp_path / "table.parquet")
    assert frame["answered"].sum() == answers
    assert f"{answers} of 4 images answered" in capfd.readouterr().out
    assert frame["predicted"].notna().tolist() == frame["answered"].tolist()
    assert not frame.loc[frame["error"].notna(), "answered"].any()
    left_out = frame[~frame["answered"] & frame["error"].isna()]
    assert (left_out["probability"] < frame[frame["answered"]]["probability"].min()).all()
    assert run(*given) == 0
    assert capfd.readouterr().out.count("not answered") == 4 - answers


def test_a_risk_without_a_threshold_is_refused_with_what_to_do(
    images, model, thresholds, assert_one_message
):
    given = [images / "0.png", "--model", model, "--reject-above"]
    assert run(*given, 5) == 2
    assert_one_message(["--reject-above 5", "no thresholds", "the folder of a comparison"])
    thresholds([images / "0.png", images / "1.png"])
    assert run(*given, 1) == 2
    assert_one_message(["a risk of 1%", "in percent: 5, 20", "more validation images"])


def test_files_are_classified_on_the_terminal(images, model, capfd):
    assert run(images / "0.png", images / "2.png", "--model", model) == 0
    printed = capfd.readouterr().out
    assert "0.png" in printed
    assert "2.png" in printed
    assert printed.count("%") == 2


@pytest.mark.parametrize(("suffix", "read"), [("parquet", pd.read_parquet), ("csv", pd.read_csv)])
def test_a_damaged_file_is_a_row_that_says_why(suffix, read, images, model, tmp_path):
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:60])
    (images / "2.png").write_bytes(b"")
    output, before = tmp_path / f"table.{suffix}", tmp_path / "before.csv"
    good = [images / "0.png", images / "below" / "3.png"]
    assert run(*good, "--model", model, "--output", before) == 0
    assert run(images, images / "notes.txt", "--model", model, "--output", output) == 0
    frame = read(output)
    assert len(frame) == 5
    bad = frame[frame["error"].notna()]
    assert [Path(file).name for file in bad["file"]] == ["1.png", "2.png", "notes.txt"]
    assert "not an image" in bad["error"].iloc[2]
    scores = [name for name in frame if name.startswith("probability")]
    assert bad[["predicted", *scores]].isna().all(axis=None)
    right = frame[frame["error"].isna()].reset_index(drop=True)
    columns = ["file", *scores]
    pd.testing.assert_frame_equal(right[columns], pd.read_csv(before)[columns])
    assert right["predicted"].astype(float).tolist() == pd.read_csv(before)["predicted"].tolist()


def test_a_damaged_file_does_not_stop_the_terminal(images, model, capfd):
    (images / "1.png").write_bytes(b"no image at all")
    assert run(images, "--model", model) == 0
    printed = capfd.readouterr().out
    assert printed.count("%") == 3
    assert "not an image" in printed


def test_an_exported_model_classifies_as_the_model_does(model, digits, tmp_path, capfd):
    output = tmp_path / "table.csv"  # for which there are no images
    assert run("--model", model, "--export", "onnx", "--output", output) == 0
    assert "8×8" in capfd.readouterr().out
    assert not output.exists()
    session = onnxruntime.InferenceSession(model / "model.onnx")
    logits = session.run(["logits"], {"images": digits.images[:9]})[0]
    np.testing.assert_allclose(logits, load_model(model).logits(digits.images[:9]), atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--export"]),
        (["{images}/0.png", "--output", "table.txt"], ["table.txt", ".parquet or .csv"]),
        (["{images}/0.png", "--output", "none/table.csv"], ["none/table.csv", "does not exist"]),
        (["{images}/0.png", "--reject-above", "0"], ["--reject-above is 0", "percentage"]),
        (["{images}/9.png"], ["9.png", "check the path"]),
        (["{images}/empty"], ["empty", "no images"]),
        (["{images}", "--model", "{images}"], ["model.json", "of a run or of a comparison"]),
    ],
)
def test_bad_input_is_one_message(arguments, words, images, model, assert_one_message):
    (images / "empty").mkdir()
    given = [word.format(images=images) for word in arguments]
    assert run(*(given if "--model" in given else [*given, "--model", model])) == 2
    assert_one_message(words)
