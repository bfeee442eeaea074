"""What is refused before Ray starts, and what is said meanwhile."""

import io

import pytest
from rich.console import Console

from tests.images import pictures
from trainables.errors import InputError
from tune_jobs.command_line.parser import parse
from tune_jobs.command_line.terminal import said
from tune_jobs.finetune import FinetuneOptions
from tune_jobs.lr_grid import GridOptions
from tune_jobs.ranking.options import ShortlistOptions
from tune_jobs.tuning.before_ray import check_packages, find_before_ray
from tune_jobs.tuning.new_folder import find_folder


@pytest.mark.parametrize(
    ("cls", "words", "package"),
    [
        (GridOptions, ["--track", "wandb"], "wandb"),
        (GridOptions, ["--track", "mlflow"], "mlflow-skinny"),
        (FinetuneOptions, ["--models", "resnet18", "timm:convnext_atto"], "timm"),
        (FinetuneOptions, ["--mode", "lora"], "peft"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    cls, words, package, monkeypatch
):
    options = parse(cls, None, words).options
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    check_packages(options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"{words[-1]} needs .*pip install {package}$"):
        check_packages(options)


@pytest.mark.parametrize(("cls", "more"), [(GridOptions, "--extend --lr"), (FinetuneOptions, "")])
def test_a_name_that_is_taken_is_refused_before_anything_is_loaded(cls, more, tmp_path):
    (tmp_path / "taken").mkdir()
    words = ["--name", "taken", "--storage-path", str(tmp_path)]
    with pytest.raises(InputError, match=rf"'taken' already exists.*--resume.*{more}$"):
        find_folder(parse(cls, None, words).options)
    (tmp_path / "lr-grid").mkdir()
    options = parse(GridOptions, None, words[2:]).options
    assert find_folder(options).name == "lr-grid-2"


def test_a_shortlist_goes_on_with_the_networks_that_it_can_have(monkeypatch):
    options = parse(ShortlistOptions, None, ["--models", "resnet18", "timm:x"]).options
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_packages(options)


def test_a_log_says_what_takes_time_and_the_screen_only_while_it_does():
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
        with said("loading [x]", console):
            pass
        assert "loading [x]" in console.file.getvalue()


@pytest.mark.parametrize("named", [False, True])
def test_class_weights_of_other_classes_are_refused_before_ray_starts(named, tmp_path):
    for file, picture in zip(("a/0.png", "b/0.png"), pictures(2), strict=True):
        (tmp_path / file).parent.mkdir()
        picture.save(tmp_path / file)
    weights, data = '{"a": 1, "emu": 2}', "digits" if named else str(tmp_path)
    options = parse(GridOptions, None, ["--data", data, "--class-weights", weights]).options
    with pytest.raises(InputError, match="'emu', which must be classes"):
        find_before_ray(options, Console(file=io.StringIO()))


def test_a_named_dataset_loads_while_ray_starts():
    assert find_before_ray(parse(GridOptions, None, []).options, Console()) is None
