"""Strategy of a shortlist: a trial per network, which fits heads at all penalties."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from typing import Any

import numpy as np
from ray import tune
from ray.tune.experiment import Trial
from rich.markup import escape
from rich.table import Table

from trainables.config import TrialConfig, file_stem
from trainables.errors import InputError, first_line
from trainables.models.published import published
from trainables.resampling import check_resampling
from trainables.status import TrialStatus
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.statistics import wilson
from tune_jobs.analysis.formatting import count, duration, listed, milliseconds
from tune_jobs.analysis.shortlist import SHORTLIST_SCHEMA, Judged, RankedRow, plot_shortlist, rank
from tune_jobs.command_line.invocation import typed_path, words_that_start
from tune_jobs.command_line.terminal import NextStep, plain_table
from tune_jobs.ranking.options import ShortlistOptions
from tune_jobs.ranking.other_runs import check_run, judged_trial
from tune_jobs.run_folder.folder import SHORTLIST_FIGURE, SHORTLIST_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.best_model import write_figure
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.found_images import FoundImages
from tune_jobs.tuning.grid import Grid
from tune_jobs.tuning.sizes import fitted
from tune_jobs.tuning.strategy import Findings, Run, TunerSettings
from tune_jobs.tuning.tuner import LATENCY_NOTE, parameters_at, ray_config

SPLITS = 10
"""Number of other splits of the images that every network is scored on."""
DROPPABLE = ("licence", "latency", "parameters", "pixels", "features in", "MACs", "behind")
"""Columns that a narrow terminal goes without, the first of them first."""
JUDGED_FILE = "judged.json"
"""File of the run folder with what trials measured beside their epoch."""


class Judgements(DriverCallback):
    """Callback that keeps what each trial reports with its epoch, see `Probe.judge`."""

    def __init__(self, folder: RunFolder, known: dict[str, dict[str, Any]]):
        self.folder, self.known = folder, known

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Write what a trial measured."""
        if "resampled" in result:
            names = "resampled", "features_s", "macs", "weights"
            self.known[trial_name(trial)] = {name: result[name] for name in names}
            self.folder.write_json(JUDGED_FILE, self.known)


class Shortlist(Grid):
    """Networks that are judged by their features.

    Args:
        options: options of the job.
        found: images of the job.

    Raises:
        InputError: none of the networks can be built.
    """

    def __init__(self, options: ShortlistOptions, found: FoundImages):
        self.options = options
        self.refused: dict[str, tuple[TrialConfig, str]] = {}
        """Configuration of each network that cannot be built, by its trial, and why."""
        self.judged: dict[str, dict[str, Any]] = {}
        known: dict[str, TrialConfig] = {}
        for model in options.models:
            base = TrialConfig(
                **vars(options.training), lr=None, mode="probe", model=model, weights="default"
            )
            for asked in options.data.image_size:
                name = file_stem(model)
                name += f",size={asked}" if len(options.data.image_size) > 1 else ""
                try:
                    config = fitted(base, asked, found)
                    size = config.network_size(found.stored_size or 0)
                    parameters_at(config, len(found.listing.classes), size)
                    known[name] = config
                except InputError as error:
                    self.refused[name] = base, first_line(error)
        if not known:
            reasons = "; ".join(reason for _, reason in self.refused.values())
            raise InputError(f"none of the networks of --models can be built: {reasons}")
        super().__init__(known)

    def models(self) -> dict[str, str]:
        """Return no model: a trial reads its weights where it runs, one network at a time."""
        return {}

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Raise InputError unless the runs of --with are of the same images and splits."""
        for path in self.options.with_:
            check_run(path, record, self.options.training.metric)

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Return the networks that can be built, and enter the others into the tables as failed."""
        self.run = run
        labels = np.concatenate([run.data.train_labels, run.data.val_labels])
        fraction = len(run.data.val_labels) / len(labels)
        check_resampling(labels, run.data.groups, run.data.classes, fraction)
        if run.folder.has(JUDGED_FILE):
            self.judged.update(run.folder.read_json(JUDGED_FILE))
        for name, (config, reason) in self.refused.items():
            run.recorder.add(name, config, 0)
            run.recorder.rows[name] |= {"status": TrialStatus.FAILED, "error": reason}
        return self.known

    def remaining(self, unfinished: dict[str, str | None]) -> tuple[dict[str, str | None], int]:
        """Return the networks that have not been judged."""
        for name in self.known:
            if name not in self.judged:
                unfinished.setdefault(name, None)
        for name in self.refused:
            unfinished.pop(name, None)
        return unfinished, 0

    def tuner_settings(
        self,
        run: Run,
        unfinished: dict[str, str | None],
        proposals: int,
        slots: Callable[[], int],
    ) -> TunerSettings:
        """Return a grid search by Ray over the networks."""
        settings = super().tuner_settings(run, unfinished, proposals, slots)
        trials = [
            ray_config(run, name, resume, latency=True, splits=SPLITS)["trial"]
            for name, resume in unfinished.items()
        ]
        settings.param_space["trial"] = tune.grid_search(trials)
        settings.callbacks.append(Judgements(run.folder, self.judged))
        return settings

    def summarise(self) -> Findings:
        """Write the ranking and its figure, and return the table for the terminal."""
        run = self.run
        rows = [self._row(name) for name in run.recorder.rows]
        rows += [judged_trial(path, run.target) for path in self.options.with_]
        ranked = rank(rows, run.target, len(run.data.val_labels) / len(run.data.train_labels))
        run.folder.write_rows(SHORTLIST_FILE, ranked, SHORTLIST_SCHEMA)
        write_figure(run.folder, SHORTLIST_FIGURE, plot_shortlist(ranked, run.target))
        scored = [row for row in ranked if row["rank"] is not None]
        notes = self._notes(scored) if scored else []
        top = min(3, len(scored))
        words = (
            *words_that_start("finetune"),
            "--data",
            str(self.options.data.data),
            "--from",
            typed_path(run.folder.uri),
        )
        command = shlex.join([*words, "--top", str(top)])
        steps = [NextStep(f"fine-tuning of the best {top}" if top > 1 else "fine-tuning", command)]
        table = ranking_table(ranked, run)
        return Findings(notes, steps=steps if scored else [], table=table, droppable=DROPPABLE)

    def _notes(self, scored: list[RankedRow]) -> list[str]:
        first, tied = scored[0], [row["model"] for row in scored[1:] if row["tied"]]
        label = self.run.target.label
        notes = [
            f"Ranked by mean {label} over {SPLITS} other splits of the training and validation "
            "images; intervals are corrected for the images that splits share (Nadeau & Bengio "
            "2003). The test images were not read.",
            LATENCY_NOTE,
        ]
        if self.options.with_:
            notes.append(
                "Rows without a rank are of other runs, and their scores of the validation images "
                "alone, by which their trials were chosen."
            )
        if tied:
            notes.append(
                f"These images do not tell {listed(tied)} from {first['model']}, the first"
            )
        elif len(scored) > 1:
            notes.append(f"{first['model']} is better than each of the others on these images")
        return notes

    def _row(self, name: str) -> Judged:
        recorder = self.run.recorder
        row, config = recorder.rows[name], recorder.configs[name]
        judged = self.judged.get(name, {})
        epoch = next(iter(recorder.epochs[name].values()), None)
        score = row[self.run.target.best] if epoch else math.nan  # type: ignore[literal-required]
        low = high = math.nan
        images = len(self.run.data.val_labels)
        if epoch and self.run.target == ACCURACY:
            low, high = wilson(round(score * images), images)
        origin = None if name in self.refused else published(config.model)
        return {
            "model": config.model,
            "run": None,
            "trial": name,
            "status": row["status"],
            "error": row.get("error"),
            "image_size": config.network_size(0),
            "penalty": epoch["penalty"] if epoch else math.nan,
            "score": score,
            "score_low": low,
            "score_high": high,
            "resampled": judged.get("resampled", []),
            "parameters": row["parameters"],
            "macs": float(judged.get("macs", math.nan)),
            "latency_ms": float(row.get("latency_ms") or math.nan),
            "features_s": float(judged.get("features_s", math.nan)),
            "weights": judged.get("weights"),
            "licence": origin.licence if origin else None,
            "source": origin.source if origin else None,
        }


def ranking_table(rows: list[RankedRow], run: Run) -> Table:
    """Return the ranking for the terminal, with the reason of networks that have no score."""
    target = run.target
    table = plain_table()
    table.add_column("", justify="right")
    table.add_column("network", no_wrap=True)
    for heading in (f"mean {target.label}, 95% CI", "behind", "pixels", "parameters", "MACs",
                    "latency", "features in"):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    for row in rows:
        if math.isnan(row["score"]):
            table.add_row("–", escape(row["model"]), row["status"], style="dim")
            continue
        ranked = row["rank"] is not None
        names = ("mean", "low", "high") if ranked else ("score", "score_low", "score_high")
        value, low, high = (row[name] for name in names)  # type: ignore[literal-required]
        shown = target.show(value)
        if not math.isnan(low):
            shown += f" ({target.show(low)} to {target.show(high)})"
        behind = "" if row["rank"] in (1, None) else target.show_difference(row["behind"])
        if not ranked:
            behind = "of one split"
        table.add_row(
            str(row["rank"]) if ranked else "–",
            escape(row["model"] if row["run"] is None else f"{row['run']}: {row['trial']}"),
            shown,
            f"{behind} (tie)" if behind and row["tied"] else behind,
            str(row["image_size"] or ""),
            count(row["parameters"]),
            "" if math.isnan(row["macs"]) else count(row["macs"]),
            "" if math.isnan(row["latency_ms"]) else milliseconds(row["latency_ms"]),
            "" if math.isnan(row["features_s"]) else duration(row["features_s"]),
            row["licence"] or "",
            style="bold green" if row["rank"] == 1 else None,
        )
    return table
