"""Strategy that proposes the trials of a run with Optuna."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ray.tune.schedulers import TrialScheduler

from trainables.config import TrialConfig
from trainables.status import TrialStatus
from tune_jobs.run_folder.folder import SPACE_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.search.budget import Budget
from tune_jobs.search.image_sizes import with_sizes
from tune_jobs.search.options import StudyOptions, max_seconds, objectives
from tune_jobs.search.pbt import PopulationBasedSearch
from tune_jobs.search.searcher import StudyCallback, StudySearcher
from tune_jobs.search.study import REFUSED, Study, random_configs
from tune_jobs.search.study_checks import check_study, trial_name_of
from tune_jobs.search.summary import conclude_search
from tune_jobs.search.warm_start import check_images, warm_start
from tune_jobs.search_space.space import Space
from tune_jobs.search_space.space_file import space_yaml
from tune_jobs.tuning.found_images import FoundImages
from tune_jobs.tuning.recorder import REPORTED
from tune_jobs.tuning.schedulers import build_scheduler
from tune_jobs.tuning.strategy import Findings, Run, Strategy, TunerSettings


@dataclass(frozen=True)
class OpenSearch:
    """Study and budget of a search that has been opened."""

    study: Study
    """Optuna study of the run."""
    budget: Budget
    """Limits of wall time and epochs."""


class OptunaStrategy(Strategy):
    """Search over a space; `Strategy` documents when each method is called.

    Args:
        options: options of the job.
        space: search space.
        bases: configuration of the parameters that are not searched, by model; the first one is
            that of the default model.
        found: images of the run, from which trials get their sizes.
        undecided: settings whose value in `base` is arbitrary (neither a default nor an option),
            so that it is not tried first.
        first: settings to try before all others, by parameter name and in this order; what is not
            in the space is left to the sampler.
    """

    def __init__(
        self,
        options: StudyOptions,
        space: Space,
        bases: dict[str, TrialConfig],
        found: FoundImages,
        undecided: Collection[str] = (),
        first: Sequence[Mapping[str, Any]] = (),
    ):
        self.options, self.undecided, self.first = options, undecided, first
        self.space, self.bases = with_sizes(space, bases, found)
        self.base = next(iter(self.bases.values()))
        self.num_trials = options.trials
        self.objectives = objectives(options.objective, options.training.metric)
        self.mutates_trials = options.scheduler == "pbt"
        self._search: OpenSearch | None = None

    @property
    def search(self) -> OpenSearch:
        """Study and budget that `open` has created."""
        assert self._search is not None
        return self._search

    def examples(self, count: int) -> list[TrialConfig]:
        """Return trial configurations drawn at random from the space."""
        return random_configs(self.space, self.bases, count, self.options.seed)

    def models(self) -> dict[str, str]:
        """Return the networks that are searched, or that of the base, with their weights."""
        searched = self.space["model"].choices if "model" in self.space else (self.base.model,)
        return dict.fromkeys(searched, self.base.weights)

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Check the database of the study and the runs of --from."""
        url, resume = self.options.optuna_storage, self.options.run.resume
        if resume or url is not None:
            check_study(folder, url, resume)
        if not resume:
            for path in self.options.from_:
                check_images(path, record, self.options.force)

    def prepare(self, folder: RunFolder) -> None:
        """Write the search space, which --resume reads."""
        folder.write(SPACE_FILE, space_yaml(self.space).encode())

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Create or resume the study, and return the configurations of its trials by name."""
        options = self.options
        study = Study(
            run, options.optuna_storage, self.space, self.bases, self.objectives,
            options.constraints, options.sampler, options.seed,
        )  # fmt: skip
        seconds = max_seconds(options.max_time)
        budget = Budget(run.recorder, seconds, options.max_epochs_total, study.started)
        self._search = OpenSearch(study, budget)
        if (
            not study.started_trials()
        ):  # also where an earlier driver was killed half-way through this
            if count := study.enqueue_first(self.first):
                run.console.print(f"The first {count} trials have published or given settings",
                                  highlight=False)  # fmt: skip
            if not options.from_:
                study.enqueue(options.recipes().values(), self.num_trials, self.undecided)
            for line in warm_start(study, options.from_, record, options.force):
                run.console.print(line, highlight=False, markup=False)
        return study.resume()

    def describe(self) -> dict[str, Any]:
        """Return the search and its budget for run.json."""
        return {
            "search": {
                "algorithm": "optuna",
                "sampler": self.options.sampler,
                "objectives": self.objectives,
                "constraints": [constraint.text for constraint in self.options.constraints],
                "storage": self.search.study.storage.url,
                "enqueued": self.search.study.enqueued_trials(),
                "ended_by": self.ended_by,
            },
            "budget": {
                "trials": self.options.trials,
                "seconds": max_seconds(self.options.max_time),
                "epochs": self.options.max_epochs_total,
            },
        }

    @property
    def ended_by(self) -> str | None:
        """Option that ended the search before all trials were run; None if none did."""
        exhausted = "--constraint" if self.search.study.exhausted else None
        return self.search.budget.reason or exhausted

    def remaining(self, unfinished: dict[str, str | None]) -> tuple[dict[str, str | None], int]:
        """Make the study agree with the tables, where a driver was killed between both writes.

        The arguments and results are those of `Strategy.remaining`.
        """
        study, budget = self.search.study, self.search.budget
        rows, epochs = study.run.recorder.rows, study.run.recorder.epochs
        budget.stop_all()  # earlier drivers may have used up the budget
        for frozen in study.started_trials():
            name = trial_name_of(frozen.number)
            if not frozen.state.is_finished() and name not in unfinished:
                study.tell(name)
            elif frozen.state.is_finished() and name in unfinished:
                attributes = {"status": TrialStatus.FAILED, **frozen.user_attrs}
                told = {key: attributes.get(key) for key in REPORTED}
                rows[name] |= cast("TrialRow", told)
            elif not frozen.state.is_finished():
                for epoch, row in sorted(epochs[name].items()):
                    study.report(name, epoch, row[study.run.target.column])  # type: ignore[literal-required]
        if budget.reason:
            self.stop_open_trials()
            return {}, 0
        for name in list(study.open_trials):  # a killed driver may not have come to refuse it
            if not epochs[name]:
                study.refuse(name)
        left = {n: c for n, c in unfinished.items() if rows[n]["status"] == TrialStatus.PENDING}
        trained = [t for t in study.started_trials() if REFUSED not in t.user_attrs]
        return left, max(0, self.num_trials - len(trained))

    def tuner_settings(
        self,
        run: Run,
        unfinished: dict[str, str | None],
        proposals: int,
        slots: Callable[[], int],
    ) -> TunerSettings:
        """Return the searcher, the scheduler and the number of trials for tune.Tuner."""
        study = self.search.study
        count = len(unfinished) + proposals
        scheduler: TrialScheduler
        if self.mutates_trials:
            # The trials of a population are compared with each other, so all are proposed at
            # once; where slots are fewer, the scheduler has them take turns.
            searcher = StudySearcher(study, unfinished, lambda: count)
            scheduler = PopulationBasedSearch(
                run.recorder, self.space, self.base.epochs, self.options.seed, run.target
            )
        else:
            searcher = StudySearcher(study, unfinished, slots)
            scheduler = build_scheduler(run.options, run.recorder.epochs)
        return TunerSettings(
            param_space={},
            search_alg=searcher,
            num_samples=count,
            scheduler=scheduler,
            callbacks=[StudyCallback(study)],
            stop=self.search.budget,
        )

    def stop_open_trials(self) -> None:
        """Mark trials that a used-up budget interrupted as stopped; after Ctrl-C they stay open."""
        study, reason = self.search.study, self.search.budget.reason
        if reason:
            for name in list(study.open_trials):
                row = study.run.recorder.rows[name]
                row["status"], row["error"] = TrialStatus.STOPPED, f"{reason} reached"
                study.tell(name)

    def summarise(self) -> Findings:
        """Write the figures, and return the findings."""
        return conclude_search(self.search.study, self.ended_by)

    def close(self) -> None:
        """Close the database of the study."""
        self.search.study.close()
