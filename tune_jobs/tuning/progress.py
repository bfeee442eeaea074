"""What the terminal shows while Ray Tune works: a bar a running trial, or a line a finished one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from trainables.metrics import TARGET
from trainables.status import TrialStatus
from tune_jobs.analysis.formatting import duration
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.recorder import Recorder

LOG_EVERY_S = 60.0
"""Between lines on how far a run is, where bars cannot be drawn."""
COLOURS = {
    TrialStatus.DIVERGED: "red",
    TrialStatus.FAILED: "red",
    TrialStatus.STOPPED: "yellow",
    TrialStatus.INTERRUPTED: "yellow",
}
"""Colours of the statuses that are not green."""


class TerminalProgress(DriverCallback):
    """Reads the recorder's rows, so it comes after it in the list of callbacks."""

    def __init__(self, recorder: Recorder, console: Console, slots: Callable[[], int], trials: int):
        self.recorder, self.console, self.slots, self.trials = recorder, console, slots, trials
        self.width = max(map(len, ("trial-000", *recorder.rows)))
        self.live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            # Drawn by the hooks alone: a second thread's lines and theirs would mix.
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self.bars: dict[str, TaskID] = {}
        self.seconds: list[float] = []
        self.next_line = time.monotonic()
        self.total = self.live.add_task("all".ljust(self.width), total=None, note="")
        self._estimate()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Show a bar for the trial, where an earlier driver left it."""
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
        """Move the trial's bar and the estimate."""
        if "epoch" not in result:
            return
        name = trial_name(trial)
        note = f"loss {result['val_loss']:.3f}  accuracy {result[TARGET]:.2%}"
        self.live.update(self.bars[name], completed=result["epoch"], note=note)
        self.seconds.append(result["seconds"])
        self._estimate()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Replace the trial's bar by a line that stays."""
        name = trial_name(trial)
        if name in self.bars:
            self.live.remove_task(self.bars.pop(name))
        self._estimate()
        self.console.print(describe(self.recorder.rows[name], self.width), highlight=False)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Say in a log that the run lives, however long machines or epochs take."""
        if self.live.disable:
            self._estimate()

    def _estimate(self) -> None:
        if self.live.disable and time.monotonic() < self.next_line:  # it looks at every trial
            return
        rows, configs, epochs = self.recorder.rows, self.recorder.configs, self.recorder.epochs
        open_ = [name for name, row in rows.items() if TrialStatus(row["status"]).is_open]
        ended = [name for name in rows if name not in open_ and epochs[name]]
        planned = sum(configs[name].epochs for name in ended)
        # A scheduler stops trials early: the rest is expected to go as far as those that ended.
        share = sum(len(epochs[name]) for name in ended) / planned if planned else 1.0
        unseen = self.trials - len(rows)
        typical = max((config.epochs for config in configs.values()), default=0)
        left = share * unseen * typical + sum(
            max(0.0, share * configs[name].epochs - len(epochs[name])) for name in open_
        )
        done = sum(map(len, epochs.values()))
        note = f"{len(self.bars)} running" if self.bars else "starting workers"
        if self.seconds:
            recent = self.seconds[-20:]
            lanes = max(1, min(self.slots(), len(open_) + unseen))
            note = f"about {duration(left / lanes * sum(recent) / len(recent))} left"
        self.live.update(self.total, completed=done, total=done + left, note=note, refresh=True)
        if self.live.disable:
            self.next_line = time.monotonic() + LOG_EVERY_S
            line = f"{done} of {done + left:.0f} epochs  {note}"
            self.console.print(line, highlight=False, markup=False)


def describe(row: TrialRow, width: int) -> str:
    """One line on a trial that has ended."""
    status = TrialStatus(row["status"])
    colour = COLOURS.get(status, "green")
    line = (
        f"{escape(row['trial'].ljust(width))}  [{colour}]{status:<8}[/]  {row['epochs']:>3} epochs"
    )
    if row["epochs"]:
        line += f"  best accuracy {row['best/val_accuracy']:7.2%} in epoch {row['best/epoch']}"
        line += f"  {duration(row['seconds'])}"
    if row.get("error"):
        line += f"  {escape(row['error'] or '')}"
    return line
