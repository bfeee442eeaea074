import math

import numpy as np
import pytest

from trainables.errors import InputError
from tune_jobs.run_folder.constraints import (
    COLUMNS,
    POSSIBLE,
    is_feasible,
    may_be_chosen,
    parse_constraints,
    violated,
)
from tune_jobs.run_folder.schema import TRIAL_SCHEMA

ROW = {"status": "finished", "parameters": 4e6, "latency_ms": 7.5, "best/val_accuracy": 0.8}


def test_every_column_that_a_constraint_may_name_is_one_of_the_trials():
    assert set(POSSIBLE) == set(COLUMNS)
    assert set(COLUMNS.values()) <= set(TRIAL_SCHEMA.names)


@pytest.mark.parametrize(
    ("texts", "feasible"),
    [
        (["parameters<=4e6"], True),  # a bound belongs to what it allows
        (["parameters<=5e6", "latency_ms <= 8"], True),
        (["latency_ms<=5", "parameters<=5e6"], False),
        (["val_accuracy>=0.8"], True),
        (["val_accuracy>=0.81"], False),
        (["parameters>=1e6", "parameters<=3e6"], False),
        ([], True),
    ],
)
def test_a_trial_is_feasible_within_every_bound(texts, feasible):
    assert is_feasible(ROW, parse_constraints(texts)) is feasible


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_a_trial_whose_value_is_unknown_may_become_feasible_until_it_ends(unknown):
    constraints = parse_constraints(["latency_ms<=8"])
    row = ROW | {"latency_ms": unknown}
    assert is_feasible(row | {"status": "running"}, constraints) is None
    assert is_feasible(row | {"status": "stopped"}, constraints) is False
    assert violated(row, constraints) == []


def test_violations_of_different_units_are_comparable():
    latency, parameters = parse_constraints(["latency_ms<=5", "parameters<=2e6"])
    assert latency.violation(ROW) == pytest.approx(0.5)
    assert parameters.violation(ROW) == pytest.approx(1.0)
    (lower,) = parse_constraints(["val_accuracy>=0.9"])
    assert lower.violation(ROW) == pytest.approx(1 / 9)


def test_a_row_may_be_chosen_unless_its_table_says_no():
    assert [may_be_chosen({"feasible": value}) for value in (True, None, math.nan)] == [True] * 3
    assert may_be_chosen({})  # of an earlier version
    assert not may_be_chosen({"feasible": False})
    assert not may_be_chosen({"feasible": np.bool_(False)})


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["speed<=5"], ["'speed'", "do not have", "latency_ms"]),
        (["accuracy>=0.9"], ["'accuracy'", "val_accuracy"]),
        (["latency_ms<5"], ["operator <", "<= or >="]),
        (["latency_ms==5"], ["operator ==", "<= or >="]),
        (["latency_ms<=fast"], ["'fast'", "finite number"]),
        (["latency_ms<=nan"], ["'nan'", "finite number"]),
        (["latency_ms<=5_0"], ["'5_0'", "finite number"]),
        (["latency_ms<=٣"], ["'٣'", "finite number"]),
        (["latency_ms<=inf"], ["'inf'", "finite number"]),
        (["latency_ms"], ["'latency_ms'", "<= or >="]),
        (["latency_ms<=5<=6"], ["finite number"]),
        (["parameters<=0"], ["no trial", "between 1 and 1e+13"]),
        (["parameters>=1e300"], ["no trial", "between 1 and 1e+13"]),
        (["latency_ms<=1e-300"], ["no trial", "between 0.0001 and"]),
        (["val_accuracy>=90"], ["no trial", "between 0 and 1"]),
        (["val_accuracy<=0"], ["no trial", "between 0 and 1"]),
        (["parameters<=1e6", "parameters<=2e6"], ["same side", "one of them"]),
        (["parameters<=1e6", "parameters>=2e6"], ["contradict", "change one"]),
    ],
)
def test_what_is_no_constraint_is_refused_with_a_remedy(texts, words):
    with pytest.raises(InputError) as refused:
        parse_constraints(texts)
    for word in [texts[-1], *words]:
        assert word in str(refused.value)
