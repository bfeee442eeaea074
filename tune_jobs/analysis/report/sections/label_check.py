"""Labels that may be wrong: pictures with their label and the one that a model suggests."""

from __future__ import annotations

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.label_check import DoubtfulLabel, LabelCheck
from tune_jobs.analysis.comparison_results import DOUBTFUL_LABELS_FILE
from tune_jobs.analysis.formatting import counted
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table, Text
from tune_jobs.analysis.report.sections.error_analysis import Mistake, plot_mistakes

MOST_ROWS = 50
"""Images in the table of a judge."""


def shown_labels(check: LabelCheck) -> list[Mistake]:
    """Return the pictures, with the suggested class as the predicted one."""
    return [
        Mistake(each.image, each.file, each.label, each.suggested, each.suggested_probability)
        for each in check.doubtful
        if each.image is not None
    ]


def labels_table(doubtful: list[DoubtfulLabel]) -> Table:
    """Return the files with their label and the suggested one."""
    rows = [
        (each.file, each.part, each.label, f"{each.label_probability:.1%}", each.suggested,
         f"{each.suggested_probability:.1%}")
        for each in doubtful
    ]  # fmt: skip
    header = "image", "split", "label", "its probability", "suggested", "its probability"
    return Table(header, rows, left=frozenset({0, 1, 2, 4}))


def section(comparison: Comparison) -> Section | None:
    """Return the section, or None if no labels were judged."""
    if not comparison.label_checks:
        return None
    blocks: list[Block] = [
        Text(
            "Images whose labels a model contradicts that has not learnt from them, found by "
            "confident learning (Northcutt et al. 2021, by cleanlab); the least probable label "
            "comes first. Many of them are right and only hard, the more so the worse the model: "
            "nothing was removed or changed, and only a person who looks at a picture can tell. "
            "Correcting labels of test images because a model doubts them favours that model in "
            "later comparisons on these images."
        )
    ]
    for number, check in enumerate(comparison.label_checks, start=1):
        judged = (
            f"{len(check.doubtful):,} of {check.images:,} {check.subject} images, by {check.judge}"
        )
        if not check.doubtful:
            blocks.append(Text(f"{judged}."))
            continue
        shown = shown_labels(check)
        listed = check.doubtful[:MOST_ROWS]
        blocks += [
            Picture(
                f"labels-{number}",
                plot_mistakes(shown),
                f"Labels that may be wrong, {judged}: "
                + "; ".join(f"{each.label}, perhaps {each.predicted}" for each in shown),
                f"{judged}. Label → suggested class and its probability.",
            ),
            Fold(
                f"Files of the first {counted(len(listed), 'image')} (all are in "
                f"{DOUBTFUL_LABELS_FILE})",
                [labels_table(listed)],
            ),
        ]
    if all(check.subject != "training" for check in comparison.label_checks):
        blocks.append(
            Text(
                "The labels of training images were not judged, as the models have learnt them: "
                "with a run of finetune.py --mode probe among the compared runs, they are, by "
                "cross-validation on its features, while these are in the cache of this machine."
            )
        )
    return Section("Labels that may be wrong", blocks)
