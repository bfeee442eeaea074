import pytest
import torch
from torch import nn

from tests.trainables.test_loop import (
    assert_identical,
    comparable,
    copied,
    make_config,
    train,
    train_until,
    train_with_interruptions,
)
from trainables.device_images import to_device
from trainables.ema import WeightAverage
from trainables.loop import fit
from trainables.metrics import classification_scores
from trainables.models import build_model
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import Preparation

CPU = torch.device("cpu")


class Counted(nn.Module):
    """A weight, a statistic and a table of indices, as networks have them."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("running", torch.zeros(2))
        self.register_buffer("table", torch.arange(7))

    def set(self, value):
        with torch.no_grad():
            self.weight.fill_(value)
            self.running.fill_(10 * value)


@pytest.mark.parametrize("decay", [0.3, 0.9998])
def test_weights_and_statistics_are_averaged_with_a_decay_that_rises(decay):
    model, values = Counted(), [1.0, 2.0, 4.0, -3.0, 5.0]
    average = WeightAverage(model, decay)
    expected = values[0]
    for step, value in enumerate(values):
        model.set(value)
        average.update_parameters(model)
        if step:
            now = min(decay, (1 + step) / (10 + step))
            expected = now * expected + (1 - now) * value
        state = average.module.state_dict()
        assert state["weight"].tolist() == pytest.approx([expected] * 2)
        assert state["running"].tolist() == pytest.approx([10 * expected] * 2)
        assert state["table"].tolist() == list(range(7))  # truncated averages would differ
    assert model.weight.tolist() == [5.0] * 2


def test_the_averaged_weights_are_evaluated_and_saved(tiny_data):
    config = make_config(ema=0.9, metric="log_loss")
    images = torch.from_numpy(tiny_data.val_images.read())
    labels = to_device(tiny_data.val_labels, CPU)
    prepare, seen = Preparation((0.5,) * 3, (0.5,) * 3, CPU), []

    def report(metrics, state):
        seen.append(copied(state["best"]))
        assert not torch.equal(
            state["best"]["classifier.1.weight"], state["model"]["classifier.1.weight"]
        )
        model = build_model("cnn", 10, 8, **config.model_args)
        model.load_state_dict(state["best"])  # the names of a network, not of its average
        logits = predict(model, images, prepare, Autocast("fp32", CPU))
        best = min(epoch["val_log_loss"] for epoch in [*state["history"]])
        assert classification_scores(logits, labels)["log_loss"] == pytest.approx(best)

    fit(config, tiny_data, report)
    assert len(seen) == 3


def test_the_training_itself_does_not_depend_on_the_average(tiny_data):
    history, plain = (fit(make_config(ema=ema), tiny_data, lambda *_: None) for ema in (0.9, 0.0))
    assert [e["train_loss"] for e in history] == [e["train_loss"] for e in plain]
    assert [e["val_loss"] for e in history] != [e["val_loss"] for e in plain]


@pytest.mark.parametrize("stops", [(2,), (1, 2)], ids=str)
@pytest.mark.parametrize(
    "changes",
    [
        {"ema": 0.99},
        {"warmup": 0.4, "schedule": "cosine", "clip_norm": 0.1},
        {"warmup": 0.4, "clip_norm": 0.1, "optimizer": "sgd", "precision": "fp16"},
        {"ema": 0.9, "clip_norm": 1.0, "precision": "bf16", "augment": "photo"},
        {"ema": 0.9, "layer_decay": 0.5},
        {"drop_path": 0.5, "model": "timm:test_convnext", "model_args": {}, "input_size": 32},
    ],
    ids=str,
)
def test_an_interrupted_trial_ends_as_if_nothing_had_happened(changes, stops, tiny_data, tmp_path):
    config = make_config(**changes)
    interrupted = train_with_interruptions(config, tiny_data, tmp_path, stops)
    assert_identical(interrupted, train(config, tiny_data))


def test_a_state_has_the_average_only_if_there_is_one(tiny_data, tmp_path):
    for ema, names in ((0.0, 0), (0.9, 1)):
        state = train_until(1, make_config(ema=ema), tiny_data, tmp_path)
        assert bool(state["average"]) == bool(names)


def test_a_trial_of_an_earlier_version_resumes_without_an_average(tiny_data, tmp_path):
    config = make_config()
    state = train_until(1, config, tiny_data, tmp_path)
    added = ("warmup", "clip_norm", "ema", "drop_path", "patience", "lora_rank")
    state["config"] = {k: v for k, v in state["config"].items() if k not in added}
    state["config"]["layer_decay"] = 0.7
    del state["average"]
    history = fit(config, tiny_data, lambda *_: None, resume=state)
    assert comparable(history) == comparable(fit(config, tiny_data, lambda *_: None))
