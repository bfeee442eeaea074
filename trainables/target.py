"""The metric that epochs and trials are stopped, chosen and compared by (--metric).

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

MetricName: TypeAlias = Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc"]
"""Values of --metric."""
Mode: TypeAlias = Literal["min", "max"]
"""Direction of improvement: whether low or high values are better."""


@dataclass(frozen=True)
class Target:
    """A metric of the validation images that models can be selected by."""

    name: MetricName
    """Name on the command line and in the tables."""
    label: str
    """Name in sentences, table headings and figures."""
    mode: Mode = "max"
    """Direction of improvement."""
    digits: str = ".2%"
    """Format specification of its values."""

    @property
    def column(self) -> str:
        """Column of epochs.parquet that has it."""
        return f"val_{self.name}"

    @property
    def best(self) -> str:
        """Column of trials.parquet that has its value in the best epoch."""
        return f"best/{self.column}"

    def merit(self, value: float) -> float:
        """Return a number that is higher the better a value is."""
        return value if self.mode == "max" else -value

    def show(self, value: float) -> str:
        """Format a value for tables and sentences: 74.14%, or 0.8123 for AUROC and log-loss."""
        return f"{value:{self.digits}}"

    def show_difference(self, value: float) -> str:
        """Format the absolute difference of two values: 1.25 points, or 0.0123."""
        return f"{100 * value:.2f} points" if self.digits.endswith("%") else f"{value:.4f}"


ACCURACY = Target("accuracy", "accuracy")
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        ACCURACY,
        Target("balanced_accuracy", "balanced accuracy"),
        Target("macro_f1", "macro-F1"),
        Target("log_loss", "log-loss", "min", ".4f"),
        Target("auroc", "AUROC", digits=".4f"),
    )
}
"""Metrics to select by, by name."""
