"""Checks of a study before a search starts or resumes."""

from __future__ import annotations

from collections.abc import Iterable

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial

from trainables.errors import InputError
from tune_jobs.run_folder.folder import SPACE_FILE, STUDY_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import is_soup
from tune_jobs.search.study_storage import study_trials
from tune_jobs.search_space.space import Space, distributions


def check_space(space: Space, trials: Iterable[FrozenTrial], folder: RunFolder) -> None:
    """Raise InputError if the trials of a study cannot have come from a space."""
    now = distributions(space, space)
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if name in now and not compatible(distribution, now[name]):
                raise InputError(
                    f"{folder.child(SPACE_FILE).uri} has been changed: {name} is not what "
                    f"{trial_name_of(trial.number)} was proposed from. Restore the file, or start "
                    f"another search with --space and --from {folder.uri}"
                )


def compatible(before: BaseDistribution, now: BaseDistribution) -> bool:
    """Return whether one study may propose a parameter from both."""
    try:
        check_distribution_compatibility(before, now)
    except ValueError:
        return False
    return True


def check_study(folder: RunFolder, url: str | None, resume: bool) -> None:
    """Raise InputError if a new run's study exists, or a resumed run's study lacks trials.

    Args:
        folder: the run folder.
        url: URL of the database; None for SQLite in the run folder.
        resume: whether the run is resumed.
    """
    numbers = study_trials(folder, url)
    where = folder.child(STUDY_FILE).uri if url is None else url
    if not resume and numbers is not None:
        raise InputError(
            f"{where} already holds a study {folder.name!r}, and a new run needs a new study: "
            "choose another --name, or resume that run with --resume"
        )
    if resume and folder.has(TRIALS_FILE):
        names = set(map(trial_name_of, numbers or ()))
        rows = [row for row in folder.read_rows(TRIALS_FILE) if not is_soup(row)]
        lost = [row["trial"] for row in rows if row["trial"] not in names]
        if lost:
            raise InputError(
                f"{where} lacks {len(lost)} trials that the run's tables have, {lost[0]} first: "
                f"restore it from a backup, or start another run with --from {folder.uri}"
            )


def trial_name_of(number: int) -> str:
    """Return the name of the trial with this number in the study."""
    return f"trial-{number:03d}"
