import dataclasses
import functools
import hashlib
import pickle
import threading
import warnings
import weakref
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from tests import nets
from tests.images import digits_at, training_data
from trainables import cuda_graph, step
from trainables.checkpoint import load_checkpoint, save_checkpoint
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.loop import batch_sizes, fit, set_training
from trainables.models import build_model
from trainables.models.heads import find_head, stages
from trainables.models.pretrained import input_spec
from trainables.models.weights import load_weights, read_weights
from trainables.optim import build_optimizer
from trainables.precision import Autocast
from trainables.prediction import predict

CPU = torch.device("cpu")
TINY = "tests.nets:tiny"
LITE = "tests.nets:efficientnet_lite0"
HEADS = {
    "resnet18": "fc",
    "densenet121": "classifier",
    "googlenet": "fc",
    "squeezenet1_1": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_y_400mf": "fc",
    LITE: "_fc",
    "timm:convnext_atto": "head.fc",
    TINY: "9",
}


def make_config(**changes):
    base = {"lr": 1e-3, "epochs": 2, "batch_size": 16, "model": TINY, "precision": "fp32"}
    return TrialConfig(**{**base, **changes})


@pytest.fixture
def tiny_file(tmp_path):
    """Weights file of the tiny network, for five classes, and its state dict."""
    torch.manual_seed(1)
    state = nets.tiny().state_dict()
    save_file(state, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors", state


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# Networks


@pytest.mark.parametrize(("name", "head"), HEADS.items())
def test_every_network_gets_a_head_for_the_classes(name, head):
    model = build_model(name, num_classes=7, image_size=32)
    assert find_head(model, name, 32) == head
    model.eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_auxiliary_heads_are_trained_where_asked_and_do_not_score():
    assert build_model("googlenet", 7, 32).aux1 is None
    model = build_model("googlenet", 7, 32, aux_loss=True)
    outputs = model.train()(torch.zeros(2, 3, 32, 32))
    assert [output.shape for output in outputs] == [(2, 7)] * 3
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    with pytest.raises(InputError, match="no auxiliary heads"):
        build_model("resnet18", 7, 32, aux_loss=True)


def test_auxiliary_losses_count_a_third(monkeypatch):
    config = make_config(model="googlenet", model_args={"aux_loss": True})
    assert step.AUXILIARY_WEIGHT == 0.3

    class ThreeHeads(nn.Linear):
        def forward(self, x):
            return super().forward(x), super().forward(x), super().forward(x)

    model, batch, target = ThreeHeads(4, 3), torch.ones(8, 4), torch.zeros(8, dtype=torch.long)
    loss = nn.functional.cross_entropy(model(batch)[0], target)
    taken, _ = one_step(model, config, nn.Identity())(batch, target)
    assert float(taken) == pytest.approx(1.6 * loss.item())


def test_dropout_is_set_in_every_layer_that_drops():
    model = build_model(TINY, 5, 16, dropout=0.7)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.7]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("resnet81", 32, ["resnet81", "resnet18", "torchvision"]),
        ("timm:convnext_atom", 32, ["convnext_atom", "convnext_atto"]),
        ("nowhere.nets:build", 32, ["nowhere", "package.module:function"]),
        ("tests.nets:build", 32, ["build", "package.module:function"]),
        ("tests.nets:not_callable", 32, ["int", "must be a function"]),
        ("tests.nets:no_module", 32, ["str", "torch.nn.Module"]),
        ("tests.nets:wrong_shape", 32, ["(1, 5, 30, 30)", "(1, classes)"]),
        ("tests.nets:no_head", 32, ["no head", "linear"]),
        ("googlenet", 14, ["14", "15"]),
        ("inception_v3", 32, ["32", "75"]),
        ("densenet121", 16, ["16", "29"]),
        ("vit_b_16", 32, ["vit_b_16", "32", "native"]),
    ],
)
def test_a_network_that_cannot_be_used_is_refused(name, size, words):
    with pytest.raises(InputError) as error:
        build_model(name, 5, size)
    assert all(word in str(error.value) for word in words)


def test_size_and_colours_come_from_the_weights():
    assert input_spec("resnet18").size == 224
    assert input_spec("inception_v3").size == 299
    assert input_spec("resnet18").mean == (0.485, 0.456, 0.406)
    assert input_spec("timm:convnext_atto").size == 224


# Weights


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet"])
def test_training_starts_from_the_file_in_the_cache(name, tmp_path, monkeypatch, tiny_data):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    extra = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    placed = torchvision.models.get_model(name, weights=None, **extra).state_dict()
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    file = tmp_path / "checkpoints" / url.rsplit("/", 1)[1]
    file.parent.mkdir()
    torch.save(placed, file)
    weights = read_weights(name, "default")
    model = build_model(name, 10, 32)
    load_weights(model, name, 32, weights)
    head = find_head(model, name, 32)
    own = model.state_dict()
    same = [key for key in own if not key.startswith(head)]
    assert len(same) == len(own) - 2
    for key in same:
        torch.testing.assert_close(own[key], placed[key], rtol=0, atol=0)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """SqueezeNet's weights come from a server on this machine; a function that names its file."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    state = torchvision.models.squeezenet1_1().state_dict()
    torch.save(state, folder / "file")
    own = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT.value
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def name(digest):
            file = f"squeezenet1_1-{digest}.pth"
            (folder / "file").rename(folder / file)
            monkeypatch.setattr(own, "url", f"http://127.0.0.1:{server.server_port}/{file}")
            return tmp_path / "checkpoints" / file

        yield name, state, hashlib.sha256((folder / "file").read_bytes()).hexdigest()[:8]
        server.shutdown()


def test_weights_are_downloaded_once(served):
    name, state, digest = served
    file = name(digest)
    weights = read_weights("squeezenet1_1", "default")
    assert all(np.array_equal(weights[key], value) for key, value in state.items())
    downloaded = file.stat().st_mtime_ns
    assert read_weights("squeezenet1_1", "default").keys() == state.keys()
    assert file.stat().st_mtime_ns == downloaded


def test_a_download_that_is_not_what_its_name_says_is_refused(served):
    name, _, _ = served
    file = name("00000000")
    with pytest.raises(InputError, match="invalid hash value"):
        read_weights("squeezenet1_1", "default")
    assert not file.exists()


def test_weights_that_cannot_be_had_say_which_file_to_put_where(tmp_path, monkeypatch):
    from urllib.error import URLError

    def offline(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(InputError) as error:
        read_weights("resnet18", "default")
    assert str(tmp_path / "checkpoints" / "resnet18-f37072fd.pth") in str(error.value)
    assert "--weights none" in str(error.value)


def test_a_file_fits_whatever_the_number_of_its_classes(tiny_file):
    file, state = tiny_file
    model = build_model(TINY, 10, 16)
    load_weights(model, TINY, 16, read_weights(TINY, str(file)))
    torch.testing.assert_close(model[0].weight, state["0.weight"])
    assert model[9].weight.shape == (10, 16)


def test_a_state_dict_is_found_where_trainers_put_it(tiny_file, tmp_path):
    _, state = tiny_file
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "trainer.pt")
    weights = read_weights(TINY, str(tmp_path / "trainer.pt"))
    assert set(weights) == set(state)


class Evil:
    def __reduce__(self):
        return (print, ("this ran",))


def broken_files(folder):
    torch.save(nets.tiny().state_dict(), folder / "cut.pt")
    whole = (folder / "cut.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[: len(whole) // 2])
    save_file(nets.tiny().state_dict(), folder / "cut.safetensors")
    whole = (folder / "cut.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-10])
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil()}, folder / "evil2.pt")
    torch.save([1, 2], folder / "list.pt")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("absent.pt", ["no such file"]),
        ("cut.pt", ["cut.pt", "truncated"]),
        ("cut.safetensors", ["cut.safetensors", "truncated"]),
        ("evil.pt", ["refused", "run code"]),
        ("evil2.pt", ["refused", "run code"]),
        ("list.pt", ["no state dict"]),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(file, words, tmp_path, capfd):
    broken_files(tmp_path)
    with pytest.raises(InputError) as error:
        read_weights(TINY, str(tmp_path / file))
    assert all(word in str(error.value) for word in words)
    assert "this ran" not in capfd.readouterr().out


def test_weights_of_another_network_are_refused_by_the_names_that_do_not_fit(tiny_file):
    weights = read_weights(TINY, str(tiny_file[0]))
    weights["0.weight"] = np.zeros((8, 3, 5, 5), dtype=np.float32)
    weights["other.weight"] = weights.pop("1.weight")
    with pytest.raises(InputError) as error:
        load_weights(build_model(TINY, 10, 16), TINY, 16, weights)
    for words in (
        "1.weight is missing",
        "other.weight is unexpected",
        "0.weight has shape (8, 3, 5, 5)",
    ):
        assert words in str(error.value)


# Training


def train(config, data, weights, resume=None, stop=None, folder=None):
    states = {}

    def report(metrics, state):
        states.update({k: v.clone() for k, v in state["model"].items()})
        if folder is not None:
            save_checkpoint(folder, state)
        if metrics["epoch"] == stop:
            raise KeyboardInterrupt

    history = fit(config, data, report, weights=weights, resume=resume)
    costs = ("seconds", "images_per_second", "peak_memory_mb")
    return [{k: v for k, v in row.items() if k not in costs} for row in history], states


def one_step(model, config, prepare, class_weights=None):
    optimizer = build_optimizer(dataclasses.replace(config, mode="full"), model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    autocast = Autocast("fp32", CPU)
    return step.Step(model, config, optimizer, scheduler, scaler, prepare, autocast, class_weights)


@pytest.mark.parametrize("mode", ["full", "gradual"])
def test_an_interrupted_fine_tuning_ends_as_if_nothing_had_happened(
    mode, tiny_data, tiny_file, tmp_path
):
    config = make_config(mode=mode, weights="file", epochs=3, schedule="one_cycle")
    weights = read_weights(TINY, str(tiny_file[0]))
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_data, weights, stop=2, folder=tmp_path)
    resumed = train(config, tiny_data, weights, resume=load_checkpoint(tmp_path))
    through = train(config, tiny_data, weights)
    assert resumed[0] == through[0]
    assert all(torch.equal(value, through[1][key]) for key, value in resumed[1].items())


def test_gradual_trains_the_head_first_and_the_rest_more_slowly(tiny_data, tiny_file):
    config = make_config(mode="gradual", weights="file", layer_decay=0.5, epochs=1)
    weights = read_weights(TINY, str(tiny_file[0]))
    _, after_one = train(config, tiny_data, weights)
    for key, value in weights.items():
        moved = not np.array_equal(after_one[key].numpy(), value) if key[0] != "9" else True
        assert moved == key.startswith("9.")
    _, after_two = train(dataclasses.replace(config, epochs=2), tiny_data, weights)
    assert not np.array_equal(after_two["0.weight"].numpy(), weights["0.weight"])
    model = build_model("resnet18", 10, 32)
    rates = [g["lr"] for g in build_optimizer(config, model, "fc").param_groups]
    assert rates == [1e-3 * 0.5**depth for depth in range(len(rates))]
    groups = stages(model, "fc")
    found = [id(p) for stage in groups for p in stage]
    assert sorted(found) == sorted(map(id, model.parameters()))
    assert len(groups) == len(rates) > 4


def test_frozen_batch_normalisation_keeps_its_statistics(tiny_data, tiny_file):
    weights = read_weights(TINY, str(tiny_file[0]))
    for frozen in (True, False):
        config = make_config(weights="file", freeze_batch_norm=frozen)
        _, after = train(config, tiny_data, weights)
        same = np.array_equal(after["1.running_mean"].numpy(), weights["1.running_mean"])
        assert same == frozen


def test_batches_are_resized_on_the_device(tiny_data, monkeypatch):
    seen = []
    forward = nn.Sequential.forward
    monkeypatch.setattr(
        nn.Sequential,
        "forward",
        lambda self, x: seen.append(tuple(x.shape[1:])) or forward(self, x),
    )
    train(make_config(input_size=20, epochs=1), tiny_data, None)
    assert set(seen) == {(3, 20, 20)}


# Memory


class Small(nn.Module):
    """Accepts at most `most` images at a time, minus `held`, to simulate limited memory."""

    held = 0

    def __init__(self, most):
        super().__init__()
        self.most, self.layer, self.seen = most, nn.Linear(12, 3), []

    def forward(self, x):
        if len(x) + self.held > self.most:
            raise torch.OutOfMemoryError("no memory")
        self.seen.append(len(x))
        return self.layer(x.flatten(1))


@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.1, 1, 5])])
def test_a_batch_that_does_not_fit_is_split_with_the_same_result(class_weights):
    torch.manual_seed(0)
    batch, target = torch.randn(16, 3, 2, 2), torch.randint(0, 3, (16,))
    results = []
    for most in (16, 5):
        torch.manual_seed(1)
        model = Small(most)
        take = one_step(model, make_config(), nn.Identity(), class_weights)
        loss, right = take(batch, target)
        results.append(
            (float(loss), int(right), model.layer.weight.detach(), take.micro_batch_size)
        )
    (loss, right, weight, whole), (loss2, right2, weight2, part) = results
    assert (whole, part) == (16, 4)
    assert right == right2
    assert loss == pytest.approx(loss2)
    torch.testing.assert_close(weight, weight2)
    with pytest.raises(torch.OutOfMemoryError):
        one_step(Small(1), make_config(), nn.Identity())(batch, target)


def test_a_small_batch_is_split_into_no_empty_micro_batches():
    results = []
    for most in (16, 4):
        torch.manual_seed(1)
        model = Small(most)
        take = one_step(model, make_config(), nn.Identity())
        for size in (16, 3):
            loss, _ = take(torch.ones(size, 3, 2, 2), torch.zeros(size, dtype=torch.long))
        results.append((float(loss), model.seen[-1]))
    assert results[0] == (pytest.approx(results[1][0]), 3)
    assert results[1][1] == 3


def test_a_trial_that_was_split_resumes_as_if_nothing_had_happened(tiny_data, tmp_path):
    config = make_config(model="tests.nets:limited", epochs=3)
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_data, None, stop=1, folder=tmp_path)
    resumed = train(config, tiny_data, None, resume=load_checkpoint(tmp_path))
    through = train(config, tiny_data, None)
    assert {row["micro_batch"] for row in through[0]} == {4}
    assert resumed[0] == through[0]
    assert all(torch.equal(value, through[1][key]) for key, value in resumed[1].items())


def test_a_split_draws_as_if_it_had_been_split_from_the_start():
    losses = []
    for most, micro_batches in ((4, 1), (16, 4)):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Dropout(0.5), Small(most))
        take = one_step(model, make_config(), nn.Identity())
        take.micro_batches = micro_batches
        losses.append(take(torch.ones(16, 3, 2, 2), torch.arange(16) % 3)[0])
    assert torch.equal(*losses)


class FakeCapture:
    """Fake CapturedPass for a CPU: it holds memory, and is valid for one training mode."""

    replays: ClassVar[list[int]] = []
    too_large = False

    def __init__(self, backward, model, batch, target):
        if self.too_large:
            raise torch.OutOfMemoryError("no memory")
        self.backward, self.model, self.seen = backward, model, self.trained(model)
        self.replays.append(0)
        Small.held = len(batch)
        weakref.finalize(self, setattr, Small, "held", 0)

    @staticmethod
    def trained(model):
        return [parameter.requires_grad for parameter in model.parameters()]

    def __call__(self, batch, target):
        assert self.trained(self.model) == self.seen
        self.replays[-1] += 1
        held, Small.held = Small.held, 0
        result = self.backward(batch, target)
        Small.held = held
        return result


@pytest.fixture
def replays(monkeypatch):
    """Number of replays of each fake capture, on a CPU that captures as a GPU does."""
    init = step.Step.__init__

    def capturing_init(self, *args):
        init(self, *args)
        self.captures = True

    monkeypatch.setattr(step.Step, "__init__", capturing_init)
    monkeypatch.setattr(cuda_graph, "CapturedPass", FakeCapture)
    monkeypatch.setattr(FakeCapture, "replays", [])
    monkeypatch.setattr(Small, "held", 0)
    return FakeCapture.replays


def test_full_batches_are_captured_and_leave_memory_for_the_last(replays):
    take = one_step(Small(24), make_config(), nn.Identity())
    for size in (16, 16, 16, 12, 16, 16, 16, 12):
        take(torch.ones(size, 3, 2, 2), torch.zeros(size, dtype=torch.long))
    assert replays == [2, 2]
    assert take.micro_batch_size == 16


def test_a_pass_that_is_too_large_to_capture_is_not_split(replays, monkeypatch):
    monkeypatch.setattr(FakeCapture, "too_large", True)
    take = one_step(Small(16), make_config(), nn.Identity())
    for _ in range(3):
        take(torch.ones(16, 3, 2, 2), torch.zeros(16, dtype=torch.long))
    assert take.model.seen == [16, 16, 16]
    assert take.micro_batch_size == 16


@pytest.mark.parametrize("images", [32, 40])  # 40 leave a smaller batch, 32 none
def test_no_captured_graph_outlives_an_epoch(images, replays, tiny_data, tiny_file, monkeypatch):
    data = dataclasses.replace(
        tiny_data,
        train_images=tiny_data.train_images.take(slice(images)),
        train_labels=tiny_data.train_labels[:images],
    )
    config = make_config(mode="gradual", weights="file", epochs=3)
    weights = read_weights(TINY, str(tiny_file[0]))
    captured = train(config, data, weights)
    assert replays == [1, 1, 1]
    monkeypatch.setattr(step.Step, "_pass", step.Step._backward)
    assert train(config, data, weights)[0] == captured[0]


def test_predictions_are_made_in_batches_that_fit():
    images = torch.arange(20 * 12, dtype=torch.float32).view(20, 2, 2, 3)
    whole, part = Small(20), Small(3)
    part.load_state_dict(whole.state_dict())
    arguments = images, nn.Identity(), Autocast("fp32", CPU)
    torch.testing.assert_close(predict(part, *arguments), predict(whole, *arguments))
    assert sum(part.seen) == 20
    with pytest.raises(torch.OutOfMemoryError):
        predict(Small(0), *arguments)


@pytest.mark.parametrize(
    ("images", "sizes"), [(32, [16, 16]), (33, [16, 17]), (34, [16, 16, 2]), (1, [1]), (7, [7])]
)
def test_no_batch_is_a_single_image(images, sizes):
    assert batch_sizes(images, 16) == sizes


def test_all_modules_of_the_cnn_train():
    model = build_model("cnn", 3, 16).eval()
    set_training(model, TrialConfig(lr=1e-3), None, 1)
    assert all(module.training for module in model.modules())


# A real pretrained network


def test_pretrained_beats_from_scratch_on_real_images():
    digits = digits_at(32)
    data = training_data(digits.images, digits.labels, digits.classes)
    third = slice(None, None, 3)
    data = dataclasses.replace(
        data, train_images=data.train_images.take(third), train_labels=data.train_labels[third]
    )
    best = {}
    for source in ("default", "none"):
        config = make_config(
            model=LITE, weights=source, epochs=2, normalize="weights", lr=1e-3, batch_size=32
        )
        weights = read_weights(LITE, source) if source == "default" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = fit(config, data, lambda *_: None, weights=weights)
        best[source] = max(row["val_accuracy"] for row in history)
    assert best["default"] > best["none"] + 0.2
