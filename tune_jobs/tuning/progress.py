"""Progress on the terminal: a bar for each running trial, a line for each ended one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from trainables.status import TrialStatus
from trainables.target import TARGETS, Target
from tune_jobs.analysis.formatting import duration
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.recorder import Recorder

LOG_EVERY_S = 60.0
"""Seconds between progress lines where bars cannot be drawn."""
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
        self.recorder, self.console, self.slots, self.trials = recorder, console, slots, trials
        self.width = max(map(len, ("trial-000", *recorder.rows)))
        room = console.width - self.width - EPOCHS_WIDTH
        self.short = room < NOTE_WIDTH
        bars = [BarColumn(bar_width=None)] if room >= NOTE_WIDTH + BAR_WIDTH else []
        # A name that is wider than the terminal is wrapped.
        whole = Column(overflow="fold")
        self.live = Progress(
            TextColumn("{task.description}", table_column=whole),
            *bars,
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            # Only the hooks draw: lines of a second thread would mix with theirs.
            auto_refresh=False,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        self.bars: dict[str, TaskID] = {}
        self.seconds: list[float] = []
        self.next_line = time.monotonic()
        self.total = self.live.add_task("all".ljust(self.width), total=None, note="")
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
        self.live.update(self.bars[name], completed=result["epoch"], note=note)
        self.seconds.append(result["seconds"])
        self._estimate()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Replace the bar of the trial by a permanent line."""
        name = trial_name(trial)
        if name in self.bars:
            self.live.remove_task(self.bars.pop(name))
        self._estimate()
        line = describe(self.recorder.rows[name], self.width, self._target(name))
        self.console.print(line, highlight=False)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Print a line to a log file now and then, even while no epoch ends."""
        if self.live.disable:
            self._estimate()

    def _target(self, trial: str) -> Target:
        return TARGETS[self.recorder.configs[trial].metric]

    def _estimate(self) -> None:
        if self.live.disable and time.monotonic() < self.next_line:  # the rest looks at every trial
            return
        done, left = epochs_of_run(self.recorder, self.trials)
        note = f"{len(self.bars)} running" if self.bars else "starting workers"
        if self.seconds:
            recent = self.seconds[-20:]
            rows = self.recorder.rows
            open_ = sum(TrialStatus(row["status"]).is_open for row in rows.values())
            lanes = max(1, min(self.slots(), open_ + max(0, self.trials - len(rows))))
            note = f"about {duration(left / lanes * sum(recent) / len(recent))} left"
        self.live.update(self.total, completed=done, total=done + left, note=note, refresh=True)
        if self.live.disable:
            self.next_line = time.monotonic() + LOG_EVERY_S
            line = f"{done} of {done + left:.0f} epochs  {note}"
            self.console.print(line, highlight=False, markup=False)


def epochs_of_run(recorder: Recorder, trials: int) -> tuple[int, float]:
    """Return the number of epochs that were trained, and about how many are left.

    Args:
        recorder: tables of the run.
        trials: number of trials of the run, those not proposed yet included.
    """
    rows, configs, epochs = recorder.rows, recorder.configs, recorder.epochs
    open_ = [name for name, row in rows.items() if TrialStatus(row["status"]).is_open]
    ended = [name for name in rows if name not in open_ and epochs[name]]
    planned = sum(configs[name].epochs for name in ended)
    # Schedulers stop trials early: open trials are expected to train as far as ended ones.
    fraction = sum(len(epochs[name]) for name in ended) / planned if planned else 1.0
    unseen = max(0, trials - len(rows))  # refused trials have rows as well
    typical = max((config.epochs for config in configs.values()), default=0)
    left = fraction * unseen * typical + sum(
        max(0.0, fraction * configs[name].epochs - len(epochs[name])) for name in open_
    )
    return sum(map(len, epochs.values())), left


def describe(row: TrialRow, width: int, target: Target) -> str:
    """Return the line for a trial that has ended."""
    status = TrialStatus(row["status"])
    colour = COLOURS.get(status, "green")
    line = (
        f"{escape(row['trial'].ljust(width))}  [{colour}]{status:<8}[/]  {row['epochs']:>3} epochs"
    )
    if row["epochs"]:
        score = target.show(row[target.best])  # type: ignore[literal-required]
        line += f"  best {target.label} {score:>7} in epoch {row['best/epoch']}"
        line += f"  {duration(row['seconds'])}"
    if row.get("error"):
        line += f"  {escape(row['error'] or '')}"
    return line
