"""What a saved model is, how good it is and how that is known, beside its files."""

from __future__ import annotations

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.verdict import verdict
from tune_jobs.analysis.formatting import count, milliseconds, percent, percent_interval
from tune_jobs.analysis.report.blocks import Table
from tune_jobs.analysis.report.markdown import plain, table
from tune_jobs.analysis.report.sections.error_analysis import class_table, confused_rows
from tune_jobs.run_folder.schema import SCORE


def model_card(comparison: Comparison) -> str:
    """The card of the chosen model, as Markdown."""
    chosen, test = comparison.chosen, comparison.test_set
    winner, config = chosen.winner, chosen.winner.candidate.config
    record = winner.candidate.run.record
    size = record["dataset"]["image_size"]
    facts = [
        ("network", config.model),
        ("began from", "random weights" if config.weights == "none" else config.weights),
        ("input", f"RGB images, resized to {size}×{size} pixels"),
        ("classes", ", ".join(test.classes)),
        ("trained on", f"{record['split']['train']:,} images of {comparison.dataset}"),
        ("validation accuracy, which it was chosen by", percent(winner.candidate.row[SCORE])),
        (f"test accuracy, on {len(test.labels):,} images", percent(winner.accuracy)),
        ("95% interval", percent_interval(winner.accuracy_interval)),
        ("parameters", f"{chosen.parameters:,}"),
        ("multiply-accumulates an image", count(chosen.costs.macs)),
        (f"latency on {comparison.facts['device']}", milliseconds(chosen.costs.latency_p50_ms)),
    ]
    settings = [(name, str(value)) for name, value in config.to_dict().items()]
    mixed = [row[1:] for row in confused_rows(winner, test.classes)]
    header = ("class", "and class", "first taken for second", "second taken for first")
    confused = [
        "The classes that it mixes up most:",
        table(Table(header, mixed, left=frozenset({0, 1}))),
    ] * bool(mixed)
    parts = [
        f"# {plain(chosen.name)}",
        plain(verdict(comparison)),
        table(Table(("what", "value"), facts, left=frozenset({0, 1}))),
        "## To use it",
        "```\npython tune_jobs/predict.py IMAGES --model FOLDER_OF_THIS_FILE\n"
        "python tune_jobs/predict.py --model FOLDER_OF_THIS_FILE --export onnx\n```",
        "## Where it errs",
        "The accuracy holds for images like those of the test part; nothing is known of others. It "
        "answers with one of its classes whatever it is shown.",
        *confused,
        table(class_table(winner, test.classes)),
        "## How it was trained",
        table(Table(("setting", "value"), settings, left=frozenset({0, 1}))),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"
