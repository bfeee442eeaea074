"""Compare the best model of each kind on the sealed test images, and say which to use."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from trainables.config import check_range
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import check_price
from tune_jobs.command_line.parser import CommandLine, parse_plain

if TYPE_CHECKING:
    from rich.console import Console

    from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun
    from tune_jobs.analysis.comparison.comparison import Comparison
    from tune_jobs.run_folder.folder import RunFolder
    from tune_jobs.test_set.evaluation import TrainedModel
    from tune_jobs.tuning.data import RunData

MODEL_FOLDER, SEEDS_FOLDER = "model", "seeds"
CARD_FILE = "README.md"


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of the job."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Folders of runs, local or s3://… or gs://…; the best model of each kind in them, on
    validation images, takes part."""
    seeds: int = 0
    """Train each winner again with so many other seeds first, through Ray Tune."""
    every_trial: bool = False
    """Score every trial on the test images, for the report's tables; nothing is chosen by that."""
    partial: bool = False
    """Compare what is there of runs that are not finished."""
    output: str = "comparison"
    """Folder or URI that the report, tables and model are written to."""
    data: str | None = None
    """Where the images are now, if not where the runs had them."""
    address: str | None = None
    """Of a Ray cluster that trains the seeds: auto, HOST or HOST:PORT; a local Ray without it."""
    price_per_hour: float | None = None
    """Dollars of one machine."""


def compare() -> int:
    """The job. Returns the exit code."""
    command = parse_plain(CompareOptions, description=__doc__)
    options = command.options
    check_range("--seeds", options.seeds, 0, 1000)
    if options.seeds == 1:
        raise InputError("--seeds is 1, and one training shows no spread: give 2 or more, or none")
    check_price(options.price_per_hour)
    # Torch takes seconds to import, and is not needed to refuse a bad option.
    from rich.console import Console

    from tune_jobs.analysis.comparison.candidates import load_runs, winners

    console = Console(width=None if sys.stdout.isatty() else 100)
    runs = load_runs(options.runs, options.partial)
    folder = output_folder(options.output)
    chosen = winners(runs)
    images = read_images(runs, options.data)
    trials = other_trials(runs, chosen) if options.every_trial else []
    for candidate in (*chosen, *trials):
        check_model(candidate, data_of(candidate, images))
    folder.make()
    with folder.lock():
        seeds = retrain_all(chosen, runs, folder, command, console)
        for candidate in chosen:
            for seed in seeds[candidate.family]:
                check_model(seed, data_of(candidate, images))
        # Up to here nothing has looked at a test image.
        comparison, model = open_test(runs, chosen, seeds, trials, images, command, console)
        write(comparison, model, folder)
    print_answer(comparison, folder, console)
    return 0


def output_folder(path: str) -> RunFolder:
    """The folder that is written to.

    Raises:
        InputError: it holds something else than a comparison.
    """
    from tune_jobs.analysis.results import COMPARISON_FILE
    from tune_jobs.run_folder.folder import RunFolder

    folder = RunFolder.at(path)
    try:
        others = set(folder.names()) - {".lock", SEEDS_FOLDER}
    except OSError as error:
        raise InputError(
            f"{folder.uri} is no folder ({error}): give one with --output, which need not be there"
        ) from error
    if others and not folder.has(COMPARISON_FILE):
        raise InputError(
            f"{folder.uri} holds {sorted(others)[0]} and no comparison: give another folder with "
            "--output"
        )
    return folder


def read_images(runs: list[LoadedRun], source: str | None) -> dict[str, RunData]:
    """The images of each run, by its folder.

    Raises:
        InputError: they cannot be read, or are not the same images, cut alike.
    """
    from tune_jobs.analysis.comparison.candidates import check_same
    from tune_jobs.tuning.data import load_data_again

    images: dict[str, RunData] = {}
    read: dict[str, RunData] = {}
    for run in runs:
        asked = run.record["options"]
        same = str((asked["data"], asked["training"]["split"], asked["run"]["smoke_test"]))
        if same not in read:
            read[same] = load_data_again(run.record, source)
        images[run.folder.uri] = read[same]
        both = images[runs[0].folder.uri], read[same]
        check_same(
            runs[0].name,
            run.name,
            [data.dataset.source_fingerprint for data in both],
            [data.parts.fingerprint for data in both],
        )
    for name in images[runs[0].folder.uri].dataset.classes:
        if any("\udc80" <= letter <= "\udcff" for letter in name):  # bytes that are no text
            raise InputError(f"class {name!r} is not UTF-8: rename its folder, and train again")
    return images


def data_of(candidate: Candidate, images: dict[str, RunData]) -> RunData:
    """The images of a candidate's run."""
    return images[candidate.run.folder.uri]


def other_trials(runs: list[LoadedRun], chosen: list[Candidate]) -> list[Candidate]:
    """The candidates that won nothing, in the order of runs and trials."""
    from tune_jobs.analysis.comparison.candidates import candidates

    won = {(candidate.run.folder.uri, candidate.trial) for candidate in chosen}
    everyone = [candidate for run in runs for candidate in candidates(run)]
    return [c for c in everyone if (c.run.folder.uri, c.trial) not in won]


def check_model(candidate: Candidate, data: RunData) -> None:
    """Rebuild a model, so that none is found missing when the test part is open.

    Raises:
        InputError: its weights are missing or altered, or its network cannot be built.
    """
    from tune_jobs.test_set.evaluation import load_trained

    load_trained(candidate, data)


def retrain_all(
    chosen: list[Candidate],
    runs: list[LoadedRun],
    folder: RunFolder,
    command: CommandLine[CompareOptions],
    console: Console,
) -> dict[str, list[Candidate]]:
    """Retrainings of each winner, by family; none without --seeds."""
    options = command.options
    if not options.seeds:
        return {candidate.family: [] for candidate in chosen}
    from tune_jobs.ray_runtime.session import ray_session
    from tune_jobs.test_set.retraining import first_seed, retrain

    retrained = {}
    with ray_session(options.address):
        for candidate in chosen:
            console.print(
                f"\n{candidate.family}, {options.seeds} seeds", markup=False, style="bold"
            )
            retrained[candidate.family] = retrain(
                candidate, options.seeds, first_seed(candidate, runs),
                folder.child(SEEDS_FOLDER), options.data, options.address, command, console,
            )  # fmt: skip
    return retrained


def open_test(
    runs: list[LoadedRun],
    chosen: list[Candidate],
    seeds: dict[str, list[Candidate]],
    trials: list[Candidate],
    images: dict[str, RunData],
    command: CommandLine[CompareOptions],
    console: Console,
) -> tuple[Comparison, TrainedModel]:
    """Enter the opening into the ledger, score every model, and measure the winners.

    Returns:
        What was found, and the chosen model.
    """
    import torch

    from tune_jobs.analysis.comparison.comparison import Comparison
    from tune_jobs.run_folder.provenance import facts_of
    from tune_jobs.test_set import ledger
    from tune_jobs.test_set.evaluation import contestant, load_trained, open_test_part, score

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts = facts_of(device, command.text)
    storages = list({run.folder.parent.uri: run.folder.parent for run in runs}.values())
    fingerprint = data_of(chosen[0], images).dataset.source_fingerprint
    everyone = [
        *((candidate, "winner") for candidate in chosen),
        *((candidate, "seed") for family in seeds.values() for candidate in family),
        *((candidate, "trial") for candidate in trials),
    ]
    ledger.log_opening(
        storages,
        fingerprint,
        when=facts["when"],
        command=facts["command"],
        models=[
            {"run": candidate.run.folder.uri, "trial": candidate.trial, "role": role}
            for candidate, role in everyone
        ],
        images=len(data_of(chosen[0], images).parts.test),
    )
    contestants = []
    for candidate in chosen:
        console.print(f"scoring {candidate.family}", markup=False, highlight=False, style="dim")
        data = data_of(candidate, images)
        retrained = [score(seed, "seed", data, device) for seed in seeds[candidate.family]]
        winner = score(candidate, "winner", data, device)
        contestants.append(
            contestant(winner, retrained, runs, data, device, command.options.price_per_hour)
        )
    comparison = Comparison(
        runs=runs,
        test=open_test_part(list(images.values())),
        contestants=contestants,
        trials=[score(trial, "trial", data_of(trial, images), device) for trial in trials],
        openings=ledger.openings(storages, fingerprint),
        facts=facts,
    )
    return comparison, load_trained(chosen[0], data_of(chosen[0], images))


def write(comparison: Comparison, model: TrainedModel, folder: RunFolder) -> None:
    """Write the tables, both reports and the chosen model."""
    from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS
    from tune_jobs.analysis.comparison.tables import write_frames
    from tune_jobs.analysis.report.html import write_report
    from tune_jobs.analysis.report.model_card import model_card

    write_frames(comparison, folder)  # first: by them the folder is known again as ours
    folder.clear("figures", MODEL_FOLDER)
    saved = folder.child(MODEL_FOLDER)
    saved.make()
    saved.write(MODEL_WEIGHTS, model.weights)
    winner = comparison.chosen.winner
    about = {
        "run": winner.candidate.run.folder.uri,
        "trial": winner.candidate.trial,
        "test_accuracy": winner.accuracy,
        "test_accuracy_interval": winner.accuracy_interval,
    }
    saved.write_json(MODEL_FILE, model.about | about)
    saved.write(CARD_FILE, model_card(comparison).encode())
    write_report(comparison, folder)


def print_answer(comparison: Comparison, folder: RunFolder, console: Console) -> None:
    """Print the answer, the table, and what to type next."""
    import shlex

    from rich.markup import escape
    from rich.table import Table

    from tune_jobs.analysis.comparison.verdict import headline, verdict
    from tune_jobs.analysis.report.html import HTML_FILE, answers

    console.print(f"\n[bold]{escape(headline(comparison))}[/]\n", highlight=False)
    console.print(verdict(comparison), markup=False, highlight=False)
    rows = answers(comparison)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, text in enumerate(rows.header):
        left, fits = i in rows.left, i > 0
        table.add_column(text, justify="left" if left else "right", no_wrap=fits, overflow="fold")
    for i, row in enumerate(rows.rows):
        table.add_row(*map(escape, row), style="bold green" if i == rows.strong else None)
    console.print("", table, "", sep="\n")
    console.print(f"Written to {folder.child(HTML_FILE).uri}", markup=False, highlight=False,
                  soft_wrap=True)  # fmt: skip
    model = folder.child(MODEL_FOLDER).uri
    command = shlex.join(["python", "tune_jobs/predict.py", "IMAGE", "--model", model])
    console.print(f"\nNext:\n  {command}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main(compare)
