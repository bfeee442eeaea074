import json

import numpy as np
import pytest

from trainables.cache_files import cache_folder
from trainables.errors import InputError
from tune_jobs.analysis.comparison.caveats import models_scored
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.test_set.ledger import LEDGER_FOLDER, OpenedImages, log_opening, openings

DIGESTS = np.random.default_rng(0).integers(0, 256, (7, 16), dtype=np.uint8)


def images(rows=slice(None), dataset="f00d", split="a"):
    return OpenedImages(dataset, split, DIGESTS[rows])


def opened(storages, when, test=None, trial="a"):
    model = {"run": "r", "trial": trial, "role": "winner", "weights": trial}
    log_opening(storages, test or images(), when=when, command="compare", models=[model])


def test_openings_of_several_storages_count_once_each(tmp_path):
    first, second = (RunFolder.at(tmp_path / name) for name in ("a", "b"))
    opened([first, second], "2030-01-02")
    opened([first], "2030-01-01")
    found = openings([second, first], images())
    assert [entry["when"] for entry in found] == ["2030-01-01", "2030-01-02"]
    assert found[0]["models"][0]["trial"] == "a"
    assert (found[0]["images"], found[0]["shared"], found[0]["split"]) == (7, 7, "a")


def test_an_opening_is_found_from_another_storage_dataset_and_split(tmp_path):
    """A renamed class, an added image or another folder of runs is no fresh test set."""
    opened([RunFolder.at(tmp_path / "a")], "2030-01-01", images(slice(0, 5)))
    elsewhere = [RunFolder.at(tmp_path / "b")]
    (found,) = openings(elsewhere, images(slice(3, 7), dataset="renamed", split="b"))
    assert found["shared"] == 2
    assert openings(elsewhere, images(slice(5, 7))) == []
    assert images().name == images(slice(None, None, -1)).name


def test_models_are_counted_and_not_openings(tmp_path):
    storage = [RunFolder.at(tmp_path)]
    for when, trial in (("1", "a"), ("2", "b"), ("3", "a")):
        opened(storage, when, trial=trial)
    assert models_scored(openings(storage, images())) == 2


def test_openings_of_earlier_versions_are_found_by_their_dataset(tmp_path):
    ledger = RunFolder.at(tmp_path).child(LEDGER_FOLDER)
    ledger.make()
    entry = {"id": "1", "when": "2025-01-01", "command": "c", "images": 7,
             "models": [{"run": "r", "trial": "t", "role": "winner"}]}  # fmt: skip
    ledger.write_json("f00d.json", {"format": 1, "openings": [entry]})
    storage = [RunFolder.at(tmp_path)]
    assert [each["shared"] for each in openings(storage, images())] == [7]
    assert openings(storage, images(dataset="beef")) == []
    opened(storage, "2030-01-01")
    assert len(json.loads(ledger.read("f00d.json"))["openings"]) == 2


def test_a_ledger_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / LEDGER_FOLDER).write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        opened([RunFolder.at(tmp_path)], "2030-01-01")


def test_two_comparisons_do_not_write_it_at_once(tmp_path):
    ledger = RunFolder.at(tmp_path).child(LEDGER_FOLDER)
    ledger.make()
    with ledger.lock(), pytest.raises(InputError, match="another process"):
        opened([RunFolder.at(tmp_path)], "2030-01-01")
    assert openings([RunFolder.at(tmp_path)], images()) == []
    assert (cache_folder() / LEDGER_FOLDER).exists() is False
