"""Sizes at which networks read images: --image-size, of single trials, of grids and of searches."""

import dataclasses

import pytest

from tests.images import pictures
from tests.tune_jobs.conftest import command_line
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.views import View
from tune_jobs import finetune
from tune_jobs.analysis.results import load_run, load_trials
from tune_jobs.command_line.options import DataOptions
from tune_jobs.search.image_sizes import with_sizes
from tune_jobs.search_space.space import Parameter
from tune_jobs.tuning.found_images import find_images
from tune_jobs.tuning.sizes import size_notes, sized, sizes_of_grid

pytestmark = pytest.mark.usefixtures("undrawn")

TINY = "tests.nets:tiny"


@pytest.fixture(scope="module")
def found():
    """Images whose shorter side is of a given length, with options of the command line."""
    digits = find_images(DataOptions())

    def make(side, *sizes, **options):
        given = DataOptions(image_size=sizes or ("auto",), **options)
        return dataclasses.replace(digits, side=side, options=given)

    return make


def config_of(model, weights=None):
    weights = weights or ("none" if model == "cnn" else "default")
    return TrialConfig(lr=1e-3, model=model, weights=weights)


@pytest.mark.parametrize(
    ("model", "weights", "side", "view", "input_size"),
    [
        # Small images stay as they are, at least as large as a network needs.
        ("cnn", None, 8, View(16), None),
        ("cnn", None, 16, View(16), None),
        ("cnn", None, 32, View(32), None),
        ("resnet18", None, 16, View(32), None),
        ("resnet18", "none", 32, View(32), None),
        ("timm:test_resnet", None, 28, View(32), None),
        (TINY, "none", 8, View(32), None),
        (TINY, "tiny.safetensors", 48, View(48), None),
        # Photographs are read at 64 pixels without weights, and as the weights know them.
        ("cnn", None, 400, View(64), None),
        (TINY, "none", 400, View(64), None),
        ("resnet18", None, 400, View(224, resize_to=256), None),
        ("resnet50", None, 400, View(224, resize_to=232), None),
        ("inception_v3", None, 400, View(299, resize_to=342), None),
        ("timm:test_resnet", None, 400, View(160, resize_to=168), None),
        ("timm:test_vit", None, 400, View(160, resize_to=168, interpolation="bicubic"), None),
        (TINY, "tiny.safetensors", 400, View(224, resize_to=256), None),
        # Up to twice as large as they are: stored as they are, and enlarged on the device.
        ("resnet18", None, 112, View(112), 224),
        ("resnet18", None, 111, View(111), None),
        ("timm:test_resnet", None, 100, View(100), 160),
    ],
)
def test_each_network_has_its_own_size(model, weights, side, view, input_size, found):
    config = sized(config_of(model, weights), "auto", found(side))
    assert config.view == view
    assert config.input_size == input_size


@pytest.mark.parametrize(
    ("model", "side", "view", "input_size"),
    [
        ("resnet18", 32, View(32), 224),
        ("resnet18", 224, View(224, resize_to=256), None),
        ("resnet18", 400, View(224, resize_to=256), None),
        ("timm:test_vit", 32, View(32), 160),
        ("timm:test_vit", 400, View(160, resize_to=168, interpolation="bicubic"), None),
    ],
)
def test_small_images_are_enlarged_to_the_native_size_when_asked(
    model, side, view, input_size, found
):
    config = sized(config_of(model), "native", found(side))
    assert (config.view, config.input_size) == (view, input_size)


@pytest.mark.parametrize(("model", "weights"), [("cnn", "none"), (TINY, "tiny.safetensors")])
def test_a_network_without_a_native_size_is_refused(model, weights, found):
    with pytest.raises(InputError, match=f"{model} does not define an image size"):
        sized(config_of(model, weights), "native", found(400))


@pytest.mark.parametrize("model", ["cnn", "resnet18", "timm:test_resnet", TINY])
@pytest.mark.parametrize("side", [8, 400])
def test_a_number_of_pixels_is_of_every_network(model, side, found):
    config = sized(config_of(model, "none"), 96, found(side))
    assert (config.view, config.input_size) == (View(96), None)


@pytest.mark.parametrize("resize", ["letterbox", "squash"])
@pytest.mark.parametrize("size", ["auto", 80])
def test_only_crops_are_cut_out_of_something_larger(resize, size, found):
    config = sized(config_of("resnet18"), size, found(400, resize=resize))
    assert config.view == View(224 if size == "auto" else 80, resize)


def test_trials_of_earlier_runs_have_the_size_of_their_images(found):
    earlier = dataclasses.replace(found(400), stored_size=12)
    assert sized(config_of("resnet18"), "auto", earlier) == config_of("resnet18")
    native = sized(config_of("resnet18"), "native", earlier)
    assert (native.view, native.input_size) == (None, 224)


# Grids


def test_several_sizes_are_an_axis_of_a_grid(found):
    trials = {f"{model},lr=0.001": config_of(model) for model in ("cnn", "resnet18")}
    grid = sizes_of_grid(trials, found(400, 96, "auto"))
    assert {name: config.network_size(0) for name, config in grid.items()} == {
        "cnn,lr=0.001,size=96": 96,
        "cnn,lr=0.001,size=64": 64,
        "resnet18,lr=0.001,size=96": 96,
        "resnet18,lr=0.001,size=224": 224,
    }


def test_one_size_is_no_part_of_the_names(found):
    assert list(sizes_of_grid({"lr=0.001": config_of("cnn")}, found(400, 96))) == ["lr=0.001"]


def test_a_size_that_is_given_in_two_ways_is_refused(found):
    with pytest.raises(InputError, match="224 native gives resnet18 224 pixels twice"):
        sizes_of_grid({"lr=0.001": config_of("resnet18")}, found(400, 224, "native"))


def test_a_grid_over_sizes_is_trained(local_ray, command, tmp_path):
    sizes = ["--image-size", 16, 24, "--lr", 1e-3, "--smoke-test"]
    assert command(*sizes, "--storage-path", tmp_path) == 0
    trials = load_trials(tmp_path / "lr-grid").set_index("trial")
    assert trials["config/image_size"].to_dict() == {"lr=0.001,size=16": 16, "lr=0.001,size=24": 24}
    assert set(trials["status"]) == {"finished"}
    assert load_run(tmp_path / "lr-grid")["options"]["data"]["image_size"] == [16, 24]


# Searches


LR = {"lr": Parameter(name="lr", kind="float", low=1e-4, high=1e-2, log=True)}


def search_of(found_images, *models):
    return with_sizes(LR, {model: config_of(model) for model in models}, found_images)


@pytest.mark.parametrize(
    ("side", "choices"), [(400, (32, 48, 64, 96, 128)), (100, (32, 48, 64, 96)), (70, (32, 48, 64))]
)
def test_a_search_over_the_cnn_tries_sizes_of_photographs(side, choices, found):
    space, bases = search_of(found(side), "cnn")
    assert space["image_size"].choices == choices
    assert bases["cnn"].view == View(64)


@pytest.mark.parametrize(
    ("model", "side", "sizes"),
    [("cnn", 32, ()), ("cnn", 400, (96,)), ("resnet18", 400, ()), ("resnet18", 400, ("native",))],
)
def test_other_searches_try_one_size(model, side, sizes, found):
    space, _ = search_of(found(side, *sizes), model)
    assert space == LR


def test_sizes_that_are_asked_for_are_searched(found):
    space, bases = search_of(found(400, 96, "auto"), "cnn")
    assert space["image_size"].choices == (96, 64)
    space, bases = search_of(found(400, 160, "native"), "resnet18")
    assert space["image_size"].choices == (160, 224)
    drawn = dataclasses.replace(bases["resnet18"], image_size=224)
    assert drawn.network_size(0) == 224


def test_each_network_of_a_search_has_its_own_native_size(found):
    space, bases = search_of(found(400, "native"), "resnet18", "inception_v3")
    assert space == LR
    assert bases["resnet18"].view == View(224, resize_to=256)
    assert bases["inception_v3"].view == View(299, resize_to=342)


def test_a_search_that_is_resumed_keeps_its_sizes(found):
    own = {**LR, "image_size": Parameter(name="image_size", kind="categorical", choices=(40, 50))}
    space, _ = with_sizes(own, {"cnn": config_of("cnn")}, found(400))
    assert space == own


def test_a_search_of_an_earlier_version_is_extended_at_its_one_size(found):
    earlier = dataclasses.replace(found(400), stored_size=12)
    space, bases = search_of(earlier, "cnn")
    assert space == LR
    assert bases["cnn"] == config_of("cnn")


def test_a_search_over_sizes_is_trained(local_ray, search, tmp_path):
    (tmp_path / "space.yaml").write_text("lr: {low: 1e-4, high: 1e-2, log: true}\n")
    sizes = ["--image-size", 16, 24, "--sampler", "random", "--trials", 5, "--smoke-test"]
    given = [*sizes, "--space", tmp_path / "space.yaml", "--storage-path", tmp_path]
    assert search(*given) == 0
    trials = load_trials(tmp_path / "optuna-search")
    assert set(trials["config/image_size"]) == {16, 24}
    assert set(trials["status"]) <= {"finished", "stopped"}


# What is said of them


def test_weights_that_know_larger_images_are_not_tested_fairly(found):
    small = found(32)
    (first, second) = size_notes([sized(config_of("resnet18"), "auto", small)], small)
    assert first == "resnet18 reads images at 32 pixels (crop)"
    for words in ("images of 224 pixels", "--image-size native", "49 times"):
        assert words in second


def test_a_cnn_that_gets_few_of_the_pixels_is_not_tested_fairly(found):
    photographs = found(400)
    _, note = size_notes([sized(config_of("cnn"), 32, photographs)], photographs)
    assert note.startswith("cnn sees 32 of the 400 pixels that these images have")
    assert "--image-size auto, which is 64" in note


@pytest.mark.parametrize(
    ("model", "weights", "side", "size"),
    [
        ("resnet18", None, 32, "native"),
        ("resnet18", None, 400, "auto"),
        ("resnet18", "none", 32, "auto"),
        ("cnn", None, 32, "auto"),
        ("cnn", None, 400, 48),
    ],
)
def test_nothing_more_is_said_of_other_sizes(model, weights, side, size, found):
    images = found(side)
    assert len(size_notes([sized(config_of(model, weights), size, images)], images)) == 1


@pytest.mark.parametrize(("size", "side"), [((), 224), (("native",), 224), ((40,), 40)])
def test_networks_read_photographs_at_the_size_that_is_said(size, side, local_ray, tmp_path, capfd):
    for i, image in enumerate(pictures(20, (300, 260))):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.jpg")
    chosen = ["--image-size", *size] if size else []
    arguments = ["--models", "squeezenet1_1", "--weights", "none", "--lr", 1e-4, "--smoke-test"]
    options = ["--data", tmp_path / "photos", "--storage-path", tmp_path / "runs"]
    assert command_line(finetune.finetune)(*arguments, *options, *chosen) == 0
    assert f"squeezenet1_1 reads images at {side} pixels (crop)" in capfd.readouterr().out
    (trial,) = load_trials(tmp_path / "runs" / "finetune").to_dict("records")
    assert (trial["status"], trial["config/image_size"]) == ("finished", side)
    assert load_run(tmp_path / "runs" / "finetune")["dataset"]["side"] == 260
