"""Results of a run."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from trainables.errors import InputError
from tune_jobs.command_line.invocation import typed_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tune_jobs.run_folder.folder import RunFolder

MOST_ROWS = 20
"""Largest number of trials that a notebook shows; of more it shows the best."""
PICTURES = ("figures/history.png", "shortlist.png", "curves.png")
"""Figures that jobs write, of which a notebook shows the first that a run has."""


class Run(os.PathLike[str]):
    """Results of a run that has ended, was interrupted, or is training.

    Tables are read when they are first asked for; `Run(run)` reads them again.

    Args:
        path: the run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no run at that path or URI, or a newer version wrote it.
    """

    def __init__(self, path: str | os.PathLike[str]):
        from tune_jobs.analysis.results import load_run

        self.path = os.fspath(path)
        """Path or URI of the run folder."""
        self.record = load_run(self.path)
        """Content of run.json: options, data set, versions, hardware, times."""
        self.warnings: list[str] = self.record.get("warnings", [])
        """What is to know about the results, as the terminal says it when a job has ended."""

    def __fspath__(self) -> str:
        """Return the path, so that a run is taken wherever a run folder is."""
        return self.path

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial: settings, status, best and last scores, costs."""
        from tune_jobs.analysis.results import load_trials

        return load_trials(self.path)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per trial and epoch."""
        from tune_jobs.analysis.results import load_epochs

        return load_epochs(self.path)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front of a search; raises InputError if it is none."""
        from tune_jobs.analysis.results import load_front

        return load_front(self.path)

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """The ranking of a shortlist; raises InputError if it is none."""
        from tune_jobs.analysis.results import load_shortlist

        return load_shortlist(self.path)

    @cached_property
    def summary(self) -> pd.Series[Any]:
        """The run in one row, as `load_runs` returns it: data set, models, best score, effort."""
        from tune_jobs.analysis.results import load_runs

        return load_runs(self.path).iloc[0]

    @property
    def best(self) -> pd.Series[Any] | None:
        """Row of the best trial by the run's metric; None if no trial has a score."""
        name = self.summary["best"]
        rows = self.trials[self.trials["trial"] == name]
        return None if rows.empty else rows.iloc[0]

    @property
    def differences(self) -> list[str]:
        """What differs from the run that `from_run` repeats; none if it is the same to the bit."""
        from tune_jobs.analysis.repetition import repetition

        first = self.record["options"]["run"].get("from_run")
        if first is None:
            raise InputError(f"{self.path} repeats no run: give from_run to repeat one")
        return repetition(first, self.path).lines

    @cached_property
    def figures(self) -> dict[str, str]:
        """Path or URI of each figure that the job has written, by its name."""
        from tune_jobs.run_folder.folder import FIGURES_FOLDER, RunFolder

        folder = RunFolder.at(self.path)
        return figures_in(folder) | figures_in(folder.child(FIGURES_FOLDER))

    def curves(self) -> Figure:
        """Draw the training and validation loss of each trial, of many those of the best."""
        from tune_jobs.analysis.curves import curves_info, plot_curves

        shown = set(self._best_trials()["trial"])
        return displayed(plot_curves(curves_info(self.epochs[self.epochs["trial"].isin(shown)])))

    def _best_trials(self) -> pd.DataFrame:
        """Return the trials in their order, of many the best ones."""
        from trainables.target import TARGETS

        if len(self.trials) <= MOST_ROWS:
            return self.trials
        target = TARGETS[self.summary["metric"]]
        order = self.trials[target.best].map(target.merit).sort_values(ascending=False)
        return self.trials.loc[order.index[:MOST_ROWS]]

    def __repr__(self) -> str:
        row = self.summary
        trials = f"{len(self.trials)} trials, {row['status']}"
        return f"Run({typed_path(self.path)!r}): {trials}{self._best_text()}"

    def _best_text(self) -> str:
        from trainables.target import TARGETS

        row = self.summary
        if self.best is None:
            return ""
        target = TARGETS[row["metric"]]
        return f", best validation {target.label} {target.show(row['score'])} ({row['best']})"

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it: a sentence, the trials, and a figure."""
        from trainables.target import TARGETS
        from tune_jobs.analysis.formatting import duration
        from tune_jobs.run_folder.schema import ending

        target, row = TARGETS[self.summary["metric"]], self.summary
        text = f"{row['dataset']}: {len(self.trials)} trials, {row['status']}{self._best_text()}"
        shown, best = self._best_trials(), row["best"]
        columns: dict[str, Any] = {
            f"validation {target.label}": shown[target.best].map(_or_dash(target.show)),
            "at epoch": shown["best/epoch"].map(_or_dash("{:.0f}".format)),
            "validation loss": shown["best/val_loss"].map(_or_dash("{:.4f}".format)),
            "time": shown["seconds"].map(_or_dash(duration)),
            "best": ["✓" if name == best else "" for name in shown["trial"]],
        }
        ends = list(map(ending, shown["status"], shown["stopped_by"]))
        table = shown[["trial", "epochs"]].assign(**columns)
        table.insert(1, "status", ends)
        more = len(self.trials) - len(shown)
        note = f"<p>… the best {len(shown)} of {len(self.trials)} trials</p>" if more else ""
        name = html.escape(typed_path(self.path))
        head = f"<p><b>{name}</b><br>{html.escape(text)}</p>"
        shown_table = table.to_html(index=False, border=0)
        about, warned = map(bullets, (self.record.get("about", []), self.warnings))
        return f"{head}{about}{shown_table}{note}{warned}{self._picture()}"

    def _picture(self) -> str:
        """Return the first figure that the job has written, else the curves, as HTML."""
        from trainables.target import TARGETS
        from tune_jobs.analysis.curves import has_curves
        from tune_jobs.analysis.penalties import penalties_info, plot_penalties
        from tune_jobs.run_folder.folder import RunFolder

        folder = RunFolder.at(self.path)
        found = next((name for name in PICTURES if folder.has(name)), None)
        if found:
            return picture(folder.read(found), found)
        if has_curves(self.epochs):
            return picture(png(self.curves()), "losses")
        path = penalties_info(self.trials, TARGETS[self.summary["metric"]])
        return "" if path is None else picture(png(plot_penalties(path)), "penalties")


def displayed(figure: Figure) -> Figure:
    """Return a figure that a notebook shows as a picture, also where pyplot is not set up."""
    figure._repr_png_ = partial(png, figure)  # type: ignore[attr-defined]
    return figure


def figures_in(folder: RunFolder) -> dict[str, str]:
    """Return the PNG files in a folder, by name without suffix."""
    found = sorted(name for name in folder.names() if name.endswith(".png"))
    return {name.removesuffix(".png"): folder.child(name).uri for name in found}


def bullets(sentences: Sequence[str]) -> str:
    """Return sentences as an HTML list; empty for none."""
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _or_dash(show: Any) -> Any:
    """Return a function that formats a number, and a missing one as a dash."""
    return lambda value: "–" if value != value else show(value)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100)
    return stream.getvalue()


def picture(content: bytes, alt: str) -> str:
    """Return a PNG as an element of a page that needs no other file."""
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<img alt="{html.escape(alt)}" style="max-width:100%" src="{source}">'
