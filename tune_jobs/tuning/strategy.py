"""The interface of what proposes the trials of a run: a grid, or a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.models.weights import Weights
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.recorder import Recorder


@dataclass(frozen=True)
class Run:
    """A run in progress: what the steps of a job share."""

    command: CommandLine[JobOptions]
    """The command line that started or resumed it."""
    folder: RunFolder
    """The run folder."""
    recorder: Recorder
    """The tables of the run."""
    data: TrainingData
    """Training and validation images."""
    weights: dict[str, Weights]
    """Initial weights by model; models that start from random weights are not in it."""
    console: Console
    """The terminal."""

    @property
    def options(self) -> JobOptions:
        """The options of the job."""
        return self.command.options


@dataclass(frozen=True, kw_only=True)
class TunerSettings:
    """What a strategy asks of tune.Tuner."""

    param_space: dict[str, Any]
    """Search space of tune.Tuner; empty where `search_alg` proposes the trials."""
    scheduler: TrialScheduler
    """Stops, pauses or changes trials while they run."""
    max_concurrent_trials: int | None = None
    """Trials that run at a time; None for as many as there is room for."""
    num_samples: int = 1
    """Number of times that `search_alg` is asked for a trial."""
    search_alg: Searcher | None = None
    """Proposes trials one at a time."""
    callbacks: list[tune.Callback] = field(default_factory=list)
    """Hear how trials went, after the recorder has."""
    stop: tune.Stopper | None = None
    """Ends the run before all trials have ended."""


@dataclass(frozen=True)
class Findings:
    """What a strategy has to say when the run has ended."""

    notes: list[str] = field(default_factory=list)
    """Lines on what was found."""
    commands: list[str] = field(default_factory=list)
    """Commands that a person may type next."""


class Strategy:
    """What proposes trials and hears how they ended.

    `tuning.job.train` calls, in this order:

    1. `examples` and `models`, to check that everything can be built before anything is written;
    2. `check`, with Ray started and still nothing written;
    3. `prepare`, in a new run folder, before run.json makes it a run;
    4. `open`, which returns the trials that are known by then;
    5. `describe`, for run.json;
    6. `remaining`, once the tables of an earlier driver are read;
    7. `tuner_settings`, unless nothing is left to train;
    8. `settle`, when Ray Tune has returned;
    9. `describe` again, and `conclude`, when the tables and run.json are complete;
    10. `close`, whatever happened after `open`.
    """

    trials: int
    """Number of trials of the run."""
    changes_settings: bool = False
    """Whether the scheduler changes the settings of trials while they run."""

    def examples(self, count: int) -> list[TrialConfig]:
        """Return up to `count` trials such as the run will have."""
        raise NotImplementedError

    def models(self) -> dict[str, str]:
        """Return the networks that trials may have, and the initial weights of each."""
        raise NotImplementedError

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Raise InputError if the run cannot be what its run.json says."""

    def prepare(self, folder: RunFolder) -> None:
        """Write the files that --resume reads."""

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Begin or resume, and return the trials known by now, by name.

        Args:
            run: the run.
            record: its run.json.

        Raises:
            InputError: the strategy cannot begin or resume.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return the parts of run.json on the search, its budget and its trials."""
        raise NotImplementedError

    def remaining(self, unfinished: dict[str, str | None]) -> tuple[dict[str, str | None], int]:
        """Return the trials that are still to train, and the number that may yet be proposed.

        Args:
            unfinished: trials that have not ended in the tables, with the checkpoint that each
                resumes from, or None.
        """
        return unfinished, 0

    def tuner_settings(
        self, run: Run, unfinished: dict[str, str | None], slots: Callable[[], int]
    ) -> TunerSettings:
        """Return what Ray Tune is to run.

        Args:
            run: the run.
            unfinished: the trials that `remaining` returned.
            slots: returns the number of trials that may run at a time.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """Give an end to trials that still ran when a budget ended the run."""

    def conclude(self) -> Findings:
        """Write figures, and return what was found."""
        return Findings()

    def close(self) -> None:
        """Give back what `open` took."""
