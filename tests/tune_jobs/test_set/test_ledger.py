import pytest

from trainables.errors import InputError
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.test_set.ledger import LEDGER_FOLDER, log_opening, openings


def opened(storages, when, fingerprint="f00d"):
    log_opening(storages, fingerprint, when=when, command="compare", models=[{"trial": "a"}],
                images=7)  # fmt: skip


def test_openings_of_several_storages_count_once_each(tmp_path):
    first, second = (RunFolder.at(tmp_path / name) for name in ("a", "b"))
    opened([first, second], "2030-01-02")
    opened([first], "2030-01-01")
    opened([second], "2030-01-03", fingerprint="beef")
    found = openings([second, first], "f00d")
    assert [entry["when"] for entry in found] == ["2030-01-01", "2030-01-02"]
    assert found[0]["models"] == [{"trial": "a"}]
    assert found[0]["images"] == 7
    assert openings([first], "beef") == []


def test_a_ledger_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / LEDGER_FOLDER).write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        opened([RunFolder.at(tmp_path)], "2030-01-01")


def test_two_comparisons_do_not_write_it_at_once(tmp_path):
    ledger = RunFolder.at(tmp_path).child(LEDGER_FOLDER)
    ledger.make()
    with ledger.lock(), pytest.raises(InputError, match="another process"):
        opened([RunFolder.at(tmp_path)], "2030-01-01")
    assert openings([RunFolder.at(tmp_path)], "f00d") == []
