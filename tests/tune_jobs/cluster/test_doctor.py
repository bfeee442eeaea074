import dataclasses

import pytest

from tests.tune_jobs.cluster.test_check import run
from tune_jobs.cluster.doctor import Machine, facts, findings, table


@pytest.fixture
def machine(tmp_path):
    return Machine("here", facts(str(tmp_path)), 0.0)


def changed(machine, **changes):
    return dataclasses.replace(machine, name="h2", facts=machine.facts | changes)


def test_machines_that_agree_have_nothing_wrong(machine):
    assert machine.facts["storage"] == "ok"
    assert findings([machine, changed(machine)]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "3.11.1"}, ["python is 3.11.1", "to the patch"]),
        ({"ray": "2.50.0"}, ["ray is 2.50.0", "constraints.txt"]),
        ({"torch": "2.9.0"}, ["torch is 2.9.0"]),
        ({"sources": "beef"}, ["sources is beef", "ray up again"]),
        ({"disk_gb": 0.1}, ["0.1 GB are free in /tmp"]),
        ({"shm_gb": 0.06}, ["0.1 GB are free in /dev/shm"]),
        ({"storage": "AccessDenied"}, ["AccessDenied", "give it the right"]),
    ],
)
def test_what_differs_is_named_with_its_remedy(changes, words, machine):
    ((name, text),) = findings([machine, changed(machine, **changes)])
    assert name == "h2"
    for word in words:
        assert word in text


def test_a_clock_and_a_silent_machine_are_named(machine):
    late = dataclasses.replace(changed(machine), skew_s=-7.0)
    silent = Machine("h3", {}, 0.0, "timed out")
    wrong = findings([machine, late, silent])
    assert [name for name, _ in wrong] == ["h2", "h3"]
    assert "off by -7 s" in wrong[0][1]
    assert "timed out" in wrong[1][1]
    assert table([machine, late, silent], wrong).row_count == 3


def test_an_address_that_does_not_answer_is_one_message(capsys):
    assert run("doctor", "--address", "127.0.0.1:1") == 2
    assert "nothing answers at 127.0.0.1:1" in capsys.readouterr().err
