import re

import pytest
import tyro

from tests.tune_jobs.command_line.job_options import OPTIONS
from tune_jobs.command_line.mistakes import read_options
from tune_jobs.command_line.values import options_of


def explained(capsys, cls, word, **settings):
    with pytest.raises(SystemExit) as ended:
        read_options(cls, [word], ["job"], config=(tyro.conf.OmitArgPrefixes,), **settings)
    assert not ended.value.code
    text = capsys.readouterr().out
    return set(re.findall(r"^. (--[a-z-]+)", text, re.MULTILINE)) - {"--help-all"}, text


@pytest.mark.parametrize("job", [job for job, cls in OPTIONS.items() if len(options_of(cls)) > 12])
def test_help_explains_about_ten_options_and_help_all_every_one(capsys, job):
    options = options_of(OPTIONS[job])
    first, text = explained(capsys, OPTIONS[job], "--help")
    assert 5 <= len(first) <= 13
    assert f"explain all {len(options)} options" in text
    every, _ = explained(capsys, OPTIONS[job], "--help-all")
    assert every == {option.typed for option in options.values() if not option.positional}
    assert first < every


def test_help_groups_options_and_has_the_defaults_of_the_recipe(capsys):
    cls = OPTIONS["lr-grid"]
    short = cls(training=cls.recipes()["fast"])
    _, text = explained(capsys, cls, "--help", default=short)
    groups = re.findall(r"^\W+([a-z-]+) options", text, re.MULTILINE)
    assert groups == ["data", "lr-grid", "training", "run"]
    assert "default: 3" in text.split("--epochs")[1].split("--patience")[0]
