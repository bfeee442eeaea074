import dataclasses
import math

import torch
from torch import nn

from trainables import costs
from trainables.costs import count_macs, latency_ms, measure, measure_all
from trainables.models import build_model

CPU = torch.device("cpu")


def test_macs_equal_a_count_by_hand():
    # Filters × channels × 25 × positions of each convolution, then the two linear layers.
    expected = 32 * 3 * 25 * 1024 + 64 * 32 * 25 * 256 + 128 * 64 * 25 * 64 + 2048 * 64 + 64 * 10
    assert count_macs(build_model("cnn", 10, 32), 32, CPU) == expected
    assert count_macs(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), 2, CPU) == 60


def test_costs_are_measured(monkeypatch):
    monkeypatch.setattr(costs, "LATENCY_RUNS", 20)
    model = build_model("cnn", 10, 16)
    found = measure(model, 16, CPU)
    assert 0 < found.latency_p50_ms <= found.latency_p95_ms
    assert found.images_per_second > 256 / 60
    assert found.macs == count_macs(model, 16, CPU)
    assert not model.training


def test_models_take_turns_and_a_busy_machine_states_no_time(monkeypatch):
    monkeypatch.setattr(costs, "LATENCY_RUNS", 10)
    monkeypatch.setattr(costs, "THROUGHPUT_BATCH", 2)
    seen = []

    class Named(nn.Flatten):
        def forward(self, x):
            seen.append(self)
            return super().forward(x)

    first, second = Named(), Named()
    found = measure_all([(first, 4), (second, 8)], CPU)
    turns = [model for model, before in zip(seen, [None, *seen], strict=False) if model != before]
    assert turns[: 2 * costs.ROUNDS] == [first, second] * costs.ROUNDS
    for each in found:
        assert each.latency_low_ms <= each.latency_p50_ms <= each.latency_high_ms
    busy = dataclasses.replace(found[0], others=0.5).stated()
    assert busy.macs == found[0].macs
    assert math.isnan(busy.latency_p50_ms)
    assert math.isnan(busy.images_per_second)
    calm = dataclasses.replace(found[0], others=0.01)
    assert calm.stated() == calm


def test_a_slow_model_is_timed_fewer_times(monkeypatch):
    class Counted(nn.Flatten):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    monkeypatch.setattr(costs, "MAX_SECONDS", 0)
    model = Counted()
    assert latency_ms(model, 4, CPU) > 0
    assert model.calls == 2  # one to warm up
