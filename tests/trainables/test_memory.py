import os
import subprocess
import sys

import numpy as np
import torch

from trainables.memory import peak_memory_mb

MEASURE = """
import torch
from trainables.memory import peak_memory_mb, reset_peak_memory
device = torch.device("cpu")
before = peak_memory_mb(device)
assert torch.ones(10**8).any()  # 400 MB, let go at once
grown = peak_memory_mb(device)
reset_peak_memory(device)
print(before, grown, peak_memory_mb(device))
"""


def test_peak_memory_counts_in_megabytes_from_the_reset():
    assert 50 < peak_memory_mb(torch.device("cpu")) < 100_000  # torch alone takes over 100 MB
    # In a process of its own: one that has run other tests keeps memory that it was given before.
    # What its parent holds must not count.
    held = np.ones(10**9, np.uint8)
    command = [sys.executable, "-c", MEASURE]
    # With the settings that jobs give Ray, a process keeps memory that it has let go.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    printed = subprocess.run(command, env=own, capture_output=True, text=True, check=True).stdout
    before, grown, after = map(float, printed.split())
    assert before < held.nbytes / 1e6
    assert grown > before + 300
    if sys.platform == "linux":
        assert after < grown - 300
