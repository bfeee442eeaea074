"""Constraints that the trials of a search must satisfy to be chosen (--constraint).

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.errors import InputError
from trainables.status import TrialStatus
from trainables.target import TARGETS

FRACTIONS = ("val_accuracy", "val_precision", "val_recall", "val_balanced_accuracy",
             "val_macro_f1", "val_auroc")  # fmt: skip
"""Metrics of the validation images whose values are in 0..1."""
COLUMNS = {
    **{name: name for name in ("parameters", "macs", "latency_ms", "seconds",
                               "images_per_second", "peak_memory_mb")},
    **{name: f"best/{name}" for name in (*FRACTIONS, "val_loss")},
    **{target.column: target.best for target in TARGETS.values()},
}  # fmt: skip
"""Columns of trials.parquet by the name that --constraint takes; val_* is that of the best
epoch."""
POSSIBLE = {
    "parameters": (1, 1e13), "macs": (1, 1e17), "latency_ms": (1e-4, 1e9), "seconds": (1e-4, 1e9),
    "images_per_second": (1e-6, 1e10), "peak_memory_mb": (0.01, 1e9), "val_loss": (0, 1e38),
    "val_log_loss": (0, 1e38), **dict.fromkeys(FRACTIONS, (0, 1)),
}  # fmt: skip
"""Lowest and highest value that any trial on any machine may have, by a wide margin."""
EXAMPLE = "latency_ms<=5 or parameters<=5e6"


@dataclass(frozen=True)
class Constraint:
    """A bound on a column of the trials, e.g. latency_ms<=5."""

    name: str
    """Name of the column on the command line, a key of COLUMNS."""
    upper: bool
    """Whether the bound is an upper one (<=) and not a lower one (>=)."""
    bound: float
    """Highest or lowest value that satisfies it."""
    text: str
    """The constraint as it is written on the command line, without spaces."""

    def value(self, row: Mapping[str, Any]) -> float | None:
        """Return the value of its column in a row of trials.parquet; None if it is unknown."""
        value = row.get(COLUMNS[self.name])
        return None if value is None or math.isnan(value) else float(value)

    def violation(self, row: Mapping[str, Any]) -> float | None:
        """Return how far a row is beyond the bound: above 0 where it violates the constraint.

        Relative to the bound, so that the violations of parameters and milliseconds can be added,
        as samplers do. None if the value is unknown.
        """
        if (value := self.value(row)) is None:
            return None
        beyond = value - self.bound if self.upper else self.bound - value
        return beyond / (abs(self.bound) or 1.0)


def parse_constraints(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """Parse the values of --constraint.

    Raises:
        InputError: a value is no constraint, names an unknown column or no finite number, can
            hold for no trial, or repeats or contradicts another one.
    """
    constraints: list[Constraint] = []
    for text in texts:
        new = _parse(text)
        for known in constraints:
            if known.name != new.name:
                continue
            if known.upper == new.upper:
                raise InputError(
                    f"--constraint {known.text} and {new.text} bound {new.name} on the same side: "
                    "give one of them"
                )
            low, high = (known, new) if new.upper else (new, known)
            if low.bound > high.bound:
                raise InputError(
                    f"--constraint {known.text} and {new.text} contradict each other, as no value "
                    f"of {new.name} satisfies both: change one of them"
                )
        constraints.append(new)
    return tuple(constraints)


def _parse(text: str) -> Constraint:
    match = re.fullmatch(r"\s*([\w/]+)\s*([<>=!~]+)\s*(\S+)\s*", text)
    if not match:
        raise InputError(
            f"--constraint {text!r} must be a column, <= or >=, and a number, in quotes: "
            f"try '{EXAMPLE.split()[0]}'"
        )
    name, operator, number = match.groups()
    if name not in COLUMNS:
        raise InputError(
            f"--constraint {text!r} names the column {name!r}, which trials do not have: use one "
            f"of {', '.join(COLUMNS)}"
        )
    if operator not in ("<=", ">="):
        raise InputError(
            f"--constraint {text!r} has the operator {operator}, and constraints are bounds: use "
            "<= or >="
        )
    try:
        bound = float(number) if number.isascii() and "_" not in number else math.nan
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise InputError(
            f"--constraint {text!r} compares with {number!r}, which is not a finite number: "
            f"write it as 5, 0.5 or 5e6, e.g. {EXAMPLE}"
        )
    upper = operator == "<="
    low, high = POSSIBLE[name]
    if (bound < low or bound <= 0) if upper else bound > high:
        raise InputError(
            f"--constraint {text!r} can hold for no trial, as {name} is between {low:g} and "
            f"{high:g}: give another number"
        )
    return Constraint(name, upper, bound, f"{name}{operator}{number}")


def violated(row: Mapping[str, Any], constraints: Sequence[Constraint]) -> list[Constraint]:
    """Return the constraints that a row of trials.parquet is known to violate."""
    return [c for c in constraints if (beyond := c.violation(row)) is not None and beyond > 0]


def is_feasible(row: Mapping[str, Any], constraints: Sequence[Constraint]) -> bool | None:
    """Return whether a trial satisfies all constraints; None if it may yet.

    A trial that has ended without a value that a constraint is about does not satisfy it.

    Args:
        row: the trial's row of trials.parquet.
        constraints: constraints of the search; without any, every trial is feasible.
    """
    if violated(row, constraints):
        return False
    if all(constraint.value(row) is not None for constraint in constraints):
        return True
    return False if TrialStatus(row["status"]).is_ended else None


def may_be_chosen(row: Mapping[str, Any]) -> bool:
    """Return whether a row of trials.parquet is of a trial that may be chosen.

    Its column `feasible` is missing where the run had no constraints.
    """
    return row.get("feasible") not in (False,)  # NumPy's False is equal, but not identical


def describe(constraints: Sequence[Constraint]) -> str:
    """Return the constraints as text: latency_ms<=5 and parameters<=5e6."""
    return " and ".join(constraint.text for constraint in constraints)
