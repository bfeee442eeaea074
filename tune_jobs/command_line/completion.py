"""Completion of the console command by the shell: a script, as nothing is to start at each Tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from trainables.errors import InputError
from tune_jobs.command_line.invocation import PROGRAM
from tune_jobs.command_line.values import options_of

SHELLS = {
    "bash": "",
    "zsh": (
        "autoload -U compinit bashcompinit\n(( $+functions[compdef] )) || compinit\nbashcompinit\n"
    ),
}
"""What the script begins with in each shell."""
SCRIPT = """\
_{program}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} job=${{COMP_WORDS[1]}} option= words= i
  for ((i = COMP_CWORD - 1; i > 1; i--)); do
    case "${{COMP_WORDS[i]}}" in --*) option=${{COMP_WORDS[i]}}; break;; esac
  done
  case "$COMP_CWORD $job $option $word" in
    '1 '*) words="{jobs}";;
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _{program} {program}
"""
"""The script. Where it has no words for an option, the shell completes names of files."""


def completion_script(shell: str, jobs: Mapping[str, Any]) -> str:
    """Return the script that completes jobs, options, and values that an option chooses from.

    Args:
        shell: bash or zsh.
        jobs: dataclass of the options of each job by its name; None for a job whose options are
            not completed.

    Raises:
        InputError: there is no such shell.
    """
    if shell not in SHELLS:
        raise InputError(f"--completion {shell!r} must be {' or '.join(SHELLS)}")
    cases = []
    for job, cls in jobs.items():
        options = {} if not cls else options_of(cls)
        names = [each.typed for each in options.values() if not each.positional]
        if names:
            cases.append(_case(f"*' {job} '*' -'*", [*names, "--help", "--help-all"]))
        cases += [
            _case(f"*' {job} {option.typed} '*", values)
            for option in options.values()
            if (values := _values(option.hint))
        ]
    text = SCRIPT.format(program=PROGRAM, jobs=" ".join(jobs), cases="\n".join(cases))
    return SHELLS[shell] + text


def _case(pattern: str, words: list[str]) -> str:
    return f'    {pattern}) words="{" ".join(words)}";;'


def _values(hint: Any) -> list[str]:
    """Return the texts that a type allows, where it lists them."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    return list(dict.fromkeys(text for part in get_args(hint) for text in _values(part)))
