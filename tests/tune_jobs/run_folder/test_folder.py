import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.errors import InputError
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import TRIAL_SCHEMA


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    folder = RunFolder.at(tmp_path)
    folder.write("run.json", b"old")
    with pytest.raises(TypeError):
        folder.write("run.json", None)
    assert folder.read("run.json") == b"old"


@pytest.mark.parametrize("rows", [0, 1, 501])
def test_a_table_has_all_rows_in_their_order(rows, tmp_path):
    schema = pa.schema({"trial": pa.int64(), "error": pa.string()})
    RunFolder.at(tmp_path).write_rows("t.parquet", [{"trial": i} for i in range(rows)], schema)
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table["trial"].tolist() == list(range(rows))
    assert table["error"].isna().all()


def test_a_relative_path_is_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.at("./runs").child("a")
    folder.make()
    assert (tmp_path / "runs" / "a").is_dir()
    assert folder.uri == str(tmp_path / "runs" / "a")


def test_making_a_folder_leaves_nothing_in_it(tmp_path):
    RunFolder.at(tmp_path / "new").make()
    assert not list((tmp_path / "new").iterdir())


def test_the_lock_keeps_a_second_driver_out_and_is_given_back(tmp_path):
    folder = RunFolder.at(tmp_path)
    with folder.lock(), pytest.raises(InputError, match="another process"), folder.lock():
        pass
    with folder.lock():
        pass


def test_damaged_files_are_told_by_name(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.write("run.json", b'{"status": "fin')
    folder.write("trials.parquet", b"PAR1")
    for name, read in [("run.json", folder.read_json), ("trials.parquet", folder.read_rows)]:
        with pytest.raises(InputError, match=rf"{tmp_path}/{name} is damaged .*: restore it from"):
            read(name)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", "null", "{}", "[" * 100_000, '{"format": "2"}', '{"format": 1}', "\x00"],
)  # fmt: skip
def test_what_is_no_record_of_a_run_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        RunFolder.at(tmp_path).read_record()


def damaged_page():
    """A table whose first page is damaged, and its schema is not."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"trial": ["a", "b"]}), buffer)
    content = bytearray(buffer.getvalue())
    content[4:8] = b"\0" * 4
    return bytes(content)


@pytest.mark.parametrize("content", [b"PAR1 and no more", damaged_page()], ids=["none", "page"])
def test_a_damaged_table_is_refused(content, tmp_path):
    (tmp_path / "trials.parquet").write_bytes(content)
    for read in (RunFolder.at(tmp_path).read_frame, RunFolder.at(tmp_path).read_rows):
        with pytest.raises(InputError, match=r"trials\.parquet is damaged"):
            read("trials.parquet")


def test_a_table_that_is_read_while_it_is_replaced_is_read_again(tmp_path, monkeypatch):
    folder = RunFolder.at(tmp_path)
    folder.write_rows(TRIALS_FILE, [{"trial": "a"}], TRIAL_SCHEMA)
    whole = folder.read(TRIALS_FILE)
    read = iter([whole[:-9], whole])  # of two versions that a store has
    monkeypatch.setattr(RunFolder, "read", lambda self, name: next(read))
    assert folder.read_frame(TRIALS_FILE)["trial"].tolist() == ["a"]
