import dataclasses

import pytest

from tests.tune_jobs.cluster.checks.test_static import run
from tune_jobs.cluster import doctor
from tune_jobs.cluster.doctor import Machine, facts, findings, table, versions
from tune_jobs.cluster.sockets import beyond


@pytest.fixture
def machine(tmp_path):
    return Machine("here", facts(str(tmp_path)) | {"token": True, "open": []}, 0.0)


@pytest.mark.parametrize(
    ("address", "reached"),
    [("0.0.0.0", ["8.8.8.8"]), ("::", ["8.8.8.8"]), ("8.8.4.4", ["8.8.4.4"]), ("10.0.0.1", []),
     ("::ffff:127.0.0.1", [])],
)  # fmt: skip
def test_a_socket_is_open_where_it_has_a_public_address(address, reached):
    assert beyond(address, ["8.8.8.8"]) == reached


def changed(machine, **changes):
    return dataclasses.replace(machine, name="h2", facts=machine.facts | changes)


def test_machines_that_agree_have_nothing_wrong(machine):
    assert machine.facts["storage"] == "ok"
    assert findings([machine, changed(machine)]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "3.11.1"}, ["python is 3.11.1", "including its patch version"]),
        ({"ray": "2.50.0"}, ["ray is 2.50.0", "constraints.txt"]),
        ({"torch": "2.9.0"}, ["torch is 2.9.0"]),
        ({"sources": "beef"}, ["sources is beef", "ray up again"]),
        ({"disk_gb": 0.1}, ["0.1 GB are free in /tmp"]),
        ({"shm_gb": 0.06}, ["0.1 GB are free in /dev/shm"]),
        ({"storage": "AccessDenied"}, ["AccessDenied", "give it access"]),
        ({"token": False}, ["asks for no token", "RAY_AUTH_MODE=token"]),
        ({"open": ["raylet at 54.1.2.3:80"]}, ["54.1.2.3:80", "--node-ip-address"]),
        ({"data": "'photos' is no folder"}, ["'photos' is no folder", "ray rsync-up"]),
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


def test_cuda_is_compared_where_there_are_gpus(machine):
    names = {"h2": "no GPU", "h3": "13.0", "h4": "13.0", "h5": "12.8"}
    machines = [dataclasses.replace(changed(machine, cuda=cuda), name=name)
                for name, cuda in names.items()]  # fmt: skip
    ((name, text),) = findings([changed(machine, cuda="no GPU"), *machines])
    assert name == "h5"
    assert "CUDA is 12.8, but 13.0 on h3" in text


def test_a_build_of_torch_for_another_cuda_is_the_same_torch(monkeypatch):
    monkeypatch.setattr(doctor.torch, "__version__", "2.14.1+cu130")
    assert versions()["torch"] == "2.14.1"


# Before the tests that start Ray, which this one would then use.
def test_an_address_that_does_not_answer_is_one_message(capsys):
    assert run("doctor", "--address", "127.0.0.1:1") == 2
    assert "nothing answers at 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["python=3.11.13"], ["python", "ray", "torch", "sources"]])
def test_what_the_laptop_did_not_print_is_refused(words, capsys):
    assert run("doctor", "--expect", *words) == 2
    assert "tune_jobs.cluster versions prints" in capsys.readouterr().err


@pytest.fixture
def laptop(capsys):
    """Words that `versions` prints there."""
    assert run("versions") == 0
    return capsys.readouterr().out.split()


def test_the_laptop_is_compared_and_the_data_read(local_ray, laptop, capsys):
    assert run("doctor", "--expect", *laptop, "--data", "digits") == 0
    assert "1 of 1 nodes agree with your machine" in capsys.readouterr().out


def test_another_laptop_and_missing_data_are_named(local_ray, laptop, capsys):
    other = ["python=3.9.1", *laptop[1:]]
    assert run("doctor", "--expect", *other, "--data", "photos") == 2
    printed = capsys.readouterr().out
    assert "yours: python is 3.9.1" in printed
    assert "'photos' is neither a file nor a folder" in printed
