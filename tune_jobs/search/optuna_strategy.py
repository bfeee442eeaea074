"""An Optuna study behind Ray Tune: what it proposes, what it is told, how it goes on."""

from __future__ import annotations

import dataclasses
import shlex
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import NoopStopper

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.metrics import TARGET
from tune_jobs.analysis.results import load_epochs, load_front, load_trials
from tune_jobs.analysis.search_figures.all_figures import draw_search
from tune_jobs.command_line.options import SEEDS
from tune_jobs.optuna_search import StudyOptions, max_seconds, objectives
from tune_jobs.run_folder.folder import (
    FIGURES_FOLDER,
    SPACE_FILE,
    STUDY_FILE,
    TRIALS_FILE,
    RunFolder,
)
from tune_jobs.run_folder.schema import objective_column
from tune_jobs.search.pbt import Population
from tune_jobs.search.study_storage import SOURCE, STATES, StudyStorage, study_trials
from tune_jobs.search.warm_start import same_images, warm_start
from tune_jobs.search_space.space import Space, params_of, suggest, to_config
from tune_jobs.search_space.space_file import space_yaml
from tune_jobs.tuning.recorder import DriverCallback, Recorder, trial_name
from tune_jobs.tuning.summary import best_row, resume_command, write_figure
from tune_jobs.tuning.tuner import Run, Search, add_trials, ray_config

optuna.logging.set_verbosity(optuna.logging.ERROR)

DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


class StudySearch(Search):
    """A search over a space. `Search` says what each method is for.

    The study is told how a trial ended after the tables have been, by what they say: they alone
    know a trial that was stopped from one that ran through, and one that diverged.

    Args:
        options: of the job.
        space: what is searched.
        base: what trials have otherwise.
        undecided: settings of the base that nobody decided on, so that no trial begins with them.
    """

    def __init__(
        self,
        options: StudyOptions,
        space: Space,
        base: TrialConfig,
        undecided: Collection[str] = (),
    ):
        self.options, self.space, self.base, self.undecided = options, space, base, undecided
        self.trials = options.trials
        self.objectives = objectives(options.objective)
        self.open_trials: dict[str, Any] = {}
        """Optuna's, by name, of trials that have not ended."""
        self.reported: dict[str, int] = {}
        """The last epoch of each that Optuna knows."""
        self.changes = options.scheduler == "pbt"

    def examples(self, count: int) -> list[TrialConfig]:
        """Trials drawn at random from the space."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(self.options.seed))
        return [to_config(suggest(self.space, study.ask()), self.base) for _ in range(count)]

    def models(self) -> dict[str, str]:
        """The one of the base, or those that are searched."""
        searched = self.space["model"].choices if "model" in self.space else (self.base.model,)
        return dict.fromkeys(searched, self.base.weights)

    def check(self, folder: RunFolder, record: dict[str, Any]) -> None:
        """Look at the database and the earlier runs before anything is written."""
        url, resume = self.options.optuna_storage, self.options.run.resume
        if resume or url is not None:
            self._check_study(folder, url, resume)
        if not resume:
            for path in self.options.from_:
                same_images(path, record, self.options.force)

    def _check_study(self, folder: RunFolder, url: str | None, resume: bool) -> None:
        numbers = study_trials(folder, url)
        where = folder.child(STUDY_FILE).uri if url is None else url
        if not resume and numbers is not None:
            raise InputError(
                f"{where} holds a study {folder.name!r} already: choose another --name, or go "
                "on with that run by --resume"
            )
        if resume and folder.has(TRIALS_FILE):
            names = set(map(number_name, numbers or ()))
            lost = [r["trial"] for r in folder.read_rows(TRIALS_FILE) if r["trial"] not in names]
            if lost:
                raise InputError(
                    f"{where} has lost {len(lost)} of the run's trials, {lost[0]} first: put it "
                    f"back as it was, or start another run with --from {folder.uri}"
                )

    def begin(self, folder: RunFolder) -> None:
        """Write the space, which --resume reads."""
        folder.write(SPACE_FILE, space_yaml(self.space).encode())

    def open(self, run: Run, record: dict[str, Any]) -> dict[str, TrialConfig]:
        """Create the study, or go on with it."""
        self.run = run
        name, resume = run.folder.name, self.options.run.resume
        self.storage = StudyStorage(run.folder, self.options.optuna_storage)
        self.study = optuna.create_study(
            study_name=name,
            storage=self.storage.rdb,
            directions=[DIRECTIONS[mode] for mode in self.objectives.values()],
            load_if_exists=resume,
        )
        begun = self._begun()
        # A sampler seeded as before would propose again what it proposed first.
        self.study.sampler = build_sampler(self.options, (self.options.seed + len(begun)) % SEEDS)
        self.budget = Budget(
            run.recorder,
            max_seconds(self.options.max_time),
            self.options.max_epochs_total,
            run.command.started - self.study.user_attrs.get("seconds", 0.0),
        )
        # An earlier driver may have been killed before it was through with this.
        if not begun and not self.options.from_:
            self._enqueue_recipes()
        if not begun:
            for line in warm_start(
                self.study,
                self.options.from_,
                self.space,
                self.base,
                list(self.objectives),
                record,
                self.options.force,
            ):
                run.console.print(line, highlight=False, markup=False, soft_wrap=True)
        return {number_name(t.number): to_config(self._values(t), self.base) for t in begun}

    def describe(self) -> dict[str, Any]:
        """What run.json says of the search."""
        return {
            "search": {
                "algorithm": "optuna",
                "sampler": self.options.sampler,
                "objectives": self.objectives,
                "storage": self.storage.url,
                "ended_by": self.budget.reason,
            },
            "budget": {
                "trials": self.options.trials,
                "seconds": max_seconds(self.options.max_time),
                "epochs": self.options.max_epochs_total,
            },
        }

    def left(self, names: dict[str, str | None]) -> dict[str, str | None]:
        """Those of the trials without an end in the tables that have none in the study either."""
        rows = self.run.recorder.rows
        self.budget.stop_all()  # what earlier drivers used may be all there is
        for frozen in self._begun():
            name = number_name(frozen.number)
            if not frozen.state.is_finished() and name not in names:
                self.tell(name)  # killed between the two
            elif frozen.state.is_finished() and name in names:
                rows[name] |= {key: frozen.user_attrs.get(key) for key in ("status", "error")}
            elif not frozen.state.is_finished():
                for epoch, row in sorted(self.run.recorder.epochs[name].items()):
                    self.report(name, epoch, row[TARGET])
        ended = {name for name, row in rows.items() if row["status"] != "pending"}
        left = {name: path for name, path in names.items() if name not in ended}
        if self.budget.reason:
            self.settle()
            return {}
        return left

    def samples(self) -> int:
        """How many trials may still begin."""
        return 0 if self.budget.reason else max(0, self.trials - len(self._begun()))

    def tuner_arguments(
        self, run: Run, left: dict[str, str | None], places: Callable[[], int]
    ) -> dict[str, Any]:
        """The searcher, and how often it may be asked."""
        count = len(left) + self.samples()
        # Those of a population are all compared with each other, so they take turns.
        at_once = (lambda: count) if self.changes else places
        return {
            "param_space": {},
            "search_alg": StudySearcher(self, left, at_once),
            "num_samples": count,
        }

    def scheduler(self, run: Run) -> TrialScheduler:
        """The one asked for."""
        if not self.changes:
            return super().scheduler(run)
        return Population(run.recorder, self.space, self.base.epochs, self.options.seed)

    def callbacks(self) -> list[tune.Callback]:
        """What tells the study."""
        return [StudyCallback(self)]

    def stopper(self) -> tune.Stopper:
        """The budgets of time and epochs."""
        return self.budget

    def report(self, name: str, epoch: int, value: float) -> None:
        """Give the study the value a trial has after an epoch, once."""
        # Optuna keeps values on the way for one objective alone. Those of a copy come from other
        # settings than it was proposed with.
        copied = self.run.recorder.rows[name].get("copied")
        if len(self.objectives) == 1 and not copied and epoch > self.reported.get(name, 0):
            self.open_trials[name].report(value, epoch)
            self.reported[name] = epoch

    def tell(self, name: str) -> None:
        """Tell the study how a trial has ended."""
        row = self.run.recorder.rows[name]
        trial = self.open_trials.pop(name)
        self.reported.pop(name, None)
        for key in ("status", "error", "copied"):
            if row.get(key) is not None:
                trial.set_user_attr(key, row[key])
        state = STATES.get(row["status"], TrialState.FAIL)
        if row.get("copied") and state is TrialState.COMPLETE:
            state = TrialState.PRUNED  # what it was proposed with ended when it became a copy
        values = None
        if state is TrialState.COMPLETE:
            values = [float(row[objective_column(name)]) for name in self.objectives]
        self.study.tell(trial.number, values, state)
        self.study.set_user_attr("seconds", self.budget.seconds)
        self.storage.sync()

    def propose(self, trial: Any) -> str:
        """Enter a new trial of the study into the tables; returns its name."""
        name = number_name(trial.number)
        self.open_trials[name] = trial
        add_trials(self.run, {name: to_config(suggest(self.space, trial), self.base)})
        self.storage.sync()
        return name

    def settle(self) -> None:
        """Stop what runs on when the budget is spent; after Ctrl-C it stays open."""
        if self.budget.reason:
            for name in list(self.open_trials):
                row = self.run.recorder.rows[name]
                row |= {"status": "stopped", "error": f"{self.budget.reason} is spent"}
                self.tell(name)

    def draw(self) -> None:
        """Write the figures."""
        folder = self.run.folder
        figures = draw_search(
            load_trials(folder.uri), load_epochs(folder.uri), self.space, self.objectives
        )
        pictures = folder.child(FIGURES_FOLDER)
        pictures.make()
        for name, figure in figures.items():
            write_figure(pictures, f"{name}.png", figure)

    def notes(self) -> list[str]:
        """How trials ended, the settings of the best one, and the front of several objectives."""
        recorder = self.run.recorder
        ends = Counter(row["status"] for row in recorder.rows.values())
        counts = ", ".join(f"{count} {status}" for status, count in ends.items())
        by = f"; {self.budget.reason} is spent" if self.budget.reason else ""
        notes = [f"{len(recorder.rows)} trials: {counts}{by}"]
        if best := best_row(recorder):
            params = params_of(recorder.configs[best["trial"]], self.space)
            words = (
                f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items()
            )
            notes.insert(0, "  " + "  ".join(words))
        if len(self.objectives) > 1:
            notes.append("No other trial beats these in every objective:")
            columns = ["trial", *map(objective_column, self.objectives)]
            front = load_front(self.run.folder.uri)[columns]
            notes += front.to_string(index=False, float_format="{:.4g}".format).splitlines()
        return notes

    def commands(self) -> list[str]:
        """The dashboard, of what it can open, and more trials."""
        more = resume_command(self.run, "--extend", "20")
        if self.storage.file and self.storage.remote:
            return [more]
        return [shlex.join(["optuna-dashboard", self.storage.url]), more]

    def close(self) -> None:
        """Give the database back."""
        self.study.set_user_attr("seconds", self.budget.seconds)
        self.storage.close()

    def _enqueue_recipes(self) -> None:
        """Begin with what the recipes have, the one asked for first.

        They are good guesses, and few searches are long enough to find better by chance.
        """
        recipes = self.options.recipes().values()
        others = [dataclasses.replace(self.base, **vars(recipe)) for recipe in recipes]
        for config in [self.base, *others][: self.trials]:
            params = params_of(config, self.space)
            if decided := {k: v for k, v in params.items() if k not in self.undecided}:
                self.study.enqueue_trial(decided, skip_if_exists=True)

    def _begun(self) -> list[FrozenTrial]:
        """Trials of this run in the study."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if t.state != TrialState.WAITING and SOURCE not in t.user_attrs]

    def _values(self, frozen: FrozenTrial) -> dict[str, Any]:
        """The settings of a trial; what a kill kept it from being given is drawn now."""
        if frozen.state.is_finished():
            return suggest(self.space, FixedTrial(frozen.params))
        trial = optuna.Trial(self.study, frozen._trial_id)
        name = number_name(frozen.number)
        self.open_trials[name], self.reported[name] = trial, frozen.last_step or 0
        return suggest(self.space, trial)


class StudySearcher(OptunaSearch):
    """Ray Tune's searcher over a study of ours.

    Ray's own tells Optuna that a trial ended well when a scheduler stopped it, and asks for one
    trial at a time. Here `StudyCallback` tells, and as many are asked for as there are places.
    """

    def __init__(self, search: StudySearch, left: dict[str, str | None], places: Callable[[], int]):
        super().__init__(metric=TARGET, mode="max")
        self.search, self.left, self.places = search, dict(left), places
        self._ot_study = search.study  # type: ignore[assignment]  # the base's None is a start
        self._space = self._propose
        self.running: set[str] = set()

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Ray pickles its arguments into a file to restore them from, which we never do.
        return Searcher, ()

    def _propose(self, trial: Any) -> dict[str, Any]:
        return {"name": self.search.propose(trial)}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial; None while every place is taken."""
        if len(self.running) >= self.places():
            return None
        self.running.add(trial_id)
        if self.left:
            name, checkpoint = self.left.popitem()
        else:
            proposal = super().suggest(trial_id)
            assert proposal is not None
            name, checkpoint = proposal["name"], None
            del self._ot_trials[trial_id]  # the search has it
        return ray_config(self.search.run, name, checkpoint, "latency_ms" in self.search.objectives)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Leave it to the callback, which sees every result."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A place is free."""
        self.running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Leave nothing for Ray to restore: the study is in its database."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called, as runs go on without Ray's state."""


class StudyCallback(DriverCallback):
    """Hands results and ends on to the study; it comes after the recorder."""

    def __init__(self, search: StudySearch):
        self.search = search

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch."""
        if "epoch" in result:
            self.search.report(trial_name(trial), result["epoch"], result[TARGET])

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """An end."""
        self.search.tell(trial_name(trial))

    on_trial_error = on_trial_complete


class Budget(tune.Stopper):
    """Ends a search when its time, its start included, or its epochs are spent.

    Args:
        recorder: counts the epochs.
        max_seconds: of wall time, None for no limit.
        max_epochs: of all trials together, None for no limit.
        begin: when it began, on the clock of time.monotonic, less what earlier drivers of the run
            have used.
    """

    def __init__(
        self,
        recorder: Recorder,
        max_seconds: float | None,
        max_epochs: int | None,
        begin: float,
    ):
        self.recorder, self.max_seconds, self.max_epochs = recorder, max_seconds, max_epochs
        self.begin = begin
        self.reason: str | None = None

    def __reduce__(self) -> tuple[type[NoopStopper], tuple[()]]:
        return NoopStopper, ()  # as of the searcher

    @property
    def seconds(self) -> float:
        """Wall time used."""
        return time.monotonic() - self.begin

    @property
    def epochs(self) -> int:
        """Epochs of all trials together."""
        return sum(map(len, self.recorder.epochs.values()))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether one trial is to stop: never one alone."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is to end; `reason` says why."""
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            self.reason = "--max-time"
        elif self.max_epochs is not None and self.epochs >= self.max_epochs:
            self.reason = "--max-epochs-total"
        return self.reason is not None


def number_name(number: int) -> str:
    """The name of a trial by its number in the study."""
    return f"trial-{number:03d}"


def build_sampler(options: StudyOptions, seed: int) -> BaseSampler:
    """Optuna's sampler of the name asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if options.sampler == "tpe":
            # Conditional parameters are drawn jointly within the group that has them; a trial
            # that runs counts as a bad one, so that those beside it go elsewhere.
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True
            )
        if options.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        if options.sampler == "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if options.sampler == "qmc":
            return optuna.samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False
            )
        if options.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)
