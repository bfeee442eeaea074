"""Tables of a comparison, written to parquet files."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data import Ints
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.calibration import Reliability
from tune_jobs.analysis.comparison.caveats import warnings
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant, Pair
from tune_jobs.analysis.comparison.equivalence import AGAINST, Needed
from tune_jobs.analysis.comparison.further_tables import (
    attribution_table,
    labels_table,
    learning_curve_frame,
    robustness_table,
)
from tune_jobs.analysis.comparison.rejection import Area
from tune_jobs.analysis.comparison.scored import Scored
from tune_jobs.analysis.comparison_results import (
    ATTRIBUTION_FILE,
    COMPARISON_FILE,
    COMPARISON_FORMAT,
    DOUBTFUL_LABELS_FILE,
    FORMAT_KEY,
    LEARNING_CURVE_FILE,
    PREDICTIONS_FILE,
    ROBUSTNESS_FILE,
    RUNS_KEY,
)
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import config_columns

PREDICTIONS_SCHEMA = pa.schema(
    [
        ("model", pa.dictionary(pa.int16(), pa.string())),
        ("role", pa.dictionary(pa.int16(), pa.string())),
        ("run", pa.dictionary(pa.int16(), pa.string())),
        ("trial", pa.dictionary(pa.int16(), pa.string())),
        ("seed", pa.int64()),
        ("image", pa.int64()),
        ("file", pa.string()),
        ("label", pa.dictionary(pa.int16(), pa.string())),
        ("predicted", pa.dictionary(pa.int16(), pa.string())),
        ("right", pa.bool_()),
        ("logits", pa.list_(pa.float32())),
    ]
)


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row per model scored on the test set, as in comparison.parquet.

    Columns: model, role (winner, seed or trial), chosen, run, trial, seed; accuracy, precision, f1,
    balanced_accuracy, macro_f1 and log_loss, with the bounds of their 95% confidence intervals as
    `/low` and `/high`, recall and auroc; validation_accuracy, and validation_METRIC of the
    metric that the models were selected by, both in fp32 for winners and their trainings with other
    seeds, and as `/as_trained` in the precision of the training; images, parameters,
    training_seconds; for winners also macs, latency_p50_ms, latency_p95_ms, images_per_second,
    train_accuracy, tried,
    search_seconds, dollars, temperature and, with --seeds, the fields of SeedSpread as seeds/*;
    brier and calibration_error with their bounds, and calibrated/log_loss, calibrated/brier and
    calibrated/calibration_error at that temperature; aurc, the area under the risk-coverage curve
    at it, and aurc/difference from the chosen model, with their bounds; for all winners but the
    chosen one, what `_versus` returns; the trial configuration as config/*.
    """
    versus = {id(pair.second.winner): _versus(pair) for pair in comparison.rivals}
    contestants = {id(contestant.winner): contestant for contestant in comparison.contestants}
    areas = dict(zip(contestants, map(_area, comparison.areas), strict=True))
    rows = [
        _row(scored, contestants.get(id(scored)), comparison.chosen.winner is scored)
        | areas.get(id(scored), {})
        | versus.get(id(scored), {})
        for scored in comparison.scored
    ]
    return pd.DataFrame(rows)


def _row(scored: Scored, contestant: Contestant | None, chosen: bool) -> dict[str, Any]:
    candidate = scored.candidate
    row: dict[str, Any] = {
        "model": candidate.family,
        "role": scored.role,
        "chosen": chosen,
        "run": candidate.run.folder.uri,
        "trial": candidate.trial,
        "seed": candidate.config.seed,
        "accuracy": scored.accuracy,
    }
    row["accuracy/low"], row["accuracy/high"] = scored.accuracy_interval
    for name, interval in scored.score_intervals.items():
        row[name] = getattr(scored.scores, name)
        row[f"{name}/low"], row[f"{name}/high"] = interval or (float("nan"), float("nan"))
    row["recall"] = scored.scores.recall  # equals the accuracy
    row["log_loss"], row["auroc"] = scored.metrics["log_loss"], scored.metrics["auroc"]
    row["log_loss/low"], row["log_loss/high"] = scored.log_loss_interval
    for target in (ACCURACY, candidate.run.target):
        score = row[f"validation_{target.name}"] = candidate.row[target.best]
        row[f"validation_{target.name}/as_trained"] = candidate.as_trained.get(target.best, score)
    row |= {
        "images": len(scored.labels),
        "parameters": candidate.row["parameters"],
        "training_seconds": candidate.training_seconds,
    }
    if contestant is not None:
        row |= vars(contestant.costs)
        row |= {
            "train_accuracy": contestant.train_accuracy,
            "tried": contestant.tried,
            "search_seconds": contestant.search_seconds,
            "dollars": contestant.dollars,
            "temperature": contestant.temperature,
            **_reliability(contestant.as_trained, ""),
            **_reliability(contestant.calibrated, "calibrated/"),
        }
        if contestant.spread is not None:
            row |= {f"seeds/{name}": value for name, value in vars(contestant.spread).items()}
    return row | config_columns(candidate.config)


def _versus(pair: Pair) -> dict[str, Any]:
    """Return the columns versus_chosen/*: a winner compared with the chosen one."""
    decision, estimate = pair.decision, pair.decision.estimate
    low, high = estimate.interval
    undecided = decision.word == "undecided"
    needed = decision.needed if undecided else Needed(None, None, None)
    values = {
        "verdict": AGAINST[decision.word],
        "basis": estimate.basis,
        "difference": -estimate.difference,
        "low": -high,
        "high": -low,
        "p": decision.adjusted_p,
        "equivalence_p": decision.adjusted_equivalence_p,
        "margin": decision.margin,
        "regret": estimate.regret,
        "seeds_needed": needed.seeds,
        "images_needed": needed.images,
        "images_needed_with_seeds": needed.with_seeds,
        "mcnemar_p": pair.paired.p,
    }
    return {f"versus_chosen/{name}": value for name, value in values.items()}


def _area(area: Area) -> dict[str, float]:
    row = {"aurc": area.value, "aurc/difference": area.difference}
    row["aurc/low"], row["aurc/high"] = area.interval
    row["aurc/difference/low"], row["aurc/difference/high"] = area.difference_interval
    return row


def _reliability(found: Reliability, prefix: str) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, value, (low, high) in (
        ("log_loss", found.log_loss, found.log_loss_interval),
        ("brier", found.brier, found.brier_interval),
        ("calibration_error", found.error, found.error_interval),
    ):
        row |= {f"{prefix}{name}": value, f"{prefix}{name}/low": low, f"{prefix}{name}/high": high}
    return row


def predictions_table(comparison: Comparison) -> pa.Table:
    """Return one row per model and test image, as in predictions.parquet.

    `image` is the image's index in the dataset, `file` where it is in the source, `label` and
    `predicted` are class names, and `logits` are in the order of the classes.
    """
    test = comparison.test_set
    tables = []
    for scored in comparison.scored:
        n, candidate = len(scored.labels), scored.candidate
        columns = {
            "model": _repeated(candidate.family, n),
            "role": _repeated(scored.role, n),
            "run": _repeated(candidate.run.folder.uri, n),
            "trial": _repeated(candidate.trial, n),
            "seed": pa.array(np.full(n, candidate.config.seed)),
            "image": pa.array(test.indices),
            "file": pa.array(test.files, pa.string()),
            "label": _named(scored.labels, test.classes),
            "predicted": _named(scored.predicted, test.classes),
            "right": pa.array(scored.correct),
            "logits": pa.array(list(scored.logits), pa.list_(pa.float32())),
        }
        tables.append(pa.table(columns, schema=PREDICTIONS_SCHEMA))
    return pa.concat_tables(tables).unify_dictionaries()


def _repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int16), [text])


def _named(labels: Ints, classes: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(labels.astype(np.int16), list(classes))


def write_frames(comparison: Comparison, folder: RunFolder) -> None:
    """Write comparison, predictions and doubtful labels, and the tables of options that were given.

    Tables that an earlier comparison wrote there and this one does not are deleted.
    """
    frame = pa.Table.from_pandas(comparison_frame(comparison), preserve_index=False)
    tables = {
        COMPARISON_FILE: frame,
        PREDICTIONS_FILE: predictions_table(comparison),
        DOUBTFUL_LABELS_FILE: labels_table(comparison),
    }
    folder.clear(ROBUSTNESS_FILE, ATTRIBUTION_FILE, LEARNING_CURVE_FILE)
    if comparison.chosen.corrupted is not None:
        tables[ROBUSTNESS_FILE] = robustness_table(comparison)
    if comparison.chosen.attributions is not None:
        tables[ATTRIBUTION_FILE] = attribution_table(comparison)
    if len(curves := learning_curve_frame(comparison)):
        tables[LEARNING_CURVE_FILE] = pa.Table.from_pandas(curves, preserve_index=False)
    compared = {
        "runs": sorted(run.folder.uri for run in comparison.runs),
        "when": comparison.facts["when"],
        "warnings": [f"{each.title}: {each.text}" for each in warnings(comparison)],
    }
    for name, table in tables.items():
        metadata = {
            **(table.schema.metadata or {}),
            FORMAT_KEY: str(COMPARISON_FORMAT).encode(),
            RUNS_KEY: json.dumps(compared).encode(),
        }
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
        folder.write(name, buffer.getvalue())
