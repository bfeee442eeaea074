"""Peak memory of training, and recognition of out-of-memory errors."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error is a failed memory allocation, on a GPU or a CPU.

    On a CPU the operating system may kill the process instead of raising an error.
    """
    words = "DefaultCPUAllocator", "CUDA error: out of memory"
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak memory, because one process trains several trials."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # only on Linux, and not in every container
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MB since the last reset.

    On a GPU it is the memory allocated by torch; on a CPU it is the resident memory of the process,
    including images in shared memory.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    # Linux counts a process's ru_maxrss from its parent's memory at the start, and never resets it.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
