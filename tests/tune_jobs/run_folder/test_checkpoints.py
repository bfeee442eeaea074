import json

import pytest

from tests.trainables.test_checkpoint import make_state
from trainables import checkpoint
from trainables.config import TrialConfig
from trainables.errors import InputError
from tune_jobs.run_folder.checkpoints import newest_checkpoint
from tune_jobs.run_folder.folder import RunFolder

CONFIG = TrialConfig(lr=1e-3)


@pytest.fixture
def save(tmp_path):
    """Write a checkpoint with the history of some epochs, and return its folder."""

    def written(epochs, **changed):
        folder = tmp_path / f"checkpoint_{epochs:06}"
        folder.mkdir()
        config = json.loads(json.dumps(CONFIG.to_dict()))
        state = make_state() | {"config": config, "history": [{"epoch": 1.0}] * epochs} | changed
        checkpoint.save_checkpoint(folder, state)
        return folder

    return written


def newest(tmp_path):
    return newest_checkpoint(RunFolder.at(tmp_path), CONFIG)[0].name


@pytest.mark.parametrize("changed", [{"config": None}, {"config": {}}, {"history": None}])
def test_a_checkpoint_that_lacks_something_is_skipped_for_the_one_before(changed, save, tmp_path):
    save(1)
    save(2, **changed)
    assert newest(tmp_path) == "checkpoint_000001"


def test_a_checkpoint_of_another_version_is_refused_and_not_trained_over(save, tmp_path):
    save(1)
    folder = save(2, config=CONFIG.to_dict() | {"setting_of_the_future": 1})
    with pytest.raises(InputError, match=rf"{folder} was written by another version"):
        newest(tmp_path)


def test_a_checkpoint_of_another_user_is_no_damaged_one(save, tmp_path, monkeypatch):
    save(1)
    save(2)

    def denied(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(checkpoint.zipfile, "ZipFile", denied)  # root may read every file
    with pytest.raises(PermissionError):
        newest(tmp_path)
