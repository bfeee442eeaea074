import torch
from torch import nn

from trainables import costs
from trainables.costs import count_macs, latency_ms, measure
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
