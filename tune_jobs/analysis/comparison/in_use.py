"""Sentences on the models in use: effort, data, leaving out images, corruptions, wrong labels."""

from __future__ import annotations

from tune_jobs.analysis.comparison import data_efficiency, effort
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.needed import MOST_NAMED
from tune_jobs.analysis.comparison.robustness import robustness_differences
from tune_jobs.analysis.formatting import first_of, listed, percent, percent_interval, points

LEAST_COVERAGE = 0.5
"""Least coverage of the validation images that is worth a sentence."""


def sentences(comparison: Comparison) -> list[str]:
    """Return a sentence of each section on the models in use, if it has one."""
    found = [
        *effort.sentences(comparison.efforts),
        *data_efficiency.sentences(comparison),
        rejection(comparison),
        robustness(comparison),
        labels(comparison),
    ]
    return [sentence for sentence in found if sentence]


def rejection(comparison: Comparison) -> str:
    """Return a sentence on the lowest risk at which it still answers most images, if it has one."""
    chosen = comparison.chosen
    error = 1 - chosen.winner.accuracy
    helpful = [
        each
        for each in chosen.rejections
        if each.risk < error and each.coverage >= LEAST_COVERAGE and chosen.realised(each).answered
    ]
    if not helpful:
        return ""
    lowest = min(helpful, key=lambda each: each.risk)
    found = chosen.realised(lowest)
    return (
        f"If it may leave out images (bakeoff predict --reject-above {100 * lowest.risk:g}, by "
        f"which the validation images promise at most {100 * lowest.risk:g}% of wrong answers, "
        f"with 95% confidence), it answers {percent(found.coverage)} of the test images, and "
        f"{percent(found.risk)} of these answers are wrong (95% confidence interval "
        f"{percent_interval(found.risk_interval)})."
    )


def robustness(comparison: Comparison) -> str:
    """Return a sentence on the accuracy on corrupted images, with --robustness."""
    chosen, *others = comparison.contestants
    if chosen.corrupted is None:
        return ""
    own = chosen.corrupted
    text = (
        f"On corrupted test images its mean accuracy is {percent(own.accuracy)} (95% confidence "
        f"interval {percent_interval(own.interval)})"
    )
    known = [(each.short_name, each.corrupted) for each in others if each.corrupted is not None]
    found = robustness_differences(own, [corrupted for _, corrupted in known])
    more = [
        f"{name} by {points(-each.difference)[1:]}"
        for (name, _), each in zip(known, found, strict=True)
        if each.significant and each.difference < 0
    ]
    less = [
        f"{name} by {points(each.difference)[1:]}"
        for (name, _), each in zip(known, found, strict=True)
        if each.significant and each.difference > 0
    ]
    clauses = [
        f"{word} than {first_of(names, MOST_NAMED)} percentage points"
        for word, names in (("higher", more), ("lower", less))
        if names
    ]
    return f"{text}, {' and '.join(clauses)}." if clauses else f"{text}."


def labels(comparison: Comparison) -> str:
    """Return a sentence on the number of labels that are doubted, if there are any."""
    found = [
        f"{len(check.doubtful):,} of {check.images:,} {check.subject} images"
        for check in comparison.label_checks
        if check.doubtful
    ]
    if not found:
        return ""
    return (
        f"Models contradict the labels of {listed(found)} that they have not learnt from; some of "
        "these labels may be wrong, and the page shows the first of them for a person to look at."
    )
