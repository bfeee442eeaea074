"""Summary on the terminal when a run has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.markup import escape

from trainables.errors import InputError
from trainables.status import TrialStatus
from trainables.target import ACCURACY, Target
from tune_jobs.analysis.formatting import class_counts, constant_answer, counted, listed
from tune_jobs.command_line.terminal import NextStep, print_steps, print_table
from tune_jobs.ray_runtime.sudden_end import end_without_head, last_words
from tune_jobs.run_folder.folder import RUN_FILE
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.run_folder.schema import is_soup
from tune_jobs.run_folder.settings import Setting, best_setting, settings_of
from tune_jobs.tuning.best_model import best_row
from tune_jobs.tuning.caveats import caveats
from tune_jobs.tuning.next_commands import next_steps, resume_command
from tune_jobs.tuning.seeds import DROPPABLE as SEED_COLUMNS
from tune_jobs.tuning.seeds import settings_table
from tune_jobs.tuning.strategy import Findings, Run
from tune_jobs.tuning.trial_table import FEW_ROWS, MOST_ROWS, print_trials, shown_score


def print_summary(run: Run, record: RunRecord, findings: Findings) -> int:
    """Print the table of trials, the best trial or setting, warnings and the next commands.

    Args:
        run: the run.
        record: content of its run.json.
        findings: results of its strategy.

    Returns:
        The exit code: 0, 1 if no trial has a result, 130 if the run was interrupted.
    """

    def say(text: str, whole: bool = False) -> None:
        console.print(text, highlight=False, soft_wrap=whole)  # a command must stay one to copy

    recorder, console = run.recorder, run.console
    best = best_row(recorder, run.options.has_seeds)
    settings = settings_of(recorder.rows.values(), recorder.configs, run.target)
    seeded = is_seeded(run, findings)
    setting = best_setting(settings) if seeded else None
    say("")
    if findings.table is not None:
        print_table(console, findings.table, findings.droppable)
    elif seeded:
        shown = best_first(settings)
        print_table(console, settings_table(shown, setting), SEED_COLUMNS)
        if len(shown) < len(settings):
            say(f"… the best {len(shown)} of {len(settings)} settings")
    else:
        print_trials(run, best, findings.settings)
    say("")
    if setting is not None and best is not None:
        say(escape(describe_setting(setting, best)))
    elif best is not None and findings.table is None:
        say(f"Best: [bold]{escape(best['trial'])}[/] with {escape(describe_best(run, best))}")
    for note in (*findings.notes, *(precision_note(run) if findings.table is None else ())):
        say(escape(note))
    if findings.front is not None:
        say("Pareto front of the objectives:")
        print_table(console, findings.front)
    say(f"Written to {escape(run.folder.uri)}", whole=True)
    interrupted = record["status"] == "interrupted"
    if record["warnings"]:
        say("")
    for note in record["warnings"]:
        text, _, command = note.partition("\n")
        say(f"[yellow]warning:[/] {escape(text)}")
        if command:
            say(f"  {escape(command)}", whole=True)
    if interrupted:
        from_start = not any(row["epochs"] for row in recorder.rows.values())
        where = ", from the beginning, as no epoch has ended" if from_start else ""
        say(f"\nInterrupted. To resume{where}:\n  {escape(resume_command(run))}", whole=True)
        return 130
    steps = next_steps(run, findings) if best is not None else []
    failed = any(row["status"] == TrialStatus.FAILED for row in recorder.rows.values())
    if failed and findings.can_retry:
        steps.append(NextStep("the failed trials again", resume_command(run)))
    if steps:
        print_steps(steps, console)
    return 0 if best is not None else 1


def is_seeded(run: Run, findings: Findings) -> bool:
    """Return whether trials differ in their random seed alone, so that settings are compared."""
    return findings.table is None and run.options.has_seeds


def warnings_of(run: Run, record: RunRecord, findings: Findings) -> list[str]:
    """Return what a person should know about the results, as sentences, some with a command.

    Arguments are those of `print_summary`. A command stands in a line of its own.
    """
    recorder, seeds = run.recorder, run.options.has_seeds
    notes, best = problems(run), best_row(recorder, seeds)
    if best is None or findings.table is not None or record["status"] == "interrupted":
        return notes
    settings = settings_of(recorder.rows.values(), recorder.configs, run.target)
    setting = best_setting(settings) if is_seeded(run, findings) else None
    if setting is not None:
        return notes + caveats(run, setting.name, setting.rows)
    return notes + caveats(run, best["trial"], [best])


def best_first(settings: list[Setting]) -> list[Setting]:
    """Return the settings as they are shown: all, or of many the best ones."""
    if len(settings) <= MOST_ROWS:
        return settings
    scored = [each for each in settings if each.scores]
    return sorted(scored, key=lambda each: -each.target.merit(each.mean))[:FEW_ROWS]


def describe_best(run: Run, best: TrialRow) -> str:
    """Return the score of the best trial, and which of its weights have it."""
    score = f"validation {_score(best, run.target)}"
    if is_soup(best):
        return f"{score} as the average of {best['members']}"
    if run.recorder.configs[best["trial"]].mode == "probe":
        return score  # a logistic regression has no epochs
    return f"{score} after epoch {best['best/epoch']}"


def describe_setting(setting: Setting, best: TrialRow) -> str:
    """Return the sentence on the best setting, and on the trial whose weights are in best/."""
    trials = f"mean ± standard deviation of {counted(len(setting.scores), 'seed')}"
    if len(setting.scores) == 1:
        trials = "one seed"
    kept = f"{best['trial']} ({_score(best, setting.target)})"
    which = "the average of several trials" if is_soup(best) else "its best seed on these images"
    return (
        f"Best setting: {setting.name} with validation {setting.target.label} {setting.show()} "
        f"({trials})\nbest/ has the weights of {which}, {kept}"
    )


def problems(run: Run) -> list[str]:
    """Return sentences on trials that failed, diverged, did not fit or ended early."""
    recorder, notes = run.recorder, []
    rows = list(recorder.rows.values())
    lost: dict[tuple[str, str], list[str]] = {}
    for row in rows[:MOST_ROWS]:
        if row["status"] in (TrialStatus.FAILED, TrialStatus.DIVERGED):
            lost.setdefault((row["status"], row.get("error") or ""), []).append(row["trial"])
    notes += [f"{listed(names)} {status}: {error}" for (status, error), names in lost.items()]
    for row in rows[:MOST_ROWS]:
        batch_size = recorder.configs[row["trial"]].batch_size
        if (row.get("micro_batch") or batch_size) < batch_size:
            notes.append(
                f"{row['trial']}: batches of {batch_size} did not fit into memory and were split "
                f"into micro-batches of {row['micro_batch']:.0f}"
            )
    return [*notes, *filter(None, (patience_note(run), constant_note(run)))]


def _score(row: TrialRow, target: Target) -> str:
    """Return the metric of a trial, and its accuracy where that is another."""
    shown = (target, ACCURACY) if target != ACCURACY else (target,)
    return ", ".join(f"{each.label} {shown_score(row, each)}" for each in shown)


def precision_note(run: Run) -> list[str]:
    """Return a sentence on the precision that --precision auto has chosen, if it is not fp32."""
    recorder = run.recorder
    chosen = {
        row["precision"]
        for name, row in recorder.rows.items()
        if recorder.configs[name].precision == "auto" and row.get("precision")
    } - {"fp32"}
    if not chosen:
        return []
    return [f"Trained in {listed(sorted(chosen))}, as --precision auto chooses here"]


def constant_note(run: Run) -> str:
    """Return a sentence on the constant answer where one class has most validation images."""
    classes = run.data.classes
    answer = constant_answer(class_counts(run.data.val_labels, classes), classes)
    if not answer:
        return ""
    note = f"Compare accuracies with a constant answer: {answer} of the validation images."
    if run.target == ACCURACY:
        note += " --metric balanced_accuracy chooses by all classes alike."
    return note


def patience_note(run: Run) -> str:
    """Return a sentence on the trials that ended early because their patience ran out."""
    recorder = run.recorder
    early = [
        recorder.configs[name]
        for name, row in recorder.rows.items()
        if recorder.stopped_by(row) == "patience"
    ]
    if not early:
        return ""
    trials = "1 trial" if len(early) == 1 else f"{len(early)} trials"
    return (
        f"{trials} ended before epoch {early[0].epochs}, after {early[0].patience} without a "
        f"better {run.target.label} (--patience)"
    )


@contextlib.contextmanager
def resumable(run: Run) -> Iterator[None]:
    """Print the command that resumes a run where anything ends it: an error, Ctrl-C, or a kill."""
    text = f"\nInterrupted. To resume:\n  {resume_command(run)}"
    try:
        with last_words(text), end_without_head(is_local=run.options.run.address is None):
            yield
    except BaseException:
        with contextlib.suppress(OSError, InputError):  # the folder may be gone
            if run.folder.has(RUN_FILE):
                run.console.print(text, markup=False, highlight=False, soft_wrap=True)
        raise
