"""Estimate of the time that the trials of a run still need."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from trainables.config import TrialConfig
from trainables.status import TrialStatus
from tune_jobs.ray_runtime.epoch_progress import Progress, read_progress
from tune_jobs.tuning.recorder import Recorder

RECENT = 20
"""Number of epochs of one kind whose mean time is taken."""
LOOK_EVERY_S = 1.0
"""Seconds between looks at how far trials are within their epochs."""
LEAST_FRACTION = 0.02
"""Fraction of an epoch from which its time is estimated, before one has ended."""


class Estimate(NamedTuple):
    """What a run has trained, and what is left of it."""

    done: float
    """Epochs that are trained, with the seen fractions of those that are being trained."""
    left: float
    """Epochs that are left."""
    seconds: float | None
    """Time left in seconds; None before an epoch, or enough of one, has passed."""


class TimeLeft:
    """Estimate of the epochs that the trials of a run still need, and of the time that they take.

    Epochs of one network at one image size are of one kind. A trial's time is estimated from its
    own epochs, else from those of its kind, else from all. Probes of a kind share the features that
    the first of them computes, which is what takes time.

    Args:
        recorder: tables of the run.
        slots: returns the number of trials that may run concurrently.
        trials: number of trials of the run, those not proposed yet included.
    """

    def __init__(self, recorder: Recorder, slots: Callable[[], int], trials: int):
        self.recorder, self.slots, self.trials = recorder, slots, trials
        self.own: dict[str, deque[float]] = {}
        self.kinds: dict[tuple[object, ...], deque[float]] = {}
        self.features: dict[tuple[object, ...], float] = {}
        self.all: deque[float] = deque(maxlen=RECENT)
        self.within: dict[str, Progress] = {}
        self.first: dict[str, tuple[float, float]] = {}
        self.next_look = time.monotonic()

    def add_epoch(self, trial: str, seconds: float, features_s: float = 0.0) -> None:
        """Add the time of an epoch that has ended.

        Args:
            trial: name of the trial.
            seconds: time of the epoch in seconds.
            features_s: seconds that the features of a probe took when they were computed.
        """
        config = self.recorder.configs[trial]
        kind = kind_of(config)
        if config.mode == "probe":
            # Features from the cache take no time, and a trial that reads them reports no progress.
            self.features.setdefault(kind, features_s if trial in self.first else seconds)
        for times in (
            self.own.setdefault(trial, deque(maxlen=RECENT)),
            self.kinds.setdefault(kind, deque(maxlen=RECENT)),
            self.all,
        ):
            times.append(seconds)

    def forget(self, trial: str) -> None:
        """Free the times of a trial that has ended; its kind keeps them."""
        self.own.pop(trial, None)
        self.first.pop(trial, None)

    def look(self, running: Sequence[str]) -> bool:
        """Ask how far the running trials are within their epochs; return whether it was time to."""
        if time.monotonic() < self.next_look:
            return False
        self.next_look = time.monotonic() + LOOK_EVERY_S
        self.add_progress(read_progress(running))
        return True

    def add_progress(self, found: dict[str, Progress]) -> None:
        """Take over how far the running trials are within their epochs."""
        self.within = {
            trial: progress
            for trial, progress in found.items()
            if progress.epoch == len(self.recorder.epochs[trial]) + 1  # not of an ended epoch
        }
        for trial in self.within:
            self.first.setdefault(trial, (time.monotonic(), self.fraction(trial)))

    def fraction(self, trial: str) -> float:
        """Return how much of its current epoch a trial has seen."""
        progress = self.within.get(trial)
        if progress is None or progress.epoch != len(self.recorder.epochs[trial]) + 1:
            return 0.0  # the epoch has ended since
        return min(1.0, progress.images / progress.of)

    def counted(self) -> tuple[int, int]:
        """Return the epochs that have ended, and the most that the run may have in the end.

        The most falls when trials end early, and never rises.
        """
        rows, configs, epochs = self.recorder.rows, self.recorder.configs, self.recorder.epochs
        open_ = [name for name, row in rows.items() if TrialStatus(row["status"]).is_open]
        longest = max((config.epochs for config in configs.values()), default=0)
        most = sum(len(epochs[name]) for name in rows.keys() - set(open_))
        most += sum(configs[name].epochs for name in open_)
        most += longest * max(0, self.trials - len(rows))
        return sum(map(len, epochs.values())), most

    def estimate(self) -> Estimate:
        """Estimate what is left. It looks at every trial of the run."""
        rows, configs, epochs = self.recorder.rows, self.recorder.configs, self.recorder.epochs
        open_ = [name for name, row in rows.items() if TrialStatus(row["status"]).is_open]
        ended = [name for name in rows.keys() - set(open_) if epochs[name]]
        planned = sum(configs[name].epochs for name in ended)
        # Schedulers stop trials early: open trials are expected to train as far as ended ones.
        share = sum(len(epochs[name]) for name in ended) / planned if planned else 1.0
        unseen = max(0, self.trials - len(rows))  # refused trials have rows as well
        unseen_epochs = (
            share * unseen * max((config.epochs for config in configs.values()), default=0)
        )
        left = {
            name: max(
                share * configs[name].epochs - len(epochs[name]) - self.fraction(name),
                1 - self.fraction(name) if name in self.within else 0.0,
            )
            for name in open_
        }
        done = sum(map(len, epochs.values())) + sum(map(self.fraction, self.within))
        typical = fmean(self.all) if self.all else self._first_epochs()
        seconds = None
        if typical is not None:
            shared = self._sharing_features(open_)
            each = [
                0.0 if name in shared else epochs * (self._epoch_seconds(name) or typical)
                for name, epochs in left.items()
            ]
            lanes = max(1, min(self.slots(), len(open_) + unseen))
            # No trial is faster for idle slots beside it.
            seconds = max(0.0, (sum(each) + unseen_epochs * typical) / lanes, *each)
        return Estimate(done, sum(left.values()) + unseen_epochs, seconds)

    def _epoch_seconds(self, trial: str) -> float | None:
        config = self.recorder.configs[trial]
        if config.mode == "probe":
            return fmean(self.features.values()) if self.features else None
        times = self.own.get(trial) or self.kinds.get(kind_of(config))
        return fmean(times) if times else None

    def _sharing_features(self, trials: Sequence[str]) -> set[str]:
        """Return the probes among some trials whose features another trial computes."""
        computed, sharing = set(self.features), set()
        for name in trials:
            config = self.recorder.configs[name]
            if config.mode == "probe" and kind_of(config) in computed:
                sharing.add(name)
            computed.add(kind_of(config))
        return sharing

    def _first_epochs(self) -> float | None:
        """Return the mean time of an epoch by those that have begun, before one has ended."""
        now, times = time.monotonic(), []
        for trial, (then, before) in self.first.items():
            passed = self.fraction(trial) - before
            if passed >= LEAST_FRACTION:
                times.append((now - then) / passed)
        return fmean(times) if times else None


def kind_of(config: TrialConfig) -> tuple[object, ...]:
    """Return what the time of an epoch depends on most."""
    return config.model, config.mode, config.image_size, config.input_size
