"""Options given as values are those of the command line."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trainables.errors import InputError
from tune_jobs.command_line.parser import flatten, parse, parse_plain
from tune_jobs.command_line.values import options_of, words_of
from tune_jobs.data_check.options import CheckOptions
from tune_jobs.finetune import FinetuneOptions
from tune_jobs.lr_grid import GridOptions
from tune_jobs.optuna_search import SearchOptions
from tune_jobs.shortlist import ShortlistOptions
from tune_jobs.test_set.options import CompareOptions


def parsed(cls, **values):
    words = [word for each in words_of(cls, values, "job").values() for word in each]
    return parse(cls, None, words, program=["job"]).options


@pytest.mark.parametrize("cls", [GridOptions, SearchOptions, FinetuneOptions, ShortlistOptions])
def test_every_value_of_every_option_is_what_the_command_line_reads(cls):
    defaults = {name: value for name, value in flatten(parsed(cls)).items() if name != "resume"}
    options = options_of(cls)
    # As a list where several are taken, as from a file.
    values = {n: list(v) if isinstance(v, tuple) else v for n, v in defaults.items()}
    assert flatten(parsed(cls, **values)) == flatten(parsed(cls))
    flags = {name: not value for name, value in defaults.items() if value in (True, False)}
    flags = {n: v for n, v in flags.items() if options[n.strip("_")].hint is bool}
    flags.pop("extend", None)
    assert flags
    read = flatten(parsed(cls, **flags))
    assert {name: read[name] for name in flags} == flags


def test_values_are_those_that_python_has():
    options = parsed(
        GridOptions, lr=np.logspace(-3, -1, 3), epochs=np.int64(3), data=Path("photos"),
        image_size=["auto", 32], max_concurrent=None, horizontal_flip=False, weight_decay=1e-300,
    )  # fmt: skip
    assert options.lr == (1e-3, 1e-2, 1e-1)
    assert options.training.epochs == 3
    assert options.data.data == "photos"
    assert options.data.image_size == ("auto", 32)
    assert options.training.horizontal_flip is False
    assert options.training.weight_decay == 1e-300
    assert parsed(GridOptions, lr=1e-3).lr == (1e-3,)  # one of several


def test_values_without_the_name_of_their_option_come_first():
    words = words_of(CompareOptions, {"seeds": 3, "runs": ["a", "b"]}, "compare")
    assert [*words.values()] == [["a", "b"], ["--seeds=3"]]
    words = [word for each in words.values() for word in each]
    command = parse_plain(CompareOptions, "compare", None, words, program=["compare"])
    assert (command.options.runs, command.options.seeds) == (("a", "b"), 3)
    assert words_of(CheckOptions, {"photos": "x"}, "check-data") == {"photos": ["x"]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rate": 1}, ["no option learning_rate", "did you mean lr?"]),
        ({"batchsize": 1}, ["did you mean batch_size?", "job --help-all explains every option"]),
        ({"bathc-size": 1}, ["did you mean batch-size?"]),
        ({"xyzzy": 1}, ["no option xyzzy: job --help"]),
        ({"lr": "fast"}, ["--lr fast cannot be read"]),
        ({"lr": 0.001, "epochs": 2.5}, ["--epochs 2.5 must be a whole number"]),
        ({"epochs": True}, ["--epochs True is true or false"]),
        ({"epochs": None}, ["--epochs must have a value"]),
        ({"epochs": [1, 2]}, ["2"]),
        ({"epochs": 0}, ["epochs", "1 or more"]),
        ({"smoke_test": "yes"}, ["--smoke-test 'yes' must be True or False"]),
        ({"optimizer": "lion"}, ["--optimizer lion must be one of adam"]),
        ({"trust": ["--help"]}, ["--trust '--help' must not begin with a dash"]),
        ({"data": {"a": 1}}, ["--data {'a': 1} is a dict"]),
        ({"name": "--help"}, ["run name '--help'", "not starting with a dot or dash"]),
    ],
)
def test_bad_values_are_one_message(values, words):
    with pytest.raises(InputError) as raised:
        parsed(GridOptions, **values)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_each_option_has_one_name():
    for cls in (GridOptions, SearchOptions, FinetuneOptions, ShortlistOptions):
        count = sum(
            len(dataclasses.fields(value)) if dataclasses.is_dataclass(value) else 1
            for value in (getattr(cls(), field.name) for field in dataclasses.fields(cls))
        )
        assert len(options_of(cls)) == count
