"""Axes for searched parameters: numerical or categorical, linear or logarithmic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from tune_jobs.analysis.results import search_frame
from tune_jobs.search_space.space import Space

_UNITS = {"batch_size": "images"}  # the other parameters have none


@dataclass(frozen=True)
class ParameterAxis:
    """A searched parameter and its value in every trial."""

    name: str
    """Name of the parameter."""
    positions: list[float]
    """Value in each trial, for a category its index in `labels`; NaN if the trial has none."""
    labels: list[str]
    """Names of the categories; empty for a numerical parameter."""
    log: bool
    """Whether the scale is logarithmic."""

    @property
    def notes(self) -> str:
        """Unit and scale in parentheses, for the axis label."""
        notes = [_UNITS[self.name]] if self.name in _UNITS else []
        notes += ["log"] if self.log else []
        return f"({', '.join(notes)})" if notes else ""

    def scaled(self, values: list[float]) -> NDArray[np.float64]:
        """Return values on the scale of the search: their base-10 logarithm on a log scale."""
        array = np.asarray(values, dtype=np.float64)
        return np.log10(array) if self.log else array

    def heights(self, values: list[float]) -> NDArray[np.float64]:
        """Return the relative positions of values, from 0 (lowest of the trials) to 1 (highest)."""
        own = self.scaled(self.positions)
        low, high = np.nanmin(own), np.nanmax(own)
        if high == low:
            return self.scaled(values) * 0 + 0.5  # NaN stays NaN
        return (self.scaled(values) - low) / (high - low)

    def ticks(self, gap: float) -> dict[float, str]:
        """Return tick values and their labels, at least `gap` apart on an axis of length 1."""
        if self.labels:
            return {i: _shorten(label) for i, label in enumerate(self.labels)}
        used = np.unique([value for value in self.positions if not np.isnan(value)])
        # Few integers are better ticks themselves: 3, 5 and 7 rather than 2, 4, 6 and 8.
        few = len(used) == 1 or (len(used) <= 6 and (used % 1 == 0).all())
        marks = used if few else _round_values(used[0], used[-1], self.log)
        ticks: dict[float, str] = {}
        last = -np.inf
        for mark, height in zip(marks, self.heights(marks.tolist()), strict=True):
            if height - last >= gap:
                ticks[float(mark)] = f"{mark:.4g}"
                last = height
        return ticks


def parameter_axes(trials: pd.DataFrame, space: Space) -> list[ParameterAxis]:
    """Return the axes of the parameters that any trial has, in the order of the space.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        space: search space.

    Raises:
        InputError: a parameter is not a setting of the trials.
    """
    searched = search_frame(trials, space)
    return [
        _axis(name, searched[name], parameter.log)
        for name, parameter in space.items()
        if searched[name].notna().any()
    ]


def _axis(name: str, column: pd.Series[Any], log: bool) -> ParameterAxis:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        # A logarithmic axis cannot show 0.
        return ParameterAxis(name, values.tolist(), [], log and bool(np.nanmin(values) > 0))
    texts = [None if pd.isna(value) else str(value) for value in column]
    labels = sorted({text for text in texts if text is not None}, key=_natural)
    positions = [np.nan if text is None else float(labels.index(text)) for text in texts]
    return ParameterAxis(name, positions, labels, False)


def _natural(text: str) -> list[Any]:
    """Return a sort key that orders [8], [8, 16], [16]."""
    return [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text.strip("[]"))
    ]


def _round_values(low: float, high: float, log: bool) -> NDArray[np.float64]:
    linear = MaxNLocator(nbins=6, steps=[1, 2, 5, 10])
    for locator in [LogLocator(numticks=8), linear] if log else [linear]:
        values = np.asarray(locator.tick_values(low, high))
        values = values[(values >= low) & (values <= high)]
        # Fewer than two powers of ten do not show the scale: fall back to linear ticks.
        if len(values) > 1:
            break
    return values


def _shorten(text: str, length: int = 18) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
