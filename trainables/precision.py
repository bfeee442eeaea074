"""Numeric precision of a trial, and precision and determinism of convolutions on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
"""Precision as configured."""
ResolvedPrecision: TypeAlias = Literal["fp32", "bf16", "fp16"]
"""Precision of a trial on its device; bf16 and fp16 are mixed precision by autocast."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Autocast:
    """Factory of autocast contexts for the precision of a trial.

    Args:
        precision: Precision; fp32 disables autocast.
        device: Device of the computation.
    """

    def __init__(self, precision: ResolvedPrecision, device: torch.device):
        self.device_type = device.type
        self.dtype = DTYPES[precision]

    def __call__(self) -> torch.autocast:
        """Return a new autocast context."""
        enabled = self.dtype is not torch.float32
        return torch.autocast(self.device_type, self.dtype if enabled else None, enabled=enabled)


def resolve_precision(precision: Precision, device: torch.device) -> ResolvedPrecision:
    """Replace `auto` by bf16 on devices where it is faster than fp32, otherwise by fp32.

    GPUs need native bf16 arithmetic. CPUs need AMX, or AVX512-BF16 on AMD: AVX512-BF16 on Intel
    CPUs without AMX is slower than fp32 (benchmarks/results.md).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("amx_bf16")) or (
            bool(capabilities.get("avx512_bf16")) and "AMD" in str(capabilities.get("cpu_name"))
        )
    return "bf16" if native else "fp32"


@contextlib.contextmanager
def tf32_disabled() -> Iterator[None]:
    """Disable TF32 in fp32 convolutions on a GPU, so that they are as precise as on a CPU.

    TF32 has only 10 bits of mantissa.
    """
    with _temporarily_set(torch.backends.cudnn.conv, "fp32_precision", "ieee"):  # type: ignore[attr-defined]
        yield


@contextlib.contextmanager
def deterministic_convolutions() -> Iterator[None]:
    """Use deterministic convolution algorithms on a GPU.

    Other algorithms add in varying order, which changes the rounding of floating-point sums.
    """
    with _temporarily_set(torch.backends.cudnn, "deterministic", True):
        yield


@contextlib.contextmanager
def _temporarily_set(backend: Any, setting: str, value: Any) -> Iterator[None]:
    """Set an attribute of a torch backend, and restore it on exit."""
    before = getattr(backend, setting)
    setattr(backend, setting, value)
    try:
        yield
    finally:
        setattr(backend, setting, before)
