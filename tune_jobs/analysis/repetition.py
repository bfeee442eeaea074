"""Whether a repeated run came out the same to the bit, and if not, what differs around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tune_jobs.analysis.datasets import images_of, split_of
from tune_jobs.analysis.formatting import counted, first_of, listed
from tune_jobs.analysis.results import load_epochs, load_run, load_trials

MEASURED = (
    "seconds", "features_s", "images_per_second", "peak_memory_mb", "latency_ms", "checkpoint",
    "device",
)  # fmt: skip
"""Columns that are not compared: times, memory, the number in the name of a checkpoint, and the
device, which is a reason for a difference and none itself."""
NAMED = 3
"""Number of trials that a sentence names."""


@dataclass(frozen=True)
class Repetition:
    """A run beside the run that it repeats."""

    first: str
    """Path or URI of the run that was repeated."""
    trials: int
    """Number of trials of the first run."""
    different: dict[str, str]
    """What differs first in each trial that is not the same to the bit, by its name."""
    around: list[str]
    """What else differs: versions, processor, images, settings."""

    @property
    def lines(self) -> list[str]:
        """What differs, as sentences; none if all is the same to the bit."""
        if not self.different:
            return []
        names = list(self.different)
        head = (
            f"Not the same as {self.first}: {len(names)} of {counted(self.trials, 'trial')} "
            f"({first_of(names, NAMED)})"
        )
        details = [f"{name}: {self.different[name]}" for name in names[:NAMED]]
        what = [f"different: {each}" for each in self.around] or [
            "nothing that run.json records differs (images, split, weights, options, versions, "
            "processor, cores per trial); what a search proposes, and what a scheduler stops, "
            "depends on the order in which trials end"
        ]
        return [head, *details, *what]

    @property
    def text(self) -> str:
        """The result for a terminal."""
        if self.different:
            head, *others = self.lines
            return "\n".join([head, *(f"  {line}" for line in others)])
        text = (
            f"The same as {self.first} to the bit: the weights and the tables of "
            f"{counted(self.trials, 'trial')}, but for times and memory"
        )
        return text + (f". Different all the same: {listed(self.around)}" if self.around else "")


def repetition(first: str | Path, again: str | Path) -> Repetition:
    """Compare a run with the run that it repeats.

    Args:
        first: folder or URI of the run that was repeated.
        again: folder or URI of the run that repeats it.

    Raises:
        InputError: one of them cannot be read.
    """
    trials = [load_trials(path).set_index("trial") for path in (first, again)]
    epochs = [load_epochs(path).set_index(["trial", "epoch"]) for path in (first, again)]
    names = list(dict.fromkeys([*trials[0].index, *trials[1].index]))
    found = {name: _difference(name, trials, epochs) for name in names}
    around = differences(load_run(first), load_run(again))
    devices = [sorted(frame["device"].dropna().unique()) for frame in trials]
    if devices[0] != devices[1]:
        around.append(f"the device ({listed(devices[0])} and now {listed(devices[1])})")
    different = {name: text for name, text in found.items() if text}
    return Repetition(str(first), len(trials[0]), different, around)


def _difference(name: str, trials: list[pd.DataFrame], epochs: list[pd.DataFrame]) -> str:
    """Return what differs first between two trials of a name; "" if nothing does."""
    here = [name in frame.index for frame in trials]
    if not all(here):
        return "only in the first run" if here[0] else "only in this run"
    rows: list[Any] = [frame.loc[name] for frame in trials]
    settings = [row[[c for c in row.index if c.startswith("config/")]] for row in rows]
    if text := _changes(*settings):
        return text
    curves: list[Any] = [
        frame.loc[[name]].droplevel(0)
        for frame in epochs
        if name in frame.index.get_level_values("trial")
    ]
    if len(curves) == len(epochs):
        for epoch in curves[0].index.intersection(curves[1].index):
            if text := _changes(curves[0].loc[epoch], curves[1].loc[epoch]):
                return f"from epoch {epoch} on, {text}"
    return _changes(*rows)


def _changes(first: pd.Series[Any], again: pd.Series[Any]) -> str:
    """Return the first column in which two rows differ, with both values; "" if none does."""
    for column in first.index.intersection(again.index):
        ours, theirs = first[column], again[column]
        if column.rpartition("/")[2] in MEASURED or _same(ours, theirs):
            continue
        return f"{column} {ours} and now {theirs}"
    return ""


def _same(first: Any, again: Any) -> bool:
    first, again = (each.tolist() if hasattr(each, "tolist") else each for each in (first, again))
    if isinstance(first, list) or isinstance(again, list):
        return bool(first == again)
    return bool(pd.isna(first) and pd.isna(again)) or bool(first == again)


def differences(first: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Return what may keep two runs of the same options from the same results.

    Args:
        first: run.json of one run.
        again: run.json of the other run.
    """
    found = []
    for what, ours, theirs in (
        ("images", images_of(first), images_of(again)),
        ("split", split_of(first), split_of(again)),
    ):
        if ours != theirs:
            counts = f"{first['dataset'].get('images')} and now {again['dataset'].get('images')}"
            found.append(f"the {what} (fingerprint {ours} and now {theirs}; {counts} images)")
    weights = first.get("weights", {}), again.get("weights", {})
    models = sorted({*weights[0], *weights[1]})
    if changed := [name for name in models if weights[0].get(name) != weights[1].get(name)]:
        found.append(f"the initial weights of {listed(changed)}")
    versions = first.get("versions", {}), again.get("versions", {})
    for name in dict.fromkeys([*versions[0], *versions[1]]):
        ours, theirs = versions[0].get(name), versions[1].get(name)
        if ours != theirs:
            found.append(f"{name} ({ours} and now {theirs})")
    if first.get("commit") != again.get("commit"):
        found.append(f"the sources (commit {first.get('commit')} and now {again.get('commit')})")
    hardware = first.get("hardware", {}), again.get("hardware", {})
    for name, what in (("machine", "the processor"), ("gpus", "the GPUs")):
        ours, theirs = hardware[0].get(name), hardware[1].get(name)
        if ours != theirs:
            found.append(f"{what} ({ours} and now {theirs})")
    sets = [set(each.get("capabilities", ())) for each in hardware]
    if sets[0] != sets[1]:
        found.append(f"the processor's instructions ({', '.join(sorted(sets[0] ^ sets[1]))})")
    for name in ("cpus_per_trial", "gpus_per_trial"):
        ours, theirs = (run["options"]["run"].get(name) for run in (first, again))
        if ours != theirs:
            found.append(f"--{name.replace('_', '-')} ({ours} and now {theirs})")
    return found
