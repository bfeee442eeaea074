"""Progress on the terminal: a bar for each running trial, a line for each ended one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as ProgressBars
from rich.table import Column

from trainables.status import TrialStatus
from trainables.target import TARGETS, Target
from tune_jobs.analysis.formatting import counted, duration
from tune_jobs.command_line.terminal import redraws
from tune_jobs.ray_runtime.epoch_progress import Progress, forget_progress
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import ending
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.time_left import TimeLeft

LOG_EVERY_S, LOG_SHARE = 15.0, 0.02
"""Seconds between progress lines where bars cannot be drawn, and the share of the time since the
start that is between them if that is longer."""
EPOCHS_WIDTH, NOTE_WIDTH, BAR_WIDTH = 15, 32, 12
"""Characters of a line of the display: for "20/20 epochs", for loss and score, and for a bar.
A narrow terminal goes without the bars first, then without the loss."""
COLOURS = {
    TrialStatus.DIVERGED: "red",
    TrialStatus.FAILED: "red",
    TrialStatus.STOPPED: "yellow",
    TrialStatus.INTERRUPTED: "yellow",
}
"""Colours of statuses; all others are green."""


class TerminalProgress(DriverCallback):
    """Callback that shows the progress of a run.

    It reads the rows of the recorder, so it comes after the recorder in the list of callbacks.

    Args:
        recorder: tables of the run.
        console: terminal or log file.
        slots: returns the number of trials that may run concurrently.
        trials: number of trials of the run, those not proposed yet included.
    """

    def __init__(self, recorder: Recorder, console: Console, slots: Callable[[], int], trials: int):
        self.recorder, self.console = recorder, console
        self.time_left = TimeLeft(recorder, slots, trials)
        self.width = max(map(len, ("trial-000", *recorder.rows)))
        room = console.width - self.width - EPOCHS_WIDTH
        self.short = room < NOTE_WIDTH
        bars = [BarColumn(bar_width=None)] if room >= NOTE_WIDTH + BAR_WIDTH else []
        # A name that is wider than the terminal is wrapped.
        whole = Column(overflow="fold")
        self.live = ProgressBars(
            TextColumn("{task.description}", table_column=whole),
            *bars,
            TextColumn("{task.fields[epochs]}"),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            # Only the hooks draw: lines of a second thread would mix with theirs.
            auto_refresh=False,
            disable=not redraws(console),
        )
        self.bars: dict[str, TaskID] = {}
        self.started = self.next_line = time.monotonic()
        self.total = self.live.add_task("all".ljust(self.width), total=None, epochs="", note="")
        self._estimate()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Show a bar for the trial, which starts at the epochs of an earlier driver."""
        name = trial_name(trial)
        if name not in self.bars:
            self.bars[name] = self.live.add_task(
                name.ljust(self.width),
                total=self.recorder.configs[name].epochs,
                completed=len(self.recorder.epochs[name]),
                epochs=self._epochs(name),
                note="",
            )
            self.live.refresh()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Update the bar of the trial and the estimate of the time left."""
        if "epoch" not in result:
            return
        name = trial_name(trial)
        target = self._target(name)
        score = target.show(result[target.column])
        loss = "" if self.short else f"loss {result['val_loss']:.3f}  "
        note = f"{loss}{target.label} {score}"
        epochs = self._epochs(name)
        self.live.update(self.bars[name], completed=result["epoch"], epochs=epochs, note=note)
        self.time_left.add_epoch(name, result["seconds"], result.get("features_s", 0.0))
        self._estimate()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Replace the bar of the trial by a permanent line."""
        name = trial_name(trial)
        if name in self.bars:
            self.live.remove_task(self.bars.pop(name))
        self.time_left.forget(name)
        self._estimate()
        row = self.recorder.rows[name]
        ended = ending(row["status"], self.recorder.stopped_by(row))
        line = describe(row, ended, self.width, self._target(name), self._is_probe(name))
        self.console.print(line, highlight=False)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Show how far trials are within their epochs, and in a log file a line now and then."""
        if not self.time_left.look(list(self.bars)):
            return
        for name, progress in self.time_left.within.items():
            completed = progress.epoch - 1 + self.time_left.fraction(name)
            self.live.update(self.bars[name], completed=completed)
            if progress.epoch == 1:
                self.live.update(self.bars[name], note=images_seen(progress))
        self._estimate()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Delete what the workers have sent."""
        forget_progress()

    def _target(self, trial: str) -> Target:
        return TARGETS[self.recorder.configs[trial].metric]

    def _is_probe(self, trial: str) -> bool:
        """Return whether a trial fits a head to features, which takes no epochs."""
        return self.recorder.configs[trial].mode == "probe"

    def _epochs(self, trial: str) -> str:
        if self._is_probe(trial):
            return ""
        return f"{len(self.recorder.epochs[trial])}/{self.recorder.configs[trial].epochs} epochs"

    def _total(self) -> str:
        """Return how much of the run is done, in trials where they have no epochs."""
        rows, trials = self.recorder.rows, self.time_left.trials
        if rows and all(map(self._is_probe, rows)):
            ended = sum(not TrialStatus(row["status"]).is_open for row in rows.values())
            return f"{ended}/{max(trials, len(rows))} trials"
        done, most = self.time_left.counted()
        return f"{done}/{most} epochs" if most else ""

    def _estimate(self) -> None:
        now = time.monotonic()
        if self.live.disable and now < self.next_line:  # the rest looks at every trial
            return
        estimate, within = self.time_left.estimate(), self.time_left.within
        note = f"{len(self.bars)} running" if self.bars else "starting workers"
        if estimate.seconds is not None:
            left = estimate.seconds
            note = f"about {duration(left)} left" if left >= 1 else "about to end"
        if self.live.disable and within:
            name = next(iter(within))
            note = f"{note}  {name}: {images_seen(within[name])}"
        total = self._total()
        self.live.update(
            self.total, completed=estimate.done, total=estimate.done + estimate.left, epochs=total,
            note=note, refresh=True,
        )  # fmt: skip
        if self.live.disable:
            self.next_line = now + max(LOG_EVERY_S, LOG_SHARE * (now - self.started))
            line = f"{total}  {note}" if total else note
            self.console.print(line, highlight=False, markup=False)


def images_seen(progress: Progress) -> str:
    """Return how many of its training and validation images a trial has seen in an epoch."""
    return f"{progress.images:,} of {progress.of:,} images"


def describe(row: TrialRow, ended: str, width: int, target: Target, is_probe: bool) -> str:
    """Return the line for a trial that has ended.

    Args:
        row: row of the trial.
        ended: how it has ended.
        width: characters that its name has room in.
        target: metric that epochs are selected by.
        is_probe: whether it has fitted a head to features, which takes no epochs.
    """
    colour = COLOURS.get(TrialStatus(row["status"]), "green")
    line = f"{escape(row['trial'].ljust(width))}  [{colour}]{ended:<8}[/]"
    if not is_probe:
        line += f"  {counted(row['epochs'], 'epoch'):>10}"
    if row["epochs"]:
        score = target.show(row[target.best])  # type: ignore[literal-required]
        if is_probe:
            return f"{line}  {target.label} {score:>7}"
        line += f"  best {target.label} {score:>7} in epoch {row['best/epoch']}"
        line += f"  {duration(row['seconds'])}"
    if row.get("error"):
        line += f"  {escape(row['error'] or '')}"
    return line
