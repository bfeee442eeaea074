"""The arithmetic that a trial computes in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
ResolvedPrecision: TypeAlias = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Autocast:
    """Context of the precision that a trial computes in; called for a fresh one."""

    def __init__(self, precision: ResolvedPrecision, device: torch.device):
        self.device_type = device.type
        self.dtype = DTYPES[precision]

    def __call__(self) -> torch.autocast:
        """A context to compute in."""
        enabled = self.dtype is not torch.float32
        return torch.autocast(self.device_type, self.dtype if enabled else None, enabled=enabled)


def resolve_precision(precision: Precision, device: torch.device) -> ResolvedPrecision:
    """What `auto` means on a device: bf16 where that is faster, else fp32.

    On a CPU that takes AMX, or the AVX512-BF16 of AMD. Intel's AVX512-BF16 without AMX is slower
    than fp32 (benchmarks/results.md).
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
def exact_convolutions() -> Iterator[None]:
    """Convolutions of fp32 on a GPU as on a CPU, where they have 10 bits of mantissa otherwise."""
    with _held(torch.backends.cudnn.conv, "fp32_precision", "ieee"):  # type: ignore[attr-defined]
        yield


@contextlib.contextmanager
def repeatable_convolutions() -> Iterator[None]:
    """Convolutions on a GPU that add in one order, or sums of fp32 come out otherwise each time."""
    with _held(torch.backends.cudnn, "deterministic", True):
        yield


@contextlib.contextmanager
def _held(backend: Any, setting: str, value: Any) -> Iterator[None]:
    before = getattr(backend, setting)
    setattr(backend, setting, value)
    try:
        yield
    finally:
        setattr(backend, setting, before)
