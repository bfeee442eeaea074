"""The Optuna study of a run: asked for trials, told how they ended, resumed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import optuna
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from trainables.config import Recipe, TrialConfig
from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.command_line.options import SEEDS
from tune_jobs.run_folder.folder import STUDY_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import objective_column
from tune_jobs.search.samplers import build_sampler
from tune_jobs.search.study_storage import SOURCE, STATES, StudyStorage, study_trials
from tune_jobs.search_space.space import Space, params_of, suggest, to_config
from tune_jobs.tuning.strategy import Run
from tune_jobs.tuning.tuner import add_trials

optuna.logging.set_verbosity(optuna.logging.ERROR)

DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


class Study:
    """The study of a run, over a space.

    It is told how a trial ended after the tables have been, by what they say: they alone know a
    trial that was stopped from one that ran through, and one that diverged.

    Args:
        run: the run; its study is created, or resumed with --resume.
        storage_url: URL of a database; None for SQLite in the run folder.
        space: parameters that are searched.
        base: configuration that trials have otherwise.
        objectives: objectives, and which way each is better.
        sampler: name of the sampler.
        seed: random seed of the sampler, of a new study.

    Raises:
        InputError: the database does not answer, or holds what is not Optuna's.
    """

    def __init__(
        self,
        run: Run,
        storage_url: str | None,
        space: Space,
        base: TrialConfig,
        objectives: dict[str, Literal["max", "min"]],
        sampler: str,
        seed: int,
    ):
        self.run, self.space, self.base, self.objectives = run, space, base, objectives
        self.open_trials: dict[str, optuna.Trial] = {}
        """Optuna's trials that have not ended, by name."""
        self.reported: dict[str, int] = {}
        """The last epoch of each open trial that Optuna knows."""
        self.storage = StudyStorage(run.folder, storage_url)
        self.optuna = optuna.create_study(
            study_name=run.folder.name,
            storage=self.storage.rdb,
            directions=[DIRECTIONS[mode] for mode in objectives.values()],
            load_if_exists=run.options.run.resume,
        )
        # A sampler seeded as before would propose again what it proposed first.
        self.optuna.sampler = build_sampler(sampler, (seed + len(self.begun())) % SEEDS)
        self.started = run.command.started - self.optuna.user_attrs.get("seconds", 0.0)
        """When it began, on the clock of time.monotonic, less what earlier drivers took."""

    def begun(self) -> list[FrozenTrial]:
        """Return the trials of this run that have begun."""
        trials = self.optuna.get_trials(deepcopy=False)
        return [t for t in trials if t.state != TrialState.WAITING and SOURCE not in t.user_attrs]

    def resume(self) -> dict[str, TrialConfig]:
        """Return the trials that have begun, by name; those that have not ended are open again."""
        return {number_name(t.number): to_config(self._values(t), self.base) for t in self.begun()}

    def enqueue(self, recipes: Iterable[Recipe], count: int, undecided: Collection[str]) -> None:
        """Have the settings of the recipes tried first, those of the base before all.

        They are good guesses, and few searches are long enough to find better by chance.

        Args:
            recipes: presets.
            count: number of settings at most.
            undecided: settings of the base that nobody decided on, which are left to the sampler.
        """
        others = [dataclasses.replace(self.base, **vars(recipe)) for recipe in recipes]
        for config in [self.base, *others][:count]:
            params = params_of(config, self.space)
            if decided := {k: v for k, v in params.items() if k not in undecided}:
                self.optuna.enqueue_trial(decided, skip_if_exists=True)

    def ask(self) -> str:
        """Enter a new trial into the tables, and return its name."""
        trial = self.optuna.ask()
        name = number_name(trial.number)
        self.open_trials[name] = trial
        add_trials(self.run, {name: to_config(suggest(self.space, trial), self.base)})
        self.storage.sync()
        return name

    def report(self, name: str, epoch: int, value: float) -> None:
        """Report the value that a trial has after an epoch, once."""
        # Optuna keeps intermediate values for one objective alone. Those of a copy come from other
        # settings than it was proposed with.
        copied = self.run.recorder.rows[name].get("copied")
        if len(self.objectives) == 1 and not copied and epoch > self.reported.get(name, 0):
            self.open_trials[name].report(value, epoch)
            self.reported[name] = epoch

    def tell(self, name: str) -> None:
        """Tell Optuna how a trial ended."""
        row: dict[str, Any] = dict(self.run.recorder.rows[name])
        trial = self.open_trials.pop(name)
        self.reported.pop(name, None)
        for key in ("status", "error", "copied"):
            if row.get(key) is not None:
                trial.set_user_attr(key, str(row[key]))
        state = STATES.get(TrialStatus(row["status"]), TrialState.FAIL)
        if row.get("copied") and state is TrialState.COMPLETE:
            state = TrialState.PRUNED  # what it was proposed with ended when it became a copy
        values = None
        if state is TrialState.COMPLETE:
            values = [float(row[objective_column(name)]) for name in self.objectives]
        self.optuna.tell(trial.number, values, state)
        self.save_time()
        self.storage.sync()

    def save_time(self) -> None:
        """Keep the wall time used so far, for drivers that resume the study."""
        self.optuna.set_user_attr("seconds", time.monotonic() - self.started)

    def close(self) -> None:
        """Give the database back."""
        self.save_time()
        self.storage.close()

    def _values(self, frozen: FrozenTrial) -> dict[str, Any]:
        """Return the settings of a trial; those that a kill kept it from getting are drawn now."""
        if frozen.state.is_finished():
            return suggest(self.space, FixedTrial(frozen.params))
        trial = optuna.Trial(self.optuna, frozen._trial_id)
        name = number_name(frozen.number)
        self.open_trials[name], self.reported[name] = trial, frozen.last_step or 0
        return suggest(self.space, trial)


def check_study(folder: RunFolder, url: str | None, resume: bool) -> None:
    """Raise InputError if a new run's study exists, or a resumed run's has lost trials.

    Args:
        folder: of the run.
        url: of the database; None for SQLite in the run folder.
        resume: whether the run is resumed.
    """
    numbers = study_trials(folder, url)
    where = folder.child(STUDY_FILE).uri if url is None else url
    if not resume and numbers is not None:
        raise InputError(
            f"{where} holds a study {folder.name!r} already: choose another --name, or resume "
            "that run with --resume"
        )
    if resume and folder.has(TRIALS_FILE):
        names = set(map(number_name, numbers or ()))
        lost = [r["trial"] for r in folder.read_rows(TRIALS_FILE) if r["trial"] not in names]
        if lost:
            raise InputError(
                f"{where} has lost {len(lost)} of the run's trials, {lost[0]} first: put it "
                f"back as it was, or start another run with --from {folder.uri}"
            )


def random_configs(space: Space, base: TrialConfig, count: int, seed: int) -> Sequence[TrialConfig]:
    """Return configurations drawn at random from a space."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [to_config(suggest(space, study.ask()), base) for _ in range(count)]


def number_name(number: int) -> str:
    """Return the name of a trial by its number in the study."""
    return f"trial-{number:03d}"
