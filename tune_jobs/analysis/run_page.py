"""The page of a run, from its files, also while it is training."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from trainables.status import TrialStatus
from trainables.target import TARGETS, Target
from tune_jobs.analysis.curves import curves_info, has_curves, plot_curves
from tune_jobs.analysis.datasets import metric_of
from tune_jobs.analysis.formatting import counted, duration, first_of, moment
from tune_jobs.analysis.penalties import penalties_info, plot_penalties
from tune_jobs.analysis.report.blocks import Block, Card, Picture, Section, Table, Text
from tune_jobs.analysis.report.page import DRAWING, render_page
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.analysis.search_figures.history import history_info, plot_history
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.folder import EPOCHS_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.provenance import wall_seconds
from tune_jobs.run_folder.schema import (
    ending,
    features_seconds,
    has_scores,
    merit,
    training_seconds,
)
from tune_jobs.run_folder.settings import eligible_stored

MOST_CURVES, MOST_ROWS, NAMED = 12, 50, 3
"""Maximum number of trials in the figure, in the table, and in a sentence."""


def run_page(path: str | Path, planned_s: float | None = None, refresh_s: int | None = None) -> str:
    """Return the page of a run as HTML that needs no other file.

    Args:
        path: folder or URI of the run.
        planned_s: wall time that --plan estimated for the run, in seconds; None without a plan.
        refresh_s: seconds after which a browser reads the page again, while the run is training;
            None for never.

    Raises:
        InputError: there is no run at that path or URI, or it cannot be read.
    """
    record, folder = load_run(path), RunFolder.at(path)
    begun = folder.has(TRIALS_FILE) and folder.has(EPOCHS_FILE)
    trials = load_trials(path) if begun else pd.DataFrame()
    epochs = load_epochs(path) if begun else pd.DataFrame()
    if record["status"] == "interrupted" and begun and not record.get("ended"):  # by a kill
        written = folder.fs.get_file_info(f"{folder.path}/{TRIALS_FILE}").mtime
        record["ended"] = written.isoformat()
    rows: list[dict[str, Any]] = trials.to_dict("records")  # type: ignore[assignment]
    target = TARGETS[metric_of(record)]
    ranked = sorted(
        (row for row in rows if has_scores(row) and may_be_chosen(row)),
        key=lambda row: merit(row, target),
        reverse=True,
    )
    first_ones = [row["trial"] for row in eligible_stored(ranked, record, target)]
    ranked.sort(key=lambda row: row["trial"] not in first_ones)
    sections = [Section("Trials", [trials_table(rows, ranked, target)])]
    if "about" in record:
        sections.append(Section("Images", [Text(line) for line in record["about"]]))
    first: list[Block] = [Text(first_epoch_text(rows))]
    with mpl.rc_context(DRAWING):
        penalties = penalties_info(trials, target)
        if has_curves(epochs):
            first = [curves(epochs, ranked)]
        elif penalties is not None:
            caption = f"Validation {target.label} of the heads by their L2 penalty."
            first = [Picture("penalties", plot_penalties(penalties), caption, caption)]
        elif ranked:
            first = [Text("No trial has curves, as none has more than one epoch.")]
        if "objectives" in record.get("search", {}) and ranked:
            figure = plot_history(history_info(trials, target.best, target.mode))
            caption = f"Validation {target.label} of each trial, and the best so far."
            blocks = [Picture("history", figure, caption, caption)]
            sections.insert(0, Section("Search", blocks))
    again = refresh_s is not None and record["status"] == "running"
    return render_page(
        headline=headline(folder.name, record, rows),
        sentences=[best_sentence(ranked, target, record["status"])],
        dataset=record["dataset"].get("name", ""),
        command=record.get("command", ""),
        cards=cards(record, rows, ranked, target, planned_s),
        first=first,
        first_title="Curves",
        sections=sections,
        footer="It is read from the tables of the run, which are written at most every two "
        "seconds.",
        head=f'<meta http-equiv="refresh" content="{refresh_s}">' if again else "",
    )


def headline(name: str, record: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return how far a run is."""
    left = sum(TrialStatus(row["status"]).is_open for row in rows)
    ended = f"{len(rows) - left} of {counted(len(rows), 'trial')}"
    if record["status"] == "running":
        return f"{name} is running: {ended} have ended"
    was = "was interrupted" if record["status"] == "interrupted" else f"has {record['status']}"
    if record["status"] == "finished" and not any(map(has_scores, rows)):
        was = "has failed"
    return f"{name} {was}: {ended} have ended"


def first_epoch_text(rows: list[dict[str, Any]]) -> str:
    """Return what stands in place of the curves until the first epoch has ended."""
    training = [row["trial"] for row in rows if row["status"] == TrialStatus.RUNNING]
    if not training:
        return "No epoch has ended yet."
    names = first_of(training, NAMED)
    return f"No epoch has ended yet. {names} {'is' if len(training) == 1 else 'are'} training."


def best_sentence(ranked: list[dict[str, Any]], target: Target, status: str) -> str:
    """Return the best trial, of a run that has not finished so far."""
    if not ranked:
        return "No trial has a score yet."
    best, head = ranked[0], "Best" if status == "finished" else "Best so far"
    return f"{head}: {best['trial']} with validation {target.label} {_score(best, target)}."


def cards(
    record: Mapping[str, Any],
    rows: list[dict[str, Any]],
    ranked: list[dict[str, Any]],
    target: Target,
    planned_s: float | None,
) -> list[Card]:
    """Return the key figures."""
    done = sum(int(row["epochs"]) for row in rows)
    open_ = [row for row in rows if TrialStatus(row["status"]).is_open]
    planned = done + sum(int(row["config/epochs"] - row["epochs"]) for row in open_)
    end = record.get("ended") if record["status"] != "running" else None
    until = datetime.fromisoformat(end) if end else datetime.now(timezone.utc)
    worked_s = wall_seconds({**record, "ended": until.isoformat()})
    since_s = (until - datetime.fromisoformat(record["started"])).total_seconds()
    wall_s = since_s if worked_s is None else worked_s
    note = f"since {moment(record['started'])} UTC"
    if resumed := record["resumed"]:
        note += f", resumed {counted(len(resumed), 'time')}"
    if worked_s is None:
        note += ", pauses included"
    shown = [
        ("wall time", duration(wall_s), note),
        (
            "epochs",
            f"{done:,} of {planned:,}",
            f"of {counted(len(rows), 'trial')} known by now",
        ),
        ("training time", duration(sum(training_seconds(rows))), "of all trials together"),
    ]
    if planned_s is not None:
        ratio = f"{wall_s / planned_s:.0%} of it have passed"
        shown.insert(1, ("planned by --plan", duration(planned_s), ratio))
    if ranked:
        best = ranked[0]
        shown.insert(0, (f"best validation {target.label}", _score(best, target), best["trial"]))
    return [Card(label, value, (note,)) for label, value, note in shown]


def curves(epochs: pd.DataFrame, ranked: list[dict[str, Any]]) -> Picture:
    """Return the loss curves of the trials, of many those of the best."""
    names = list(dict.fromkeys(epochs["trial"]))
    if len(names) > MOST_CURVES:
        names = [row["trial"] for row in ranked[:MOST_CURVES]]
    info = curves_info(epochs[epochs["trial"].isin(names)])
    caption = f"Training and validation loss of {counted(len(info.panels), 'trial')}, on one scale."
    figure = plot_curves(info, columns=2, width=2.7)  # fits a phone
    return Picture("curves", figure, caption, caption)


def trials_table(rows: list[dict[str, Any]], ranked: list[dict[str, Any]], target: Target) -> Table:
    """Return the table of the trials: those with scores, the best first, then the others."""
    best = {row["trial"] for row in ranked}
    shown = [*ranked, *(row for row in rows if row["trial"] not in best)][:MOST_ROWS]
    header = ("trial", "status", "epochs", f"best validation {target.label}", "in epoch",
              "validation loss", "time")  # fmt: skip
    cells = [
        (
            row["trial"],
            ending(row["status"], row["stopped_by"]),
            f"{row['epochs']:.0f} of {row['config/epochs']:.0f}",
            _score(row, target),
            _number(row["best/epoch"], ".0f"),
            _number(row["best/val_loss"], ".4f"),
            duration((row["seconds"] or 0.0) + features_seconds(row)),
        )
        for row in shown
    ]
    return Table(header, cells, left=frozenset({0, 1}), strong=0 if ranked else None)


def _score(row: Mapping[str, Any], target: Target) -> str:
    value = row[target.best]
    return "" if pd.isna(value) else target.show(value)


def _number(value: Any, digits: str) -> str:
    return "" if pd.isna(value) else f"{value:{digits}}"
