"""The comparison job: choose winners on the validation images, then score them on the test set."""

from __future__ import annotations

import dataclasses

import torch
from rich.console import Console

from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS
from tune_jobs.analysis.comparison.candidates import (
    Candidate,
    LoadedRun,
    candidates,
    load_runs,
)
from tune_jobs.analysis.comparison.caveats import models_scored
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.scored import Role
from tune_jobs.analysis.comparison.tables import write_frames
from tune_jobs.analysis.report.html import write_report
from tune_jobs.analysis.report.model_card import model_card
from tune_jobs.command_line.invocation import words_that_start
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.terminal import open_console, said
from tune_jobs.run_folder.folder import MODEL_FOLDER, RunFolder
from tune_jobs.run_folder.provenance import provenance_of
from tune_jobs.test_set import evaluation, ledger
from tune_jobs.test_set.answer import print_answer
from tune_jobs.test_set.attributions import with_attributions
from tune_jobs.test_set.contenders import Contender, by_seeds
from tune_jobs.test_set.corrupted import with_corrupted
from tune_jobs.test_set.evaluation import TrainedModel, check_model, contestant, load_trained
from tune_jobs.test_set.images import RunImages, data_of, images_of_runs, test_set_of
from tune_jobs.test_set.labels import held_out_labels, training_labels
from tune_jobs.test_set.learning_curve import curve_of
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.test_set.output import output_of
from tune_jobs.test_set.rescoring import in_fp32, load_rescored
from tune_jobs.test_set.retraining import retrain_all
from tune_jobs.tuning.data import describe_data

CARD_FILE = "README.md"


def run(command: CommandLine[CompareOptions]) -> int:
    """Compare runs, write the report, tables and model, and print the recommendation.

    Args:
        command: the command line.

    Returns:
        The exit code.

    Raises:
        InputError: the input is invalid; the test set then stays sealed.
    """
    console = open_console()
    compared = compare_runs(command, console)
    if compared is None:
        return 0
    comparison, folder = compared
    print_answer(comparison, folder, folder.child(MODEL_FOLDER), console)
    return 0


def compare_runs(
    command: CommandLine[CompareOptions], console: Console
) -> tuple[Comparison, RunFolder] | None:
    """Compare runs, and write the report, tables and model.

    Args:
        command: the command line.
        console: terminal or log file.

    Returns:
        The comparison and its folder; None after --plan.

    Raises:
        InputError: the input is invalid; the test set then stays sealed.
    """
    options = command.options
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runs = load_runs(options.runs, options.partial, words_that_start("compare"))
    folder, earlier = output_of(command)
    if earlier and not options.plan:
        console.print(earlier, markup=False, highlight=False, soft_wrap=True)
    images = images_of_runs(runs, options.data, console)
    counts, *_ = describe_data(images[runs[0].folder.uri])
    console.print(counts, markup=False, highlight=False)
    best_of_family = winners(
        runs, lambda each: in_fp32(each, data_of(each, images), device, console)
    )
    trials = other_trials(runs, best_of_family) if options.every_trial else []
    models = [load_trained(each, data_of(each, images), device) for each in best_of_family]
    for trial in trials:
        check_model(trial, data_of(trial, images))
    folder.make()
    with folder.lock():
        own_images = [data_of(winner, images) for winner in best_of_family]
        retrained = retrain_all(best_of_family, runs, own_images, folder, command, console)
        if options.plan:
            return None
        contenders = [
            Contender(
                model,
                [load_rescored(seed, data, device) for seed in again.seeds],
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
    return comparison, folder


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
        data.dataset.fingerprint, data.split.fingerprint, data.split.test_digests(data.dataset)
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
    with said("measuring latency and throughput", console):
        costs = evaluation.inference_costs([each.winner.classifier for each in contenders])
    for each, own in zip(contenders, costs, strict=True):
        candidate = each.winner.candidate
        run_data = data_of(candidate, images)
        with said(f"scoring {candidate.name} on the test images", console):
            seeds = [evaluation.score(seed, "seed", run_data, models) for seed in each.seeds]
            winner = evaluation.score(each.winner, "winner", run_data, models)
        with said(f"scoring {candidate.name} on validation and training images", console):
            validation = evaluation.validation_logits(each.winner, run_data)
            trained = evaluation.training_accuracy(each.winner, run_data)
        contestants.append(
            contestant(
                winner, seeds, runs, each.winner.classifier, own, validation, price, trained,
                each.curve,
            )
        )  # fmt: skip
        if each is contenders[0]:
            checks = [held_out_labels(contestants[0], each.winner, validation, run_data)]
    pairs = [(each.winner, data_of(each.winner.candidate, images)) for each in contenders]
    if command.options.robustness:
        contestants = with_corrupted(contestants, pairs, console)
    if command.options.attribution:
        contestants = with_attributions(contestants, pairs, console)
    scored = []
    for trial in trials:
        run_data = data_of(trial, images)
        model = load_trained(trial, run_data, device)
        scored.append(evaluation.score(model, "trial", run_data, models))
    return Comparison(
        runs=runs,
        test_set=test_set_of(data, [each.winner.classifier.view for each in contenders]),
        contestants=contestants,
        trials=scored,
        openings=openings,
        facts=facts,
        student_report=command.options.student_report
        or any(run.record["options"].get("recipe") == "report" for run in runs),
        margin=command.options.margin / 100,
        price_per_hour=price,
        label_checks=[*checks, *training_labels(runs, images, device)],
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
        "rejection": [dataclasses.asdict(each) for each in comparison.chosen.rejections],
        "test_accuracy": winner.accuracy,
        "test_accuracy_interval": winner.accuracy_interval,
    }
    saved.write_json(MODEL_FILE, model.about | about)
    saved.write(CARD_FILE, model_card(comparison).encode())
    write_report(comparison, folder)
