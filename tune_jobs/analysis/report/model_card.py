"""Model card: description, test scores and training configuration of the chosen model."""

from __future__ import annotations

from trainables.config import TrialConfig
from trainables.target import ACCURACY
from trainables.trust import is_own
from trainables.views import Resize, View
from tune_jobs.analysis.comparison import in_use
from tune_jobs.analysis.comparison.candidates import Candidate
from tune_jobs.analysis.comparison.caveats import warnings
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.verdict import headline, summary
from tune_jobs.analysis.formatting import count, listed, milliseconds, percent, percent_interval
from tune_jobs.analysis.report.blocks import Table
from tune_jobs.analysis.report.markdown import plain, table
from tune_jobs.analysis.report.onnx_usage import onnx_usage
from tune_jobs.analysis.report.sections.error_analysis import class_table, confused_rows
from tune_jobs.analysis.report.sections.seeds import mean_validation
from tune_jobs.analysis.report.summary import cards
from tune_jobs.run_folder.schema import members_of

HOW: dict[Resize, str] = {
    "crop": "resized and cropped",
    "letterbox": "resized and padded",
    "squash": "resized",
}
"""How images become squares, in words."""


def initial_weights(config: TrialConfig) -> str:
    """Return where the weights of a training came from."""
    if config.weights != "none":
        return config.weights
    return f"as {config.model} sets them" if is_own(config.model) else "random"


def averaged_trainings(candidate: Candidate) -> list[tuple[str, str]]:
    """Return the trainings whose weights are averaged; the settings are those of the first."""
    members = members_of(candidate.row)
    return [("average of the weights of", listed(members))] if members else []


def of_seeds(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what the settings of the chosen model reach with other random seeds, if known."""
    chosen, spread = comparison.chosen, comparison.chosen.spread
    if spread is None:
        return []
    target, trainings = comparison.target, f"{len(chosen.seeds)} other seeds of these settings"
    return [
        (f"mean validation {target.label} of {trainings}", target.show(mean_validation(chosen))),
        (
            f"mean test accuracy of {trainings} (95% CI)",
            f"{percent(spread.mean)} ({percent_interval(spread.interval)})",
        ),
    ]


def model_card(comparison: Comparison) -> str:
    """Return the model card of the chosen model as Markdown."""
    chosen, test, target = comparison.chosen, comparison.test_set, comparison.target
    winner, config = chosen.winner, chosen.winner.candidate.config
    record = winner.candidate.run.record
    # In runs of earlier versions, all images had one size.
    view = config.view or View(winner.candidate.network_size, "squash")
    size = winner.candidate.network_size
    background = record.get("options", {}).get("data", {}).get("background", "white")
    limits = ", ".join(f"{100 * each.risk:g}" for each in chosen.rejections)
    facts = [
        ("network", config.model),
        ("initial weights", initial_weights(config)),
        *averaged_trainings(winner.candidate),
        ("input", f"RGB images, {HOW[view.resize]} to {size}×{size} pixels"),
        ("classes", ", ".join(test.classes)),
        ("training images", f"{record['split']['train']:,} of {comparison.dataset}"),
        ("chosen by", comparison.chosen_by),
        (comparison.chosen_label, target.show(winner.candidate.row[target.best])),
        *of_seeds(comparison),
        *[(f"test {t.label}", t.show(winner.metrics[t.name])) for t in {target} - {ACCURACY}],
        (f"test accuracy ({len(test.labels):,} images)", percent(winner.accuracy)),
        (
            f"{comparison.interval_label}, of the test accuracy",
            percent_interval(winner.accuracy_interval),
        ),
        ("probabilities", f"softmax(logits / {chosen.temperature:.4f}), as predict.py gives them"),
        *[
            (
                "predict --reject-above " + limits,
                "highest risk in percent: images that are not sure enough are not answered",
            )
        ]
        * bool(limits),
        ("parameters", f"{chosen.parameters:,}"),
        ("multiply-accumulates per image", count(chosen.costs.macs)),
        (
            f"median latency per image on {comparison.facts['device']}",
            milliseconds(chosen.costs.latency_p50_ms),
        ),
    ]
    settings = [(name, str(value)) for name, value in config.to_dict().items()]
    pairs = [row[1:] for row in confused_rows(winner, test.classes)]
    header = ("class A", "class B", "A predicted as B", "B predicted as A")
    confused = [
        "The classes that it confuses most often:",
        table(Table(header, pairs, left=frozenset({0, 1}))),
    ] * bool(pairs)
    parts = [
        f"# {plain(chosen.name)}",
        plain(f"{headline(comparison)}. {' '.join(summary(comparison))}"),
        "\n".join(f"- {plain(each.line)}" for each in cards(comparison) if each.line),
        *(f"- {plain(f'{each.title}: {each.text}')}" for each in warnings(comparison)),
        table(Table(("property", "value"), facts, left=frozenset({0, 1}))),
        "## Usage",
        "```\nbakeoff predict IMAGES --model FOLDER_OF_THIS_FILE\n"
        "bakeoff predict --model FOLDER_OF_THIS_FILE --export onnx\n```",
        "The exported file needs neither this package nor torch:",
        f"```python\n{onnx_usage(view, background, chosen.temperature)}```",
        "## Errors and limitations",
        "The accuracy holds for images like those of the test set; nothing is known about others. "
        "The model predicts one of its classes for any image, whatever it shows.",
        *map(plain, in_use.sentences(comparison)),
        *confused,
        table(class_table(winner, test.classes)),
        "## Training configuration",
        table(Table(("setting", "value"), settings, left=frozenset({0, 1}))),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"
