"""Options in files: --config and --write-config."""

import os

import pytest

from tests.tune_jobs.conftest import command_line
from trainables.errors import InputError
from tune_jobs import finetune, lr_grid
from tune_jobs.command_line.parser import flatten, named_models, parse, parse_plain
from tune_jobs.finetune import FinetuneOptions
from tune_jobs.lr_grid import GridOptions
from tune_jobs.optuna_search import SearchOptions
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.tuning.before_ray import start


@pytest.fixture
def file(tmp_path):
    """Write a file, and return its path."""

    def write(text, name="run.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def parsed(*words, cls=GridOptions):
    return parse(cls, None, words, program=["job"])


def test_a_file_gives_every_option_by_its_name(file):
    text = """
        job: lr-grid           # may be left out
        lr: [1e-3, 0.01]
        batch-size: 32         # with dashes
        weight_decay: 0.1      # or underscores
        recipe: fast
        image_size: [auto, 32]
        skip-bad: yes
        horizontal_flip: false
        patience:              # none
        split: [0.6, 0.2, 0.2]
        name: 2026-11-27       # no date
    """
    command = parsed("--config", file(text))
    flat = flatten(command.options)
    assert (flat["lr"], flat["batch_size"], flat["weight_decay"]) == ((1e-3, 1e-2), 32, 0.1)
    assert (flat["schedule"], flat["epochs"]) == ("one_cycle", 3)  # of the recipe
    assert (flat["image_size"], flat["skip_bad"]) == (("auto", 32), True)
    assert (flat["horizontal_flip"], flat["split"]) == (False, (0.6, 0.2, 0.2))
    assert flat["name"] == "2026-11-27"
    assert command.given_options >= {"lr", "batch_size", "skip_bad", "name"}
    assert command.text.startswith("job --config ")


def test_options_on_the_line_override_the_file(file):
    path = file("lr: [1e-3, 1e-2]\nepochs: 7\nskip_bad: true\nbatch_size: 32\n")
    words = ("--epochs=3", "--config", path, "--lr", "0.5", "--no-skip-bad")
    flat = flatten(parsed(*words).options)
    assert (flat["lr"], flat["epochs"], flat["skip_bad"]) == ((0.5,), 3, False)
    assert flat["batch_size"] == 32
    path = file("runs: [runs/a, runs/b]\nseeds: 3\n")
    for words, runs in ((), ("runs/a", "runs/b")), (("runs/c",), ("runs/c",)):
        command = parse_plain(CompareOptions, "compare", None, [*words, "--config", path])
        assert (command.options.runs, command.options.seeds) == (runs, 3)


def test_an_option_in_a_file_counts_as_given(file):
    """A search does not vary it."""
    command = parsed("--config", file("dropout: 0.1\n"), cls=SearchOptions)
    assert "dropout" in command.given_options


BOMB = "a: &a [1, 2]\nb: &b [*a, *a]\nlr: *b\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("lr: [1e-3]\nlearning_rate: 1\n", 2, ["no option learning_rate", "did you mean lr?"]),
        ("epochs: 3\nlr: fast\n", 2, ["--lr fast cannot be read", "--help"]),
        ("epochs: 1:30\n", 1, ["--epochs 1:30 must be a whole number"]),
        ("# a comment\nepochs: 0\n", 2, ["epochs", "1 or more"]),
        ("name: a\nlr: [0.1, -1]\n", 2, ["learning rate -1", "above 0"]),
        ("name: a/b\n", 1, ["folder name"]),
        ("cpus_per_trial: 100000\n", 1, ["--cpus-per-trial 100000"]),
        ("optimizer: lion\n", 1, ["--optimizer lion must be one of adam"]),
        ("epochs: 3\nbatch_size: 8\nbatch-size: 16\n", 3, ["batch-size is given twice", "line 2"]),
        ("epochs: 3\nepochs: 4\n", 2, ["duplicate key"]),
        ("job: finetune\n", 1, ["job 'finetune' is not lr-grid"]),
        ("jobs: {a: {job: lr-grid}}\n", 1, ["several jobs", "bakeoff run"]),
        ("lr: {a: 1}\n", 1, ["--lr", "is a dict"]),
        ("data: photos\ntrust: [os]\n", 2, ["--trust is given on the command line only"]),
        ("config: other.yaml\n", 1, ["--config is given on the command line only"]),
        ("lr: [1\n", 2, ["not YAML"]),
        ("- lr\n", 1, ["must map names to values", "epochs: 5"]),
        (BOMB, 2, ["write out what *a refers to"]),
        ("lr: !!python/object/apply:os.abort []\n", 1, ["leave out the tag", "os.abort"]),
        ("lr: " + "[" * 50 + "]" * 50, 1, ["nested more than 8 deep"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_names_the_line(text, line, words, file, tmp_path, capfd):
    path = file(text)
    run = command_line(lr_grid.lr_grid)
    assert run("--config", path, "--storage-path", tmp_path / "runs") == 2
    message = capfd.readouterr().err
    assert message.startswith(f"error: {path} line {line}: "), message
    assert all(word in message for word in words), message
    assert "Traceback" not in message
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["--config"], ["--config has no value", "--config run.yaml"]),
        (["--config", "{tmp}/none.yaml"], ["none.yaml cannot be read"]),
        (["--config", "{tmp}/pipe.yaml"], ["pipe.yaml is no regular file"]),
        (["--config", "{tmp}/run.txt"], ["suffix .yaml or .yml"]),
        (["--config", "{tmp}/empty.yaml"], ["is empty", "epochs: 5"]),
        (["--config", "{tmp}/run.yaml", "--epochs", "0"], ["epochs", "1 or more"]),
    ],
)
def test_a_file_that_cannot_be_used_is_named(words, answers, file, tmp_path):
    file("epochs: 5\n"), file("", "empty.yaml"), file("epochs: 5\n", "run.txt")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError) as raised:
        parsed(*(word.format(tmp=tmp_path) for word in words))
    message = str(raised.value)
    assert "line" not in message  # what the command line gives is not the file's
    assert all(answer in message for answer in answers), message


def test_a_file_names_no_module_to_be_imported(file):
    path = file("models: [tests.nets:tiny]\n")
    assert named_models(parsed("--config", path, cls=FinetuneOptions)) == []
    words = ("--config", path, "--trust", "tests.nets")
    assert named_models(parsed(*words, cls=FinetuneOptions)) == ["tests.nets"]


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (GridOptions, ["--lr", "1e-5", "0.01", "--recipe", "fast", "--split", "0.6", "0.2", "0.2",
                       "--no-skip-bad", "--name", "a b", "--data", "'photos: 1'"]),
        (FinetuneOptions, ["--models", "resnet18", "--mode", "full", "probe", "--penalty", "1e-3"]),
    ],
)  # fmt: skip
def test_what_is_written_is_what_is_read(cls, words, tmp_path, capfd):
    prepare = lr_grid.prepare if cls is GridOptions else finetune.prepare
    path = tmp_path / "run.yaml"
    command = parsed(*words, "--write-config", str(path), cls=cls)
    assert start(prepare, command) == 0
    assert f"--config {path}" in capfd.readouterr().out
    again = parsed("--config", str(path), cls=cls)
    expected = flatten(command.options) | {"write_config": None}
    assert flatten(again.options) == expected
    assert again.given_options >= command.given_options - {"write_config", "no_skip_bad"}
    # Every option stands in the file, those with their defaults as comments.
    text = path.read_text()
    assert text.count("\n") > len(expected)
    assert "\n# batch-size: " in text
    with pytest.raises(InputError, match="exists and is not overwritten"):
        start(prepare, command)
