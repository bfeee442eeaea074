"""The Optuna study of a run: ask, report, tell and resume."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from trainables.config import Recipe, TrialConfig
from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.command_line.options import SEEDS
from tune_jobs.run_folder.constraints import Constraint, describe, violated
from tune_jobs.run_folder.schema import objective_column
from tune_jobs.search.samplers import build_sampler
from tune_jobs.search.study_checks import check_space, trial_name_of
from tune_jobs.search.study_storage import SOURCE, STATES, StudyStorage
from tune_jobs.search_space.space import Space, params_of, suggest, to_config, within
from tune_jobs.tuning.recorder import REPORTED
from tune_jobs.tuning.strategy import Run
from tune_jobs.tuning.tuner import add_trials

optuna.logging.set_verbosity(optuna.logging.ERROR)

MOST_REFUSED = 100
"""Number of proposals in a row that violate a constraint, after which a search ends."""
REFUSED = "refused"
"""User attribute of a trial that was not trained because it violates a constraint."""
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


class Study:
    """Optuna study of a run.

    The outcome of a trial is read from the tables of the run, which are written first: only they
    distinguish trials that finished, were stopped by a scheduler, or diverged.

    Args:
        run: the run; its study is created, or resumed with --resume.
        storage_url: URL of the database; None for SQLite in the run folder.
        space: search space.
        bases: configuration of the parameters that are not searched, by model; the first one is
            that of the default model.
        objectives: names of the objectives, and the direction of each.
        constraints: constraints that trials must satisfy to be chosen.
        sampler: name of the sampler.
        seed: random seed of the sampler; a resumed study continues with another seed.

    Raises:
        InputError: the database cannot be used.
    """

    def __init__(
        self,
        run: Run,
        storage_url: str | None,
        space: Space,
        bases: dict[str, TrialConfig],
        objectives: dict[str, Literal["max", "min"]],
        constraints: Sequence[Constraint],
        sampler: str,
        seed: int,
    ):
        self.run, self.space, self.bases, self.objectives = run, space, bases, objectives
        self.constraints = constraints
        self.base = next(iter(bases.values()))
        # The Gaussian process learns from complete trials only, so that it would propose what was
        # refused again and again.
        self.refuses = sampler != "gp"
        self.exhausted = False
        """Whether the search ended because every proposal of a long row was refused."""
        self.open_trials: dict[str, optuna.Trial] = {}
        """Trials that have not ended, by name."""
        self.reported: dict[str, int] = {}
        """Last epoch reported to Optuna, by the name of the open trial."""
        self.storage = StudyStorage(run.folder, storage_url)
        try:
            self.optuna_study = optuna.create_study(
                study_name=run.folder.name,
                storage=self.storage.rdb,
                directions=[DIRECTIONS[mode] for mode in objectives.values()],
                load_if_exists=run.options.run.resume,
            )
        except DuplicatedStudyError:
            raise InputError(
                f"another search has created the study {run.folder.name!r} in {self.storage.url} "
                "meanwhile: start this search again with another --name"
            ) from None
        # With its first seed, a resumed sampler would repeat its first proposals.
        self.optuna_study.sampler = build_sampler(
            sampler, (seed + len(self.started_trials())) % SEEDS
        )
        self.started = run.command.started - self.optuna_study.user_attrs.get("seconds", 0.0)
        """Start on the clock of time.monotonic, moved back by the time earlier drivers used."""

    def started_trials(self) -> list[FrozenTrial]:
        """Return the trials that this run has started, without those added by --from."""
        trials = self.optuna_study.get_trials(deepcopy=False)
        return [t for t in trials if t.state != TrialState.WAITING and SOURCE not in t.user_attrs]

    def enqueued_trials(self) -> list[str]:
        """Return the names of the started trials whose settings were enqueued, not sampled."""
        return [
            trial_name_of(trial.number)
            for trial in self.started_trials()
            if "fixed_params" in trial.system_attrs
        ]

    @property
    def latency_limit(self) -> float | None:
        """Latency in milliseconds above which trials are not trained; None for none."""
        limits = [c.bound for c in self.constraints if c.name == "latency_ms" and c.upper]
        return limits[0] if limits and self.refuses else None

    def resume(self) -> dict[str, TrialConfig]:
        """Return the configurations of the started trials by name; reopen the unfinished ones.

        Raises:
            InputError: the trials are of another space.
        """
        started = self.started_trials()
        check_space(self.space, started, self.run.folder)
        return {trial_name_of(t.number): config_from(self._values(t), self.bases) for t in started}

    def enqueue_first(self, settings: Iterable[Mapping[str, Any]]) -> int:
        """Enqueue settings to be tried first, each as far as it is in the space; return how many.

        Args:
            settings: values by parameter name, in the order in which they are tried.
        """
        params = [found for values in settings if (found := within(self.space, values))]
        for each in params:
            self.optuna_study.enqueue_trial(each, skip_if_exists=True)
        return len(params)

    def enqueue(self, recipes: Iterable[Recipe], count: int, undecided: Collection[str]) -> None:
        """Enqueue the settings of the base, and then of the recipes, to be tried first.

        They are good guesses, and few searches are long enough to find better ones by chance.

        Args:
            recipes: presets of the training settings.
            count: highest number of configurations to enqueue.
            undecided: settings whose value in the base is arbitrary, which the sampler chooses.
        """
        others = [self.base.replaced(**vars(recipe)) for recipe in recipes]
        for config in [self.base, *others][:count]:
            params = params_of(config, self.space)
            if decided := {k: v for k, v in params.items() if k not in undecided}:
                self.optuna_study.enqueue_trial(decided, skip_if_exists=True)

    def ask(self) -> str | None:
        """Ask Optuna for a trial, add it to the tables, and return its name.

        Trials that are known to violate a constraint before they are trained end at once, and the
        next one is asked for. None if MOST_REFUSED in a row do so.
        """
        for _ in range(MOST_REFUSED):
            trial = self.optuna_study.ask()
            name = trial_name_of(trial.number)
            self.open_trials[name] = trial
            add_trials(self.run, {name: config_from(suggest(self.space, trial), self.bases)})
            if not self.refuse(name):
                self.storage.sync()
                return name
        self.exhausted = True
        return None

    def refuse(self, name: str) -> bool:
        """End an open trial that has not started if it violates a constraint, and return whether.

        Parameters and MACs are known by then; the latency is measured when a trial starts.
        """
        row = self.run.recorder.rows[name]
        broken = violated(row, self.constraints) if self.refuses else []
        if broken:
            values = ", ".join(f"{c.name} {c.value(row):,.0f}" for c in broken)
            row["status"] = TrialStatus.STOPPED
            row["error"] = f"{values} violates {describe(broken)}: not trained"
            self.open_trials[name].set_user_attr(REFUSED, True)
            self.tell(name)
        return bool(broken)

    def report(self, name: str, epoch: int, value: float) -> None:
        """Report the objective of a trial after an epoch to Optuna, unless it was reported."""
        # Optuna stores intermediate values of single-objective studies only. Those of a copied
        # trial (population-based training) result from other settings than the proposed ones.
        copied = self.run.recorder.rows[name].get("copied")
        if len(self.objectives) == 1 and not copied and epoch > self.reported.get(name, 0):
            self.open_trials[name].report(value, epoch)
            self.reported[name] = epoch

    def tell(self, name: str) -> None:
        """Tell Optuna how a trial ended."""
        row: dict[str, Any] = dict(self.run.recorder.rows[name])
        trial = self.open_trials.pop(name)
        self.reported.pop(name, None)
        for key in (*REPORTED, "copied"):  # which the tables of a killed driver may lack
            if row.get(key) is not None:
                trial.set_user_attr(key, row[key])
        state = STATES.get(TrialStatus(row["status"]), TrialState.FAIL)
        for constraint in self.constraints:
            beyond = constraint.violation(row)
            if beyond is None and state is TrialState.COMPLETE:
                beyond = 1.0  # samplers need every value of complete trials
            if beyond is not None and constraint.text not in trial.constraints:
                trial.set_constraint(constraint.text, beyond)
        if row.get("copied") and state is TrialState.COMPLETE:
            state = TrialState.PRUNED  # the proposed settings were dropped at the copy
        values = None
        if state is TrialState.COMPLETE:
            values = [float(row[objective_column(name)]) for name in self.objectives]
        self.optuna_study.tell(trial.number, values, state)
        self.save_time()
        self.storage.sync()

    def save_time(self) -> None:
        """Store the wall time used so far, for drivers that resume the study."""
        self.optuna_study.set_user_attr("seconds", time.monotonic() - self.started)

    def close(self) -> None:
        """Store the wall time used, and close the database."""
        self.save_time()
        self.storage.close()

    def _values(self, frozen: FrozenTrial) -> dict[str, Any]:
        """Return the settings of a trial; those missing because of a kill are sampled now."""
        if frozen.state.is_finished():
            return suggest(self.space, FixedTrial(frozen.params))
        trial = optuna.Trial(self.optuna_study, frozen._trial_id)
        name = trial_name_of(frozen.number)
        self.open_trials[name], self.reported[name] = trial, frozen.last_step or 0
        return suggest(self.space, trial)


def config_from(values: dict[str, Any], bases: dict[str, TrialConfig]) -> TrialConfig:
    """Return the configuration of a trial from its settings and the base of its model.

    Args:
        values: values by parameter name.
        bases: configuration of the parameters that are not searched, by model.
    """
    first = next(iter(bases))
    return to_config(values, bases[values.get("model", first)])


def random_configs(
    space: Space, bases: dict[str, TrialConfig], count: int, seed: int
) -> list[TrialConfig]:
    """Return `count` configurations drawn at random from a space."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [config_from(suggest(space, study.ask()), bases) for _ in range(count)]
