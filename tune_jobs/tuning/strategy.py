"""Interface of a strategy, which proposes the trials of a run: a grid or a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console
from rich.table import Table

from trainables.config import TrialConfig
from trainables.models.weights import Weights
from trainables.target import TARGETS, Target
from trainables.trial_images import TrialImages
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.terminal import NextStep
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.recorder import Recorder


@dataclass(frozen=True)
class Run:
    """State of a run in progress, shared by the steps of a job."""

    command: CommandLine[JobOptions]
    """Command line that started or resumed the run."""
    folder: RunFolder
    """Folder of the run."""
    recorder: Recorder
    """Tables of the run."""
    data: TrialImages
    """Training and validation images."""
    weights: dict[str, Weights]
    """Pretrained initial weights by model; models with random initial weights are not in it."""
    console: Console
    """Terminal or log file."""

    @property
    def options(self) -> JobOptions:
        """Options of the job."""
        return self.command.options

    @property
    def target(self) -> Target:
        """Metric that epochs and trials are selected by."""
        return TARGETS[self.options.training.metric]


@dataclass(frozen=True, kw_only=True)
class TunerSettings:
    """Arguments of tune.Tuner that depend on the strategy."""

    param_space: dict[str, Any]
    """Search space of tune.Tuner; empty where `search_alg` proposes the trials."""
    scheduler: TrialScheduler
    """Scheduler, which may stop, pause or change trials while they run."""
    max_concurrent_trials: int | None = None
    """Maximum number of concurrent trials; None for as many as the cluster has room for."""
    num_samples: int = 1
    """Number of trials that `search_alg` is asked for."""
    search_alg: Searcher | None = None
    """Search algorithm, which proposes trials one at a time; None for a grid."""
    callbacks: list[tune.Callback] = field(default_factory=list)
    """Callbacks that are called after the recorder."""
    stop: tune.Stopper | None = None
    """Stopper that may end the run before all trials have ended."""


@dataclass(frozen=True)
class Findings:
    """Results of a strategy that the terminal shows when the run has ended."""

    notes: list[str] = field(default_factory=list)
    """Lines that describe the results."""
    can_retry: bool = True
    """Whether a resumed run trains failed trials again."""
    steps: list[NextStep] = field(default_factory=list)
    """Suggested next commands, besides those of every run."""
    table: Table | None = None
    """Table of the results; None for that of the trials."""
    droppable: tuple[str, ...] = ()
    """Headings of its columns that a narrow terminal goes without, the first of them first."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each trial of a search was trained with, by its name; empty for a grid."""
    front: Table | None = None
    """Pareto front of a search over several objectives."""


class Strategy:
    """Base class of the strategies: a strategy proposes trials and receives their results.

    `tuning.job.train` calls, in this order:

    1. `examples` and `models`, to check that everything can be built before anything is written;
    2. `check`, with Ray started and nothing written yet;
    3. `prepare`, in a new run folder, before run.json is written;
    4. `open`, which returns the trials known so far;
    5. `describe`, for run.json;
    6. `remaining`, after the tables of an earlier driver were read;
    7. `tuner_settings`, unless nothing is left to train;
    8. `stop_open_trials`, when Ray Tune has returned;
    9. `describe` again, and `summarise`, when the tables and run.json are complete;
    10. `close`, even after an error, once `open` has returned.
    """

    num_trials: int
    """Number of trials of the run."""
    mutates_trials: bool = False
    """Whether the scheduler changes the settings of trials while they run."""

    def examples(self, count: int) -> list[TrialConfig]:
        """Return up to `count` configurations that are typical of the run's trials."""
        raise NotImplementedError

    def models(self) -> dict[str, str]:
        """Return the initial weights (none, default or a file) of every model a trial may have."""
        raise NotImplementedError

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Raise InputError if the run cannot be started or resumed as its run.json describes."""

    def prepare(self, folder: RunFolder) -> None:
        """Write the files that --resume reads."""

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Start or resume the strategy, and return the trials known so far, by name.

        Args:
            run: the run.
            record: its run.json.

        Raises:
            InputError: the strategy cannot be started or resumed.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return the entries of run.json on the search, its budget and its trials."""
        raise NotImplementedError

    def remaining(self, unfinished: dict[str, str | None]) -> tuple[dict[str, str | None], int]:
        """Return the trials still to train, and how many more trials may be proposed.

        Args:
            unfinished: trials that have not ended by the tables, with the URI of the checkpoint
                that each resumes from, or None.
        """
        return unfinished, 0

    def tuner_settings(
        self,
        run: Run,
        unfinished: dict[str, str | None],
        proposals: int,
        slots: Callable[[], int],
    ) -> TunerSettings:
        """Return the arguments of tune.Tuner.

        Args:
            run: the run.
            unfinished: the trials that `remaining` returned.
            proposals: the number of trials that may yet be proposed, as `remaining` returned it.
            slots: returns the number of trials that may run concurrently.
        """
        raise NotImplementedError

    def stop_open_trials(self) -> None:
        """End the trials that were still running when a budget ended the run."""

    def summarise(self) -> Findings:
        """Write figures, and return the results for the terminal."""
        return Findings()

    def close(self) -> None:
        """Release the resources that `open` acquired."""
