"""Parameters of a search as axes of figures: numbers or categories, linear or logarithmic."""

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
    """One parameter, and its value in every trial."""

    name: str
    positions: list[float]
    """Numbers themselves, of a category its place in `labels`; NaN in trials without it."""
    labels: list[str]
    """The categories; none where values are numbers."""
    log: bool

    @property
    def notes(self) -> str:
        """Unit and kind of scale, in brackets."""
        notes = [_UNITS[self.name]] if self.name in _UNITS else []
        notes += ["log"] if self.log else []
        return f"({', '.join(notes)})" if notes else ""

    def scaled(self, values: list[float]) -> NDArray[np.float64]:
        """Values as they were searched: their logarithm to base 10 where the scale is such."""
        array = np.asarray(values, dtype=np.float64)
        return np.log10(array) if self.log else array

    def heights(self, values: list[float]) -> NDArray[np.float64]:
        """Where values are between the lowest (0) and the highest (1) of the trials."""
        own = self.scaled(self.positions)
        low, high = np.nanmin(own), np.nanmax(own)
        if high == low:
            return self.scaled(values) * 0 + 0.5  # NaN stays NaN
        return (self.scaled(values) - low) / (high - low)

    def ticks(self, gap: float) -> dict[float, str]:
        """Values to mark -> their text, at least `gap` apart where the axis is 1 long."""
        if self.labels:
            return {i: _shorten(label) for i, label in enumerate(self.labels)}
        used = np.unique([value for value in self.positions if not np.isnan(value)])
        # Few whole numbers are marked themselves: 3, 5 and 7 tell more than 2, 4, 6 and 8.
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
    """The parameters that any of the trials has, in the order given.

    Args:
        trials: one row a trial, of `load_trials()`.
        space: what was searched.

    Raises:
        InputError: a parameter is no setting of a trial.
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
        # A value of 0 has no place on a logarithmic axis.
        return ParameterAxis(name, values.tolist(), [], log and bool(np.nanmin(values) > 0))
    texts = [None if pd.isna(value) else str(value) for value in column]
    labels = sorted({text for text in texts if text is not None}, key=_natural)
    places = [np.nan if text is None else float(labels.index(text)) for text in texts]
    return ParameterAxis(name, places, labels, False)


def _natural(text: str) -> list[Any]:
    """Sort key that puts [8] before [8, 16], and that before [16]."""
    return [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text.strip("[]"))
    ]


def _round_values(low: float, high: float, log: bool) -> NDArray[np.float64]:
    linear = MaxNLocator(nbins=6, steps=[1, 2, 5, 10])
    for locator in [LogLocator(numticks=8), linear] if log else [linear]:
        values = np.asarray(locator.tick_values(low, high))
        values = values[(values >= low) & (values <= high)]
        # Less than two powers of ten would leave the axis without a scale.
        if len(values) > 1:
            break
    return values


def _shorten(text: str, length: int = 18) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
