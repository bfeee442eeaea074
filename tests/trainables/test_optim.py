import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

from tests import nets
from tests.trainables.test_loop import make_config
from trainables.checkpoint import changed
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.loop import fit
from trainables.models import build_model
from trainables.optim import build_optimizer, build_scheduler
from trainables.precision import Autocast
from trainables.step import Step

CPU = torch.device("cpu")


def rates(steps, **changes):
    """Learning rate of every step of a training of one epoch."""
    config = make_config(epochs=1, lr=1.0, optimizer="sgd", **changes)
    optimizer = build_optimizer(config, nn.Linear(1, 1))
    scheduler = build_scheduler(config, optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


# Warm-up


def test_the_rate_rises_linearly_to_its_maximum_and_stays_there():
    expected = [0.2, 0.4, 0.6, 0.8] + [1.0] * 6
    assert rates(10, warmup=0.4) == pytest.approx(expected)


def test_the_rate_rises_linearly_and_then_falls_along_a_cosine():
    fall = [(1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    expected = [0.2, 0.4, 0.6, 0.8, *fall]
    assert rates(10, warmup=0.4, schedule="cosine") == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_of_less_than_a_step_is_none(schedule):
    assert rates(4, warmup=0.1, schedule=schedule) == rates(4, schedule=schedule)


def test_a_warm_up_of_nearly_all_steps_is_possible():
    assert rates(3, warmup=0.9, schedule="cosine") == pytest.approx([0.25, 0.5, 0.75])


def test_one_cycle_takes_no_other_warm_up():
    with pytest.raises(InputError, match=r"warmup is 0.1.*one_cycle.*cosine"):
        make_config(warmup=0.1, schedule="one_cycle")


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_state_resumes_under_another_lr_on_the_same_warmed_up_schedule(schedule, tiny_data):
    config = make_config(schedule=schedule, warmup=0.6, epochs=4, lr=1e-3, ema=0.9)
    states = []
    history = fit(config, tiny_data, lambda _, state: states.append(copy.deepcopy(state)))
    other = dataclasses.replace(config, lr=3e-3, weight_decay=0.25)
    resumed = fit(other, tiny_data, lambda *_: None, resume=changed(states[0], other))
    before, tripled = ([row["learning_rate"] for row in rows] for rows in (history, resumed))
    assert tripled[1:] == pytest.approx([3 * rate for rate in before[1:]])


# Clipping


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("clip_norm", "moved"), [(None, 4.0), (3.0, 3.0), (5.0, 4.0)])
def test_no_step_goes_further_than_its_clipped_gradient(clip_norm, moved, scaled):
    config = TrialConfig(lr=1.0, optimizer="sgd", momentum=0.1, clip_norm=clip_norm, batch_size=2)
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    step = Step(
        model,
        config,
        optimizer,
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        torch.amp.GradScaler("cpu", enabled=scaled),
        nn.Identity(),
        Autocast("fp32", CPU),
    )
    # Of the cross-entropy at zero logits: half the input in one row, minus that in the other.
    batch = torch.tensor([[4.0, 0.0]]).repeat(2, 1) * math.sqrt(2)
    step(batch, torch.zeros(2, dtype=torch.long))
    assert float(model.weight.norm()) == pytest.approx(moved, rel=1e-5)


# Layer-wise learning-rate decay


@pytest.mark.parametrize("mode", ["full", "gradual"])
def test_stages_far_from_the_head_learn_more_slowly(mode):
    config = TrialConfig(lr=1.0, model="resnet18", weights="w", mode=mode, layer_decay=0.5)
    model = build_model("resnet18", 10, 32)
    groups = build_optimizer(config, model, "fc").param_groups
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(len(groups))]
    assert [p.shape for p in groups[0]["params"]] == [(10, 512), (10,)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(("mode", "decay"), [("full", 1.0), ("gradual", 0.7), ("lora", 1.0)])
def test_the_decay_is_off_in_all_modes_but_gradual(mode, decay):
    config = TrialConfig(lr=1.0, model="resnet18", weights="w", mode=mode)
    assert config.stage_decay == decay
    groups = build_optimizer(config, build_model("resnet18", 10, 32), "fc").param_groups
    assert (len(groups) > 1) == (mode == "gradual")


@pytest.mark.parametrize(
    ("mode", "before", "now"),
    [("full", 0.7, None), ("full", 0.5, None), ("gradual", 0.7, None), ("gradual", 0.5, 0.5)],
)
def test_a_trial_of_an_earlier_version_keeps_its_learning_rates(mode, before, now):
    stored = TrialConfig(lr=1.0, model="resnet18", weights="w", mode=mode).to_dict()
    stored = {k: v for k, v in stored.items() if k != "warmup"} | {"layer_decay": before}
    assert TrialConfig.from_dict(stored).layer_decay == now


def test_full_fine_tuning_with_decay_moves_early_layers_less(tiny_data):
    moved = {}
    for decay in (1.0, 0.01):
        torch.manual_seed(0)
        start = nets.tiny(10).state_dict()
        weights = {key: value.numpy() for key, value in start.items()}
        config = TrialConfig(lr=0.1, epochs=1, batch_size=16, precision="fp32", optimizer="sgd",
                             model="tests.nets:tiny", weights="w", layer_decay=decay)  # fmt: skip
        states = []
        fit(config, tiny_data, lambda _, state, kept=states: kept.append(state), weights=weights)
        moved[decay] = float((states[-1]["model"]["0.weight"] - start["0.weight"]).norm())
    assert 0 < moved[0.01] < 0.1 * moved[1.0]
