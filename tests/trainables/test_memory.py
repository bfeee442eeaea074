import sys

import torch

from trainables.memory import peak_memory_mb, reset_peak_memory


def test_peak_memory_counts_in_megabytes_from_the_reset():
    device = torch.device("cpu")
    before = peak_memory_mb(device)
    assert 50 < before < 100_000  # torch alone takes more than 100 MB
    assert torch.ones(10**8).any()  # 400 MB, let go at once
    grown = peak_memory_mb(device)
    assert grown >= before
    reset_peak_memory(device)
    if sys.platform == "linux":
        assert peak_memory_mb(device) < grown - 300
