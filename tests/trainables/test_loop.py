import copy
import dataclasses
import functools
import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tests.images import dataset_of, training_data
from trainables import device_images, models
from trainables.augment import pick, pick_flip_crop
from trainables.checkpoint import changed, load_checkpoint, save_checkpoint, unpack
from trainables.config import RECIPES, TrialConfig
from trainables.data import TEST, TRAIN, ImageRows, split
from trainables.device_images import on_device, to_device
from trainables.errors import DivergedError
from trainables.loop import FINITE_CHECK_STEPS, fit, raise_if_not_finite
from trainables.metrics import EPOCH_METRICS, classification_scores
from trainables.models import build_model
from trainables.optim import build_optimizer, build_scheduler
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import Preparation
from trainables.step import criterion
from trainables.target import TARGETS

CPU = torch.device("cpu")
OPTIMIZERS = ["adam", "adamw", "sgd"]
SCHEDULES = ["constant", "cosine", "one_cycle"]
MEASURED = {"seconds", "images_per_second", "peak_memory_mb"}
STILL = 1e-30  # a learning rate that leaves the weights as they are


def make_config(**changes):
    return TrialConfig(
        **{
            "lr": 0.01,
            "epochs": 3,
            "batch_size": 16,
            "precision": "fp32",
            "model_args": {"widths": [4, 8], "kernel_size": 3, "hidden_units": 16},
            **changes,
        }
    )


def copied(tensors):
    return {name: value.clone() for name, value in tensors.items()}


def train(config, data, **options):
    """Metrics of every epoch, except measured costs, and the last and best weights."""
    last = {}

    def report(metrics, state):
        last.update(model=copied(state["model"]), best=copied(state["best"]))

    history = fit(config, data, report, **options)
    return comparable(history), last["model"], last["best"]


def comparable(history):
    return [{k: v for k, v in epoch.items() if k not in MEASURED} for epoch in history]


def assert_identical(one, other):
    assert one[0] == other[0]
    for ours, theirs in zip(one[1:], other[1:], strict=True):
        assert sorted(ours) == sorted(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# Training and reported metrics


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_falls_on_digits(optimizer, digits):
    data = training_data(digits.images, digits.labels, digits.classes)
    config = make_config(
        epochs=4,
        optimizer=optimizer,
        batch_size=32,
        lr=0.1 if optimizer == "sgd" else 0.01,
        model_args={"widths": [8, 16], "kernel_size": 3, "dropout": 0.1},
    )
    history = fit(config, data, lambda *_: None)
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert history[-1]["train_accuracy"] > 0.8
    assert history[-1]["val_accuracy"] > 0.8


def test_every_report_has_the_same_metrics_from_the_first_on(tiny_data):
    reports = []
    history = fit(make_config(), tiny_data, lambda metrics, _: reports.append(metrics))
    assert reports == history
    assert [metrics["epoch"] for metrics in reports] == [1, 2, 3]
    for metrics in reports:
        assert set(metrics) == {"epoch", *EPOCH_METRICS} - {"penalty", "features_s"}
        assert all(isinstance(value, int | float) for value in metrics.values())
        assert all(math.isfinite(value) for value in metrics.values())
        fractions = ("train_accuracy", "val_accuracy", "val_precision", "val_recall")
        assert all(0 <= metrics[name] <= 1 for name in fractions)
        assert metrics["images_per_second"] * metrics["seconds"] == pytest.approx(40 + 24)


@pytest.mark.parametrize("loss", ["cross_entropy", "softmax_cross_entropy"])
def test_the_reported_scores_are_those_of_the_reported_weights(loss, tiny_data):
    config = make_config(loss=loss, label_smoothing=0.1)
    images = torch.from_numpy(tiny_data.val_images.read())
    labels = to_device(tiny_data.val_labels, CPU)
    prepare = Preparation((0.5,) * 3, (0.5,) * 3, CPU)

    def report(metrics, state):
        model = build_model("cnn", 10, 8, **config.model_args)
        model.load_state_dict(state["model"])
        logits = predict(model, images, prepare, Autocast("fp32", CPU))
        for name, score in classification_scores(logits, labels).items():
            assert metrics[f"val_{name}"] == score
        if loss == "softmax_cross_entropy":
            logits = logits.softmax(1)
        expected = nn.functional.cross_entropy(logits, labels)
        assert metrics["val_loss"] == pytest.approx(float(expected), rel=1e-5)

    assert len(fit(config, tiny_data, report)) == 3


def test_losses_are_means_over_images_rather_than_batches(tiny_data, monkeypatch):
    # The loss of a batch is its size: 16, 16 and 8 of the 40 images.
    monkeypatch.setattr(
        nn.functional, "cross_entropy", lambda logits, *_, **__: logits.sum() * 0 + len(logits)
    )
    metrics = fit(make_config(epochs=1), tiny_data, lambda *_: None)[0]
    assert metrics["train_loss"] == pytest.approx((16 * 16 + 16 * 16 + 8 * 8) / 40)


@pytest.mark.parametrize("augment", ["none", "flip_crop"])
def test_an_epoch_takes_each_image_once_in_an_order_of_its_own(augment, tiny_data, monkeypatch):
    seen = []
    choose = pick if augment == "none" else pick_flip_crop

    def spy(images, index):
        seen.extend(index.tolist())
        return choose(images, index)

    monkeypatch.setattr(f"trainables.augment.{choose.__name__}", spy)
    for seed in (0, 1):
        fit(make_config(epochs=2, augment=augment, seed=seed), tiny_data, lambda *_: None)
    orders = [seen[start : start + 40] for start in (0, 40, 80, 120)]
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(40)]}) == 5


def test_the_seed_decides_everything(tiny_data):
    config = make_config(augment="flip_crop")
    first = train(config, tiny_data)
    torch.manual_seed(12345)  # the earlier random state does not matter
    assert_identical(train(config, tiny_data), first)
    other = train(dataclasses.replace(config, seed=1), tiny_data)
    assert all(a["train_loss"] != b["train_loss"] for a, b in zip(first[0], other[0], strict=True))


@pytest.mark.parametrize("metric", TARGETS)
def test_the_best_weights_are_those_of_the_first_best_epoch(metric, tiny_data, monkeypatch):
    sign = -1 if metric == "log_loss" else 1
    values = iter([0.5, 0.7, 0.7, 0.6, 0.7])
    others = iter([0.9, 0.1, 0.2, 0.3, 0.4])  # another metric has its best in another epoch
    monkeypatch.setattr(
        "trainables.metrics.classification_scores",
        lambda *_: dict.fromkeys(TARGETS, sign * next(others)) | {metric: sign * next(values)},
    )
    weights, best = [], []

    def report(metrics, state):
        weights.append(copied(state["model"]))
        best.append(copied(state["best"]))

    fit(make_config(epochs=5, metric=metric), tiny_data, report)
    for epoch, best_epoch in enumerate([0, 1, 1, 1, 1]):
        assert_identical(([], best[epoch]), ([], weights[best_epoch]))
    assert not torch.equal(weights[1]["classifier.1.weight"], weights[2]["classifier.1.weight"])


def test_logits_of_an_image_do_not_depend_on_its_company():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (150, 8, 8, 3), dtype=torch.uint8, generator=generator)
    model = build_model("cnn", 5, 8, widths=(4,)).train()
    prepare, autocast = Preparation((0.5,) * 3, (0.5,) * 3, CPU), Autocast("fp32", CPU)
    together = predict(model, images, prepare, autocast)
    alone = torch.cat([predict(model, i, prepare, autocast) for i in images.split(7)])
    torch.testing.assert_close(together, alone)
    assert not together.requires_grad


# Class weights


def test_equal_class_weights_change_nothing_but_rounding(tiny_data):
    equal = json.dumps(dict.fromkeys(tiny_data.classes, 3))
    plain, weighted = (
        fit(make_config(class_weights=each), tiny_data, lambda *_: None) for each in ("none", equal)
    )
    for ours, theirs in zip(weighted, plain, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)


def test_balanced_class_weights_make_all_classes_as_likely(tiny_data):
    labels = (np.arange(40) % 10 == 0).astype(np.int64)
    # Black images tell nothing but how frequent a class is.
    black = ImageRows(np.zeros((40, 8, 8, 3), np.uint8))
    data = dataclasses.replace(
        tiny_data, train_images=black, train_labels=labels, val_images=black, val_labels=labels,
        classes=("common", "rare"),
    )  # fmt: skip
    plain, balanced = (
        fit(
            make_config(class_weights=each, epochs=20, dropout=0.0, optimizer="sgd", batch_size=8),
            data,
            lambda *_: None,
        )[-1]
        for each in ("none", "balanced")
    )
    # The loss on validation images is not weighted.
    assert plain["val_loss"] == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1), abs=0.01)
    assert balanced["val_loss"] == pytest.approx(math.log(2), abs=0.03)


# Resuming


class PulledPlugError(Exception):
    pass


def train_until(stop, config, data, folder, **options):
    """Train, simulate a kill after an epoch, and return the state on disk."""

    def report(metrics, state):
        save_checkpoint(folder, state)
        if metrics["epoch"] == stop:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        fit(config, data, report, **options)
    return load_checkpoint(folder)


def train_with_interruptions(config, data, folder, stops):
    """Like `train`, but interrupted after some epochs and each time resumed from the folder."""
    resume = None
    for stop in (*stops, config.epochs):
        resume = train_until(stop, config, data, folder, resume=resume)
        assert len(resume["history"]) == stop
    return comparable(resume["history"]), resume["model"], resume["best"]


@pytest.mark.parametrize("stops", [(2,), (1, 2)], ids=str)
@pytest.mark.parametrize("augment", ["none", "flip_crop"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_interrupted_trial_ends_as_if_nothing_had_happened(
    optimizer, schedule, augment, stops, tiny_data, tmp_path
):
    config = make_config(optimizer=optimizer, schedule=schedule, augment=augment, weight_decay=0.01)
    interrupted = train_with_interruptions(config, tiny_data, tmp_path, stops)
    assert_identical(interrupted, train(config, tiny_data))


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": "photo", "mixup": 0.2},
        {"augment": "strong", "mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1},
        {"augment": "flip_crop", "vertical_flip": True, "rotation": 30.0},
    ],
    ids=str,
)
def test_an_interrupted_trial_with_random_views_ends_the_same_too(changes, tiny_data, tmp_path):
    config = make_config(**changes)
    interrupted = train_with_interruptions(config, tiny_data, tmp_path, (1,))
    assert_identical(interrupted, train(config, tiny_data))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_an_interrupted_trial_of_low_precision_ends_the_same_too(
    precision, tiny_data, tmp_path, monkeypatch
):
    # So large a scale overflows in fp16, and is halved, in the first steps.
    scaler = functools.partial(torch.amp.GradScaler, init_scale=2.0**20)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    config = make_config(precision=precision)
    interrupted = train_with_interruptions(config, tiny_data, tmp_path, (1, 2))
    assert_identical(interrupted, train(config, tiny_data))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_state_resumes_under_another_lr_on_the_same_schedule(optimizer, schedule, tiny_data):
    config = make_config(optimizer=optimizer, schedule=schedule, epochs=4, lr=1e-3)
    states, learned = [], []
    history = fit(config, tiny_data, lambda _, state: states.append(copy.deepcopy(state)))
    other = dataclasses.replace(
        config, lr=3e-3, weight_decay=0.25, momentum=0.5, label_smoothing=0.1, dropout=0.2
    )
    state = changed(states[1], other)
    assert states[1]["config"] == config.to_dict()  # the state given stays as it is
    resumed = fit(other, tiny_data, lambda _, s: learned.append(copy.deepcopy(s)), resume=state)
    assert resumed[:2] == history[:2]
    rates, tripled = ([row["learning_rate"] for row in rows] for rows in (history, resumed))
    assert tripled[2:] == pytest.approx([3 * rate for rate in rates[2:]])
    (group,) = learned[-1]["optimizer"]["param_groups"]
    assert group["weight_decay"] == 0.25
    assert optimizer != "sgd" or group["momentum"] == 0.5
    assert learned[-1]["config"] == other.to_dict()


def test_a_state_under_the_config_it_has_is_the_same(tiny_data):
    config = make_config(schedule="one_cycle")
    states = []
    whole = train(config, tiny_data)
    fit(config, tiny_data, lambda _, state: states.append(copy.deepcopy(state)))
    assert_identical(train(config, tiny_data, resume=changed(states[0], config)), whole)


def test_a_state_does_not_resume_under_another_batch_size(tiny_data):
    states = []
    fit(make_config(epochs=1), tiny_data, lambda _, state: states.append(state))
    with pytest.raises(AssertionError, match="batch_size"):
        changed(states[0], make_config(epochs=1, batch_size=8))


def test_a_trial_keeps_its_precision_on_another_node(tiny_data, tmp_path, monkeypatch):
    config = make_config(precision="auto", epochs=2)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    uninterrupted = train(config, tiny_data)
    state = train_until(1, config, tiny_data, tmp_path)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    resumed = train(config, tiny_data, resume=state)
    assert_identical(resumed, uninterrupted)


def test_the_images_that_the_best_epoch_classifies_correctly_are_kept(tiny_data, tmp_path):
    config = make_config(lr=0.02, epochs=4)
    images = len(tiny_data.val_labels)

    def check(_, state):
        best = max(epoch["val_accuracy"] for epoch in state["history"])
        assert unpack(state["correct"], images).mean() == pytest.approx(best)

    fit(config, tiny_data, check)
    state = train_until(2, config, tiny_data, tmp_path)
    fit(config, tiny_data, check, resume=state)


def test_a_state_of_an_earlier_version_resumes(tiny_data):
    states = []
    config = make_config(epochs=2)
    fit(config, tiny_data, lambda _, state: states.append(copy.deepcopy(state)))
    earlier = {key: value for key, value in states[0].items() if key != "parts"}
    assert_identical(train(config, tiny_data, resume=earlier), train(config, tiny_data))


def test_the_setting_of_deterministic_algorithms_is_restored(tiny_data):
    seen = []
    before = torch.backends.cudnn.deterministic
    fit(
        make_config(epochs=1),
        tiny_data,
        lambda *_: seen.append(torch.backends.cudnn.deterministic),
    )
    assert seen == [True]
    assert torch.backends.cudnn.deterministic == before


def test_a_finished_trial_is_not_trained_again(tiny_data, tmp_path):
    config = make_config(epochs=1)
    history = fit(config, tiny_data, lambda _, state: save_checkpoint(tmp_path, state))

    def report(metrics, state):
        pytest.fail("there was nothing left to train")

    assert fit(config, tiny_data, report, resume=load_checkpoint(tmp_path)) == history


# The loss


def test_the_reports_loss_applies_softmax_twice():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    labels = torch.tensor([0, 2])
    rows = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        once = np.exp(row) / np.exp(row).sum()
        twice = np.exp(once) / np.exp(once).sum()
        rows.append(-np.log(twice[label]))
    loss = criterion("softmax_cross_entropy", logits, labels)
    assert float(loss) == pytest.approx(np.mean(rows), rel=1e-6)


def test_the_standard_loss_is_the_cross_entropy_of_the_logits():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    expected = -np.log([np.exp(2) / np.exp([2, -1, 0.5]).sum(),
                        np.exp(-2) / np.exp([0, 3, -2]).sum()])  # fmt: skip
    loss = criterion("cross_entropy", logits, torch.tensor([0, 2]))
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-6)


def test_the_reports_loss_of_ten_classes_cannot_fall_below_1_4612():
    labels = torch.arange(10)
    perfect = criterion("softmax_cross_entropy", 1000 * torch.eye(10), labels)
    assert float(perfect) == pytest.approx(1.4612, abs=5e-5)
    assert float(criterion("cross_entropy", 1000 * torch.eye(10), labels)) == 0


def test_the_report_recipe_reports_its_own_loss(tiny_data):
    values = dataclasses.asdict(RECIPES["report"]) | {"epochs": 8, "split": None}
    for metrics in fit(make_config(**values), tiny_data, lambda *_: None):
        for loss in (metrics["train_loss"], metrics["val_loss"]):
            # From a certain correct prediction to a certain wrong one.
            assert 1.4611 < loss < 2.4613


def test_labels_are_smoothed_in_training_alone(tiny_data):
    (plain,), *_ = train(make_config(epochs=1, lr=STILL), tiny_data)
    (smooth,), *_ = train(make_config(epochs=1, lr=STILL, label_smoothing=0.5), tiny_data)
    assert smooth.pop("train_loss") != pytest.approx(plain.pop("train_loss"), rel=1e-4)
    assert smooth == plain


# Divergence


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"batch_size": 16}, "epoch 1, step 2"),
        ({"batch_size": 40}, "epoch 1, step 1"),
        ({"optimizer": "sgd"}, "epoch 1, step 2"),
    ],
)
def test_a_trial_that_diverges_stops_with_epoch_and_step(changes, place, tiny_data):
    reports = []
    with pytest.raises(DivergedError, match=f"{place}$"):
        fit(make_config(lr=1e30, **changes), tiny_data, lambda *report: reports.append(report))
    assert len(reports) == int(place[6]) - 1


def test_the_first_step_is_named_although_losses_are_looked_at_in_blocks(digits, tiny_data):
    n = 2 * FINITE_CHECK_STEPS + 1
    data = dataclasses.replace(
        tiny_data, train_images=ImageRows(digits.images[:n]), train_labels=digits.labels[:n]
    )
    with pytest.raises(DivergedError, match=r"epoch 1, step 2$"):
        fit(make_config(lr=1e30, batch_size=1), data, lambda *_: None)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_the_first_loss_that_is_not_finite_is_named(bad):
    with pytest.raises(DivergedError, match=f"became {bad} in epoch 4, step 3"):
        raise_if_not_finite(torch.tensor([1.0, 2.0, bad, 3.0, math.nan]), epoch=4)
    raise_if_not_finite(torch.tensor([1.0, 1e38]), epoch=4)


def test_a_trial_that_diverges_in_its_last_step_is_not_reported_as_a_success(tiny_data):
    with pytest.raises(DivergedError):
        fit(make_config(lr=1e30, epochs=1, batch_size=40), tiny_data, lambda *_: None)


# Data


@pytest.mark.parametrize("parts", [None, np.repeat(np.array([TRAIN, TEST], np.int8), [100, 40])])
def test_the_test_split_cannot_influence_training(parts, digits):
    images, labels = digits.images[:140].copy(), digits.labels[:140].copy()
    splits = split(dataset_of(images, labels, digits.classes, parts))
    assert len(splits.test) > 0
    config = make_config(normalize="dataset", augment="flip_crop")
    before = train(config, training_data(images, labels, digits.classes, splits))
    images[splits.test] = 255 - images[splits.test]
    labels[splits.test] = 0
    after = train(config, training_data(images, labels, digits.classes, splits))
    assert_identical(after, before)


def test_read_only_arrays_are_used_without_a_warning_or_a_copy(tiny_data):
    images, labels = tiny_data.train_images.read(), tiny_data.train_labels.copy()
    for array in (images, labels):
        array.setflags(write=False)
    data = dataclasses.replace(tiny_data, train_images=ImageRows(images), train_labels=labels)
    torch.set_warn_always(True)  # not once a process
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train(make_config(augment="flip_crop"), data)
        inputs = on_device(data.train_images, CPU)
    torch.set_warn_always(False)
    assert [str(warning.message) for warning in caught] == []
    assert inputs.tensor.data_ptr() == images.ctypes.data
    assert to_device(labels, CPU).data_ptr() == labels.ctypes.data
    assert_identical(result, train(make_config(augment="flip_crop"), tiny_data))
    assert (images == tiny_data.train_images.read()).all()


def test_streamed_images_train_to_the_same_bits_as_resident_ones(tiny_data, monkeypatch):
    config = make_config(augment="flip_crop", normalize="dataset")
    resident = train(config, tiny_data)
    monkeypatch.setattr(device_images, "RESIDENT_BYTES", 0)
    assert isinstance(on_device(tiny_data.train_images, CPU), device_images.Streamed)
    assert_identical(train(config, tiny_data), resident)


@pytest.mark.parametrize("normalize", ["half", "dataset"])
def test_the_model_sees_pixels_normalised_as_the_config_says(normalize, tiny_data, monkeypatch):
    seen = []

    class Spy(nn.Linear):
        def __init__(self):
            super().__init__(3 * 8 * 8, 10)

        def forward(self, x):
            seen.append(x.detach().clone())
            return super().forward(x.flatten(1))

    monkeypatch.setattr(models, "build_for", lambda *_: Spy())
    fit(make_config(epochs=1, normalize=normalize), tiny_data, lambda *_: None)
    pixels = tiny_data.train_images.read() / 255
    mean, std = (0.5, 0.5) if normalize == "half" else (pixels.mean(), pixels[..., 0].std())
    expected = ((torch.from_numpy(tiny_data.val_images.read()) / 255 - mean) / std).float()
    torch.testing.assert_close(seen[-1].permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-5)
    assert len(torch.cat(seen)) == 40 + 24


# Settings


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_trains(recipe, tiny_data):
    values = dataclasses.asdict(RECIPES[recipe]) | {"epochs": 2}
    history = fit(make_config(**values), tiny_data, lambda *_: None)
    assert len(history) == 2
    assert all(math.isfinite(value) for metrics in history for value in metrics.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_runs_on_a_cpu_and_comes_close(precision, tiny_data):
    states = []
    full = fit(make_config(epochs=1), tiny_data, lambda *_: None)[0]
    low = fit(make_config(epochs=1, precision=precision), tiny_data, lambda _, s: states.append(s))[
        0
    ]
    assert states[0]["precision"] == precision
    assert low["train_loss"] != full["train_loss"]
    assert low["train_loss"] == pytest.approx(full["train_loss"], rel=0.02)
    assert all(not v.is_floating_point() or v.dtype is torch.float32
               for v in states[0]["model"].values())  # fmt: skip


def lrs(schedule, optimizer="adam", epochs=5, steps=4):
    config = make_config(lr=0.1, schedule=schedule, optimizer=optimizer, epochs=epochs)
    optimizer = build_optimizer(config, nn.Linear(2, 2))
    scheduler = build_scheduler(config, optimizer, steps)
    result = []
    for _ in range(epochs * steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_given_is_the_highest_of_its_schedule(schedule, optimizer):
    assert max(lrs(schedule, optimizer)) == pytest.approx(0.1)


def test_schedules_have_their_shape():
    assert lrs("constant") == [0.1] * 20
    cosine = lrs("cosine")
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[10] == pytest.approx(0.05)
    assert cosine[-1] < 0.001
    one_cycle = lrs("one_cycle")
    top = one_cycle.index(max(one_cycle))
    assert 0 < top < 10
    assert one_cycle[:top] == sorted(one_cycle[:top])
    assert one_cycle[top:] == sorted(one_cycle[top:], reverse=True)
    assert one_cycle[-1] < 0.001


def test_the_learning_rate_at_the_start_of_an_epoch_is_reported(tiny_data):
    history = fit(make_config(schedule="cosine", lr=0.1), tiny_data, lambda *_: None)
    reported = [metrics["learning_rate"] for metrics in history]
    assert reported == pytest.approx(lrs("cosine", epochs=3, steps=3)[::3])


CHANGES = [
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"weight_decay": 0.1},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.5},
    {"schedule": "cosine"},
    {"schedule": "one_cycle"},
    {"augment": "flip_crop"},
    {"augment": "flip_crop", "horizontal_flip": False},
    {"augment": "photo"},
    {"augment": "photo", "horizontal_flip": False},
    {"augment": "strong"},
    {"vertical_flip": True},
    {"rotation": 15.0},
    {"mixup": 0.4},
    {"cutmix": 1.0},
    {"normalize": "dataset"},
    {"loss": "softmax_cross_entropy"},
    {"label_smoothing": 0.1},
    {"batch_size": 8},
    {"seed": 1},
]


def test_each_setting_makes_a_difference(tiny_data):
    finals = {}
    for changes in ({}, *CHANGES):
        _, weights, _ = train(make_config(epochs=2, **changes), tiny_data)
        finals[str(changes)] = weights["classifier.1.weight"].sum().item()
    assert len(set(finals.values())) == len(finals), finals


def test_momentum_makes_a_difference_under_one_cycle_too(tiny_data):
    config = make_config(optimizer="sgd", schedule="one_cycle")
    other = dataclasses.replace(config, momentum=0.5)
    assert train(config, tiny_data)[0] != train(other, tiny_data)[0]
