"""Tests that need a GPU; all other tests run on the CPU."""

import numpy as np
import pytest
import torch

from tests.conftest import write_model
from tests.images import training_data
from tests.trainables.test_loop import assert_identical, make_config, train, train_until
from trainables import costs
from trainables.augment import build_augmentation
from trainables.config import TrialConfig
from trainables.cuda_graph import CapturedPass
from trainables.features import compute_features
from trainables.loop import fit
from trainables.mixing import build_mixing
from trainables.models import build_model
from trainables.models.weights import read_weights
from trainables.saved_model import load_model
from trainables.step import Step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
SETTINGS = [
    {"augment": "flip_crop"},
    {"augment": "strong", "mixup": 0.2, "cutmix": 1.0},
    {"precision": "bf16"},
    {"precision": "fp16"},
    {"optimizer": "sgd", "schedule": "one_cycle"},
    {"model": "resnet18", "model_args": {}},
    {"ema": 0.99, "clip_norm": 0.1, "warmup": 0.2, "schedule": "cosine"},
    {"ema": 0.99, "clip_norm": 0.1, "precision": "fp16"},
    {"patience": 1, "lr": 1e-4},
    {"model": "convnext_tiny", "model_args": {}, "input_size": 32, "drop_path": 0.3,
     "layer_decay": 0.8, "optimizer": "adamw", "lr": 1e-4},
]  # fmt: skip
FAMILIES = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 32, "efficientnet_b0": 32, "googlenet": 32,
    "maxvit_t": 224, "mnasnet0_5": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32,
    "regnet_y_400mf": 32, "shufflenet_v2_x0_5": 32, "squeezenet1_1": 64, "swin_t": 224,
    "swin_v2_t": 256, "vgg11_bn": 32, "vit_b_16": 224, "inception_v3": 75,
}  # fmt: skip
"""A network of each model family of torchvision, and an image size in pixels that it accepts."""


@pytest.fixture(scope="module")
def data(digits):
    return training_data(digits.images, digits.labels, digits.classes)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_loss_falls_on_digits(precision, data):
    config = make_config(epochs=4, batch_size=32, precision=precision)
    history = fit(config, data, lambda *_: None, device=GPU)
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[-1]["val_accuracy"] > 0.8


def test_bf16_is_what_auto_means(data):
    states = []
    config = make_config(precision="auto", epochs=1)
    fit(config, data, lambda _, state: states.append(state["precision"]), device=GPU)
    assert states == ["bf16"]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_interrupted_trial_ends_as_if_nothing_had_happened(settings, data, tmp_path):
    config = make_config(**settings)
    state = train_until(1, config, data, tmp_path, device=GPU)
    resumed = train(config, data, device=GPU, resume=state)
    assert_identical(resumed, train(config, data, device=GPU))


@pytest.fixture
def replays(monkeypatch):
    """One entry per replay of a CUDA graph."""
    entries = []
    replay = CapturedPass.__call__
    monkeypatch.setattr(CapturedPass, "__call__", lambda *args: entries.append(1) or replay(*args))
    return entries


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_captured_passes_train_like_eager_ones(settings, data, replays, monkeypatch):
    config = make_config(batch_size=32, **settings)
    captured = train(config, data, device=GPU)
    full = len(data.train_labels) // 32
    assert len(replays) == len(captured[0]) * (full - 1)
    monkeypatch.setattr(Step, "_pass", Step._backward)
    assert_identical(captured, train(config, data, device=GPU))


@pytest.mark.parametrize("model", ["resnet18", "swin_t"])
def test_adapters_are_captured_and_learn_as_eager_ones(model, tiny_data, replays, monkeypatch):
    size = FAMILIES.get(model, 32)
    config = TrialConfig(lr=1e-3, epochs=2, batch_size=8, model=model, input_size=size,
                         weights="file", mode="lora", ema=0.9)  # fmt: skip
    torch.manual_seed(0)
    start = {key: value.numpy() for key, value in build_model(model, 10, size).state_dict().items()}
    captured = fit(config, tiny_data, lambda *_: None, device=GPU, weights=start)
    assert len(replays) == 2 * 4
    monkeypatch.setattr(Step, "_pass", Step._backward)
    eager = fit(config, tiny_data, lambda *_: None, device=GPU, weights=start)
    assert captured[-1]["train_loss"] == pytest.approx(eager[-1]["train_loss"], rel=1e-3)


@pytest.mark.parametrize("augment", ["flip_crop", "photo", "strong"])
def test_augmentation_never_waits_for_the_gpu(augment):
    config = TrialConfig(lr=1.0, augment=augment, vertical_flip=augment != "flip_crop",
                         rotation=10.0, mixup=0.2, cutmix=1.0)  # fmt: skip
    images = torch.randint(256, (32, 24, 24, 3), device=GPU).to(torch.uint8)
    labels = torch.arange(32, device=GPU) % 10
    augmentation, mixing = build_augmentation(config, 24), build_mixing(config, 10)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch, target = mixing(augmentation(images, labels), labels)
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    assert (batch.shape, batch.dtype, batch.device.type) == ((32, 24, 24, 3), torch.uint8, "cuda")
    torch.testing.assert_close(target.sum(1), torch.ones(32, device=GPU))


@pytest.mark.parametrize(("first", "second"), [(CPU, GPU), (GPU, CPU)])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_trial_moves_between_cpu_and_gpu(optimizer, first, second, data, tmp_path):
    config = make_config(optimizer=optimizer, lr=0.01, batch_size=32)
    state = train_until(1, config, data, tmp_path, device=first)
    history = fit(config, data, lambda *_: None, device=second, resume=state)
    assert history[:1] == state["history"]
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_a_batch_that_does_not_fit_is_split_with_the_same_result(data):
    # Without batch normalisation, which would use the statistics of each micro-batch.
    config = make_config(model="vgg11", model_args={"dropout": 0.0}, input_size=64, lr=1e-4,
                         batch_size=512, epochs=1)  # fmt: skip
    whole = fit(config, data, lambda *_: None, device=GPU)[0]
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.8 * whole["peak_memory_mb"] * 1e6 / total)
    try:
        divided = fit(config, data, lambda *_: None, device=GPU)[0]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert whole["micro_batch"] == 512
    assert divided["micro_batch"] < 512
    assert divided["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-2)


def test_peak_memory_is_that_of_the_gpu(data):
    small, large = (
        fit(make_config(epochs=1, batch_size=size), data, lambda *_: None, device=GPU)[0]
        for size in (16, 256)
    )
    assert 0 < small["peak_memory_mb"] < large["peak_memory_mb"] < 500


@pytest.mark.parametrize(
    ("model", "args"), [("cnn", {}), ("resnet18", {}), ("densenet121", {}), ("googlenet", {})]
)
def test_predictions_do_not_depend_on_the_device(model, args, digits, tiny_data, tmp_path):
    config = TrialConfig(lr=1e-3, model=model, model_args=args, input_size=32)
    write_model(tmp_path, config, tiny_data)
    left, right = (load_model(tmp_path, each).logits(digits.images) for each in (CPU, GPU))
    assert (left.softmax(1) - right.softmax(1)).abs().max() < 1e-5


def test_features_are_those_of_a_cpu(tiny_data, tmp_path):
    file = tmp_path / "resnet18.pt"
    torch.manual_seed(0)
    torch.save(build_model("resnet18", 10, 32).state_dict(), file)
    config = TrialConfig(lr=1e-3, model="resnet18", weights=str(file), mode="probe", input_size=32)
    weights = read_weights("resnet18", str(file))
    here, there = (
        compute_features(config, tiny_data, weights, device, "fp32") for device in (GPU, CPU)
    )
    for name in there:
        np.testing.assert_allclose(here[name], there[name], rtol=1e-2, atol=1e-2)


def test_costs_are_measured():
    model = build_model("cnn", 10, 32).to(GPU, memory_format=torch.channels_last)
    found = costs.measure(model, 32, GPU)
    assert 0 < found.latency_p50_ms <= found.latency_p95_ms < 100
    assert found.images_per_second > 1000
    assert costs.describe_device(GPU) == torch.cuda.get_device_name(GPU)


@pytest.mark.parametrize("model", FAMILIES)
def test_every_model_family_can_be_captured(model, tiny_data, replays, monkeypatch):
    config = TrialConfig(lr=1e-4, epochs=1, batch_size=8, model=model, input_size=FAMILIES[model])
    (captured,) = fit(config, tiny_data, lambda *_: None, device=GPU)
    assert len(replays) == 4
    monkeypatch.setattr(Step, "_pass", Step._backward)
    (eager,) = fit(config, tiny_data, lambda *_: None, device=GPU)
    assert captured["train_loss"] == pytest.approx(eager["train_loss"], rel=1e-3)
