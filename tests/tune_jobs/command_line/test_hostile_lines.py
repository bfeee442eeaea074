"""Command lines that no person means: each is refused with one message, before anything starts."""

import dataclasses
import json

import pytest

from tests.tune_jobs.conftest import command_line
from trainables import trust
from trainables.errors import InputError
from tune_jobs.command_line.escaping import printable
from tune_jobs.command_line.parser import parse, parse_plain
from tune_jobs.finetune import check_finetune
from tune_jobs.lr_grid import GridOptions, grid
from tune_jobs.optuna_search import SearchOptions
from tune_jobs.predict import PredictOptions, predict
from tune_jobs.search.finetune_options import FinetuneOptions
from tune_jobs.search.options import check_options


def lr_grid(*words):
    return grid(parse(GridOptions, "", words).options)


def search(*words):
    return check_options(parse(SearchOptions, "", words).options)


def sure(*words):
    return parse_plain(PredictOptions, "predict", "", ["a.jpg", *words])


def finetune(*words):
    return check_finetune(parse(FinetuneOptions, "", words))


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (lr_grid, ["--seeds", "1000000000000"]),
        (lr_grid, ["--seeds", "-1"]),
        (lr_grid, ["--epochs", "1000000000"]),
        (lr_grid, ["--batch-size", "1000000000"]),
        (lr_grid, ["--patience", "1000000000"]),
        (lr_grid, ["--cpus-per-trial", "1000000000"]),
        (lr_grid, ["--max-concurrent", "1000000000"]),
        (lr_grid, ["--min-per-class", "10000000000"]),
        (lr_grid, ["--image-size", "100000"]),
        (lr_grid, ["--image-size", "32", "1000000000000"]),
        (lr_grid, ["--image-size", "-8"]),
        *((lr_grid, ["--gpus-per-trial", value]) for value in ("1e-320", "nan", "inf", "-1")),
        *((lr_grid, ["--cache-gb", value]) for value in ("1e300", "nan", "inf", "-1")),
        *((lr_grid, ["--price-per-hour", value]) for value in ("1e300", "nan", "0")),
        *((lr_grid, ["--trial-timeout", value]) for value in ("0", "nan", "inf", "1e300")),
        *((lr_grid, ["--rotation", value]) for value in ("nan", "inf", "181")),
        *((lr_grid, ["--weight-decay", value]) for value in ("nan", "inf", "-1")),
        *((lr_grid, ["--clip-norm", value]) for value in ("nan", "inf", "0")),
        *((lr_grid, ["--name", name]) for name in (
            "", " ", "\t", "a\x1b[2Jb", "a\nb", "a\rb", "x\udcff", " a", "a ", "..", ".", "a\0b",
            "n" * 201, "é" * 101, "\u202egpj",
        )),
        (lr_grid, ["--storage-path", "x\udcff"]),
        (lr_grid, ["--data", "x\udcff"]),
        (search, ["--trials", "1000000000"]),
        (search, ["--max-epochs-total", "10000000000000"]),
        *((search, ["--max-time", value]) for value in (
            "9" * 1000 + "s", "0.0000001s", "٣s", "1e3s", "-1s", "1000000h", "1" + "0" * 400 + "h",
        )),
        *((search, ["--optuna-storage", value]) for value in (
            "", "sqlite://", "sqlite:///:memory:", "sqlite:///../../x", "sqlite:///x.db",
            "sqlite:////tmp/../x.db", "sqlite:///file:x?mode=memory&uri=true", "sqlite:////no/x.db",
            "postgresql://host:port/x", "postgresql://host:99999999999999999999/x", "nothing://x",
            "http://localhost", "postgresql://me:secret@host:port/x",
        )),
        (search, ["--from", "runs/a", "runs/b", "./runs/a/"]),
        (finetune, ["--lora-rank", "1000000000", "--mode", "lora"]),
        (finetune, ["--head-epochs", "1000000000", "--mode", "gradual"]),
        (finetune, ["--seeds", "100000000"]),
    ],
)  # fmt: skip
def test_a_line_is_refused_with_a_message(job, words):
    with pytest.raises((InputError, SystemExit)) as error:
        job(*words)
    if isinstance(error.value, SystemExit):  # from the parser, which has printed its message
        assert error.value.code == 2
    else:
        assert len(str(error.value)) < 1000
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("digit", ["٣", "\uff13", "३"])
@pytest.mark.parametrize(
    ("job", "option", "written"),
    [
        (lr_grid, "--epochs", "{}"), (lr_grid, "--lr", "{}e-3"), (lr_grid, "--image-size", "{}2"),
        (lr_grid, "--patience", "{}"), (lr_grid, "--rotation", "{}.5"),
        (lr_grid, "--mixup", "0.{}"), (search, "--trials", "{}"),
        (search, "--max-time", "{}s"), (search, "--constraint", "latency_ms<={}"),
        (finetune, "--seeds", "{}"), (sure, "--reject-above", "0.0{}"),
    ],
)  # fmt: skip
def test_a_number_in_the_digits_of_another_script_is_refused(job, option, written, digit):
    word = written.format(digit)
    with pytest.raises(InputError) as error:
        job(option, word)
    assert option in str(error.value)
    assert word in str(error.value)
    job(option, written.format(3))  # it is the script alone


def test_a_name_may_have_the_digits_of_any_script():
    assert parse(GridOptions, "", ["--name", "تجربة-٣"]).options.run.name == "تجربة-٣"


def test_what_the_command_line_names_is_trusted_and_what_a_run_names_is_not(monkeypatch):
    monkeypatch.setattr(trust, "_trusted", set())
    words = "--models", "resnet18", "timm:convnext_atto", "my.nets:build", "--trust", "their.nets"
    parse(FinetuneOptions, "", words)
    assert trust._trusted == {"resnet18", "my.nets", "their.nets"}


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "\udcff", "\u202egpj", "a\rb", "\x9b31m", "\a"])
def test_a_name_cannot_control_a_terminal(text):
    assert printable(text).isprintable()
    assert printable("Größe 3×4 – 猫\n\tx") == "Größe 3×4 – 猫\n\tx"


def test_the_name_of_a_file_cannot_control_the_terminal(tmp_path, capfd):
    model = tmp_path / "\x1b]0;title\a"
    assert command_line(predict)(tmp_path, "--model", model) == 2
    assert "\x1b" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "changes",
    [{"data": {}}, {"data": 3}, {"training": {"epochs": "many"}}, {"lr": 3, "colour": 1}],
)
def test_options_of_a_run_that_are_none_are_refused(changes, tmp_path):
    options = dataclasses.asdict(GridOptions()) | changes
    record = {
        "format": 1, "job": "lr-grid", "status": "finished", "started": "", "resumed": [],
        "dataset": {}, "split": {}, "options": options,
    }  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text(json.dumps(record))
    with pytest.raises((InputError, SystemExit)):
        lr_grid("--name", "mine", "--storage-path", str(tmp_path), "--resume")
