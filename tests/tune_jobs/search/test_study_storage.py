"""Databases of studies that several searches create or that do not fit the run."""

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from trainables.errors import InputError
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.search import study_storage
from tune_jobs.search.study_checks import check_space
from tune_jobs.search.study_storage import StudyStorage
from tune_jobs.search_space.space import Parameter


def test_searches_that_create_one_database_at_once_all_get_it(tmp_path):
    folder = RunFolder.at(tmp_path)
    with ThreadPoolExecutor(3) as pool:
        url = f"sqlite:///{tmp_path}/shared.db"
        opened = list(pool.map(lambda _: StudyStorage(folder, url), range(3)))
    for number, storage in enumerate(opened):
        optuna.create_study(study_name=str(number), storage=storage.rdb)
        storage.close()


def test_another_error_of_a_database_is_not_waited_for(tmp_path, monkeypatch):
    def fail(*_):
        raise OperationalError("select", {}, Exception("disk I/O error"))

    monkeypatch.setattr(study_storage, "_sqlite", fail)
    with pytest.raises(InputError, match="disk I/O error"):
        StudyStorage(RunFolder.at(tmp_path), None)


@pytest.mark.parametrize(
    ("choices", "fits"), [(("adam", "sgd"), True), (("adam", "x"), False), (("sgd",), False)]
)  # fmt: skip
def test_a_space_that_was_edited_is_told_from_that_of_the_study(choices, fits, tmp_path):
    study = optuna.create_study()
    study.ask({"optimizer": optuna.distributions.CategoricalDistribution(["adam", "sgd"])})
    space = {"optimizer": Parameter(name="optimizer", kind="categorical", choices=choices)}
    folder = RunFolder.at(tmp_path)
    if fits:
        check_space(space, study.trials, folder)
        return
    with pytest.raises(InputError, match=r"space\.yaml has been changed: optimizer"):
        check_space(space, study.trials, folder)
