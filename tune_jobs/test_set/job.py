"""The comparison job: choose winners on the validation images, then score them on the test set."""

from __future__ import annotations

import shlex
from typing import TypeAlias

import torch
from rich.console import Console
from rich.markup import escape

from trainables.errors import InputError
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS
from tune_jobs.analysis.comparison.candidates import (
    Candidate,
    LoadedRun,
    candidates,
    check_same,
    load_runs,
    winners,
)
from tune_jobs.analysis.comparison.caveats import models_scored
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.scored import Role
from tune_jobs.analysis.comparison.tables import write_frames
from tune_jobs.analysis.comparison.verdict import headline, verdict
from tune_jobs.analysis.report.html import HTML_FILE, answers, write_report
from tune_jobs.analysis.report.model_card import model_card
from tune_jobs.analysis.results import COMPARISON_FILE
from tune_jobs.command_line.invocation import typed_path, words_that_start
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.terminal import open_console, plain_table, print_table
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.provenance import provenance_of
from tune_jobs.test_set import evaluation, ledger
from tune_jobs.test_set.contenders import Contender, by_seeds
from tune_jobs.test_set.evaluation import TrainedModel, check_model, contestant, load_trained
from tune_jobs.test_set.learning_curve import curve_of
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.test_set.retraining import SEEDS_FOLDER, retrain_all
from tune_jobs.tuning.data import RunData, load_data_of_run

MODEL_FOLDER = "model"
CARD_FILE = "README.md"
COLUMNS = ("training", "parameters", "latency", "vs. chosen")
"""Columns of the table that a narrow terminal goes without, the first of them first."""

RunImages: TypeAlias = dict[str, RunData]
"""Images of each run, by the URI of its run folder."""


def run(command: CommandLine[CompareOptions]) -> int:
    """Compare runs, write the report, tables and model, and print the recommendation.

    Args:
        command: the command line.

    Returns:
        The exit code.

    Raises:
        InputError: the input is invalid; the test set then stays sealed.
    """
    options = command.options
    console = open_console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runs = load_runs(options.runs, options.partial)
    folder = output_folder(options.output)
    best_of_family = winners(runs)
    images = images_of_runs(runs, options.data, console)
    trials = other_trials(runs, best_of_family) if options.every_trial else []
    models = [load_trained(each, data_of(each, images), device) for each in best_of_family]
    for trial in trials:
        check_model(trial, data_of(trial, images))
    folder.make()
    with folder.lock():
        own_images = [data_of(winner, images) for winner in best_of_family]
        retrained = retrain_all(best_of_family, runs, own_images, folder, command, console)
        if options.plan:
            return 0
        contenders = [
            Contender(
                model,
                [load_trained(seed, data, device) for seed in again.seeds],
                curve_of(again.curve, data, i),
            )
            for i, (model, again, data) in enumerate(
                zip(models, retrained, own_images, strict=True)
            )
        ]
        contenders = by_seeds(contenders)
        # Up to here no model has seen a test image.
        comparison = open_test(runs, contenders, trials, images, command, device, console)
        write(comparison, contenders[0].winner, folder)
    print_answer(comparison, folder, console)
    return 0


def output_folder(path: str) -> RunFolder:
    """Return the output folder.

    Raises:
        InputError: it is not a folder, or holds other files than those of a comparison.
    """
    folder = RunFolder.at(path)
    try:
        others = set(folder.names()) - {".lock", SEEDS_FOLDER}
    except OSError as error:
        raise InputError(
            f"{folder.uri} is not a folder ({error}): give a new or existing folder with --output"
        ) from error
    if others and not folder.has(COMPARISON_FILE):
        raise InputError(
            f"{folder.uri} holds {sorted(others)[0]} but no comparison, and is not overwritten: "
            "give another folder with --output"
        )
    return folder


def images_of_runs(runs: list[LoadedRun], source: str | None, console: Console) -> RunImages:
    """Read the images of each run, once for all runs with the same data options.

    Args:
        runs: compared runs.
        source: value of --data, if the images have moved.
        console: terminal or log file.

    Raises:
        InputError: the images cannot be read, or the runs differ in their images or split.
    """
    images: RunImages = {}
    read: RunImages = {}
    for run in runs:
        options = run.record["options"]
        key = str((options["data"], options["training"]["split"], options["run"]["smoke_test"]))
        if key not in read:
            read[key] = load_data_of_run(run.record, console, source)
        images[run.folder.uri] = read[key]
        both = images[runs[0].folder.uri], read[key]
        check_same(
            runs[0].name,
            run.name,
            [data.dataset.fingerprint for data in both],
            [data.split.fingerprint for data in both],
        )
    for name in images[runs[0].folder.uri].dataset.classes:
        if any("\udc80" <= letter <= "\udcff" for letter in name):  # undecodable bytes
            raise InputError(
                f"class name {name!r} is not UTF-8: rename its folder, and train again"
            )
    return images


def data_of(candidate: Candidate, images: RunImages) -> RunData:
    """Return the images of a candidate's run."""
    return images[candidate.run.folder.uri]


def other_trials(runs: list[LoadedRun], chosen: list[Candidate]) -> list[Candidate]:
    """Return the candidates that are not winners, in the order of runs and trials."""
    won = {(candidate.run.folder.uri, candidate.trial) for candidate in chosen}
    everyone = [candidate for run in runs for candidate in candidates(run)]
    return [c for c in everyone if (c.run.folder.uri, c.trial) not in won]


def open_test(
    runs: list[LoadedRun],
    contenders: list[Contender],
    trials: list[Candidate],
    images: RunImages,
    command: CommandLine[CompareOptions],
    device: torch.device,
    console: Console,
) -> Comparison:
    """Log the opening of the test set, score every model on it, and measure the winners' costs."""
    facts = provenance_of(device, command.text)
    storages = list({run.folder.parent.uri: run.folder.parent for run in runs}.values())
    data = data_of(contenders[0].winner.candidate, images)
    everyone: list[tuple[Candidate, Role]] = [
        *((each.winner.candidate, "winner") for each in contenders),
        *((seed.candidate, "seed") for each in contenders for seed in each.seeds),
        *((trial, "trial") for trial in trials),
    ]
    opened = ledger.OpenedImages(
        data.dataset.fingerprint, data.split.fingerprint, data.dataset.digests[data.split.test]
    )
    ledger.log_opening(
        storages,
        opened,
        when=facts["when"],
        command=facts["command"],
        models=[
            {
                "run": candidate.run.folder.uri,
                "trial": candidate.trial,
                "role": role,
                "weights": candidate.row.get("weights_sha256"),
            }
            for candidate, role in everyone
        ],
    )
    openings = ledger.openings(storages, opened)
    # The first choice is made without a test image; any later one may follow from the scores.
    models = models_scored(openings) if len(openings) > 1 else 1
    contestants = []
    price = command.options.price_per_hour
    costs = evaluation.inference_costs([each.winner.classifier for each in contenders])
    for each, own in zip(contenders, costs, strict=True):
        candidate = each.winner.candidate
        console.print(f"scoring {candidate.family}", markup=False, highlight=False, style="dim")
        run_data = data_of(candidate, images)
        seeds = [evaluation.score(seed, "seed", run_data, models) for seed in each.seeds]
        winner = evaluation.score(each.winner, "winner", run_data, models)
        contestants.append(
            contestant(
                winner, seeds, runs, each.winner.classifier, own,
                evaluation.temperature(each.winner, run_data), price,
                evaluation.training_accuracy(each.winner, run_data), each.curve,
            )
        )  # fmt: skip
    scored = []
    for trial in trials:
        run_data = data_of(trial, images)
        model = load_trained(trial, run_data, device)
        scored.append(evaluation.score(model, "trial", run_data, models))
    return Comparison(
        runs=runs,
        test_set=evaluation.test_set_of(data, [each.winner.classifier.view for each in contenders]),
        contestants=contestants,
        trials=scored,
        openings=openings,
        facts=facts,
        student_report=command.options.student_report
        or any(run.record["options"].get("recipe") == "report" for run in runs),
        margin=command.options.margin / 100,
        price_per_hour=price,
    )


def write(comparison: Comparison, model: TrainedModel, folder: RunFolder) -> None:
    """Write the tables, both reports and the chosen model into the output folder."""
    write_frames(comparison, folder)  # first, as they mark the folder as a comparison
    folder.clear("figures", MODEL_FOLDER)
    saved = folder.child(MODEL_FOLDER)
    saved.make()
    saved.write(MODEL_WEIGHTS, model.weights)
    winner = comparison.chosen.winner
    about = {
        "run": winner.candidate.run.folder.uri,
        "trial": winner.candidate.trial,
        "temperature": comparison.chosen.temperature,
        "test_accuracy": winner.accuracy,
        "test_accuracy_interval": winner.accuracy_interval,
    }
    saved.write_json(MODEL_FILE, model.about | about)
    saved.write(CARD_FILE, model_card(comparison).encode())
    write_report(comparison, folder)


def print_answer(comparison: Comparison, folder: RunFolder, console: Console) -> None:
    """Print the recommendation, the table of winners, and the next command."""
    console.print(f"\n[bold]{escape(headline(comparison))}[/]\n", highlight=False)
    console.print(verdict(comparison), markup=False, highlight=False)
    rows = answers(comparison)
    table = plain_table()
    for i, text in enumerate(rows.header):
        table.add_column(text, justify="left" if i in rows.left else "right", no_wrap=True)
    for i, row in enumerate(rows.rows):
        table.add_row(*map(escape, row), style="bold green" if i == rows.strong else None)
    console.print()
    print_table(console, table, COLUMNS)
    console.print()
    console.print(f"Written to {folder.child(HTML_FILE).uri}", markup=False, highlight=False,
                  soft_wrap=True)  # fmt: skip
    model = typed_path(folder.child(MODEL_FOLDER).uri)
    command = shlex.join([*words_that_start("predict"), "IMAGE", "--model", model])
    console.print(f"\nNext:\n  {command}", markup=False, highlight=False, soft_wrap=True)
