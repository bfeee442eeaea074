"""What is typed by mistake is answered with what was meant and what to type."""

import io
import sys

import pytest

from trainables.errors import InputError
from tune_jobs.__main__ import bakeoff, unknown
from tune_jobs.cluster.__main__ import cluster
from tune_jobs.command_line.parser import parse
from tune_jobs.finetune import FinetuneOptions
from tune_jobs.lr_grid import GridOptions


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("--learning-rate 0.1", ["no option --learning-rate", "did you mean --lr?"]),
        ("--learning_rate=0.1", ["--learning_rate=0.1", "did you mean --lr=0.1?"]),
        ("--bathc-size 32", ["did you mean --batch-size?"]),
        ("--img-size 64", ["did you mean --image-size?"]),
        ("-lr 1e-3", ["no option -lr", "did you mean --lr?"]),
        ("-b 32", ["no option -b", "did you mean --batch-size?"]),
        ("--sched cosine", ["no option --sched", "did you mean --schedule?"]),
        ("--img-size 64 --opt sgd", ["no options", "--image-size?", "--optimizer?"]),
        ("--xyzzy", ["no option --xyzzy", "--help-all explains every option"]),
        ("photos", ["'photos' belongs to no option", "--data photos"]),
        ("--seed 1 2", ["'2' belongs to no option", "--seeds 3 is three random seeds"]),
        ("--lr 0.001,0.01", ["--lr", "separate values by spaces: 0.001 0.01"]),
        ("--lr 1e-3, 1e-4 --epochs 3", ["separate values by spaces: 1e-3 1e-4"]),
        ("--lr fast", ["--lr", "fast", "--help"]),
        ("--recipe slow", ["slow", "standard", "--help"]),
        ("--recipe Standrad", ["must be one of", "did you mean standard?", "--help"]),
        ("--optimizer Adam", ["did you mean adam? "]),
        ("--augment randaug", ["did you mean strong? "]),
        ("--image-size 224x160", ["square images", "give their side: --image-size 224"]),
        ("--epochs", ["--epochs", "--help"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "ascii"])  # a notebook's is UTF-8
def test_the_message_says_what_to_type(words, answers, encoding, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with pytest.raises(InputError) as raised:
        parse(GridOptions, None, words.split())
    message = str(raised.value)
    assert all(answer in message for answer in answers), message
    assert not set(message) & set("│╭─\n")


@pytest.mark.parametrize("word", ["lr_grid", "lr-gird", "optuna_search", "sweep", "train"])
def test_an_unknown_job_is_answered_with_the_one_that_is_meant(word):
    with pytest.raises(
        InputError, match=f"no job '{word}'.*bakeoff --help lists the jobs"
    ) as raised:
        unknown(word)
    meant = {"optuna_search": "search", "sweep": "search", "train": "lr-grid or bakeoff finetune"}
    assert f"did you mean bakeoff {meant.get(word, 'lr-grid')}?" in str(raised.value)


def test_an_option_before_the_job_is_answered_with_its_place():
    with pytest.raises(InputError, match="--model comes after the name of a job"):
        unknown("--model")


def test_an_option_of_another_program_is_ours_by_another_name():
    with pytest.raises(InputError, match="did you mean --models"):
        parse(FinetuneOptions, None, ["--arch", "resnet18"])


def test_options_of_subcommands_are_known_too(monkeypatch):
    monkeypatch.setattr("sys.argv", ["cluster", "check", "cluster.yaml", "--offlin"])
    with pytest.raises(InputError, match=r"did you mean --offline\?"):
        cluster()


def test_a_trial_of_more_cores_than_this_machine_has_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="8 is more than the 4 CPU cores of this machine: give 4"):
        parse(GridOptions, None, ["--cpus-per-trial", "8"])
    assert parse(GridOptions, None, ["--cpus-per-trial", "8", "--address", "auto"])


def test_a_missing_run_is_answered_with_those_there_are(tmp_path):
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "run.json").write_text('{"job": "lr-grid"}')
    words = ["--name", "rate", "--extend", "--lr", "1", "--storage-path", str(tmp_path)]
    with pytest.raises(InputError, match=r"no run 'rate'.* to extend.* are rates"):
        parse(GridOptions, None, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--completion", "bash", "zsh"], "'zsh' is one word too many"),
        (["--completion"], "must be bash or zsh"),
        (["--version", "now"], "'now' is one word too many"),
        (["help", "search"], "bakeoff search --help explains that job"),
    ],
)
def test_words_that_nothing_reads_are_refused(words, message, monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ["bakeoff", *words])
    with pytest.raises(SystemExit) as ended:
        bakeoff()
    assert ended.value.code == 2
    assert message in capfd.readouterr().err
