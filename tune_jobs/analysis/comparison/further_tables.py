"""Tables of a comparison on corrupted images, maps, doubtful labels and learning curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.statistics import wilson

LABEL_COLUMNS = (
    ("part", "file", "label", "suggested"),
    ("label_probability", "suggested_probability"),
)
"""Columns of doubtful_labels.parquet beside the judge: texts and numbers."""


def robustness_table(comparison: Comparison) -> pa.Table:
    """Return one row per winner, corruption and severity, as in robustness.parquet.

    `strength` is in the unit of `trainables.corruptions.PUBLISHED`, for images of `size` pixels.
    `right` says which test images are correctly classified, in the order of predictions.parquet.
    """
    rows = []
    for contestant in comparison.contestants:
        corrupted, candidate = contestant.corrupted, contestant.winner.candidate
        if corrupted is None:
            continue
        for i, corruption in enumerate(corrupted.corruptions):
            for k, strength in enumerate(corrupted.strengths[i]):
                right = corrupted.correct[i, k]
                low, high = wilson(int(right.sum()), len(right))
                rows.append(
                    {
                        "model": candidate.family,
                        "run": candidate.run.folder.uri,
                        "trial": candidate.trial,
                        "corruption": corruption,
                        "severity": k + 1,
                        "strength": strength,
                        "size": corrupted.size,
                        "images": len(right),
                        "accuracy": float(right.mean()),
                        "accuracy/low": low,
                        "accuracy/high": high,
                        "right": right,
                    }
                )
    return pa.Table.from_pylist(rows)


def labels_table(comparison: Comparison) -> pa.Table:
    """Return one row per image whose label may be wrong, as in doubtful_labels.parquet."""
    texts, numbers = LABEL_COLUMNS
    rows = [
        {"judge": check.judge} | {name: getattr(doubt, name) for name in (*texts, *numbers)}
        for check in comparison.label_checks
        for doubt in check.doubtful
    ]
    schema = pa.schema(
        [(name, pa.string()) for name in ("judge", *texts)]
        + [(name, pa.float64()) for name in numbers]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def learning_curve_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the trainings and curves of --learning-curve, as in learning_curve.parquet.

    One row per training, and for each model one row without a seed for twice the images. Columns:
    model, train_size (wanted number of images), train_images (number of images), seed,
    validation_images, validation_error; fitted, fitted/low and fitted/high, the error of the curve
    at train_images with its 95% confidence interval; a, b and c of the curve a + b·n^-c.
    """
    rows = []
    for contestant in comparison.contestants:
        if (curve := contestant.curve) is None:
            continue
        measured, (a, b, c) = curve.measured, curve.formula
        trained = zip(
            measured.sizes.tolist(), measured.images.tolist(), measured.seeds.tolist(),
            measured.errors.tolist(), strict=True,
        )  # fmt: skip
        twice = round(curve.furthest)
        for size, images, seed, error in [*trained, (twice, twice, None, float("nan"))]:
            low, high = curve.interval(images)
            rows.append(
                {
                    "model": contestant.name,
                    "train_size": size,
                    "train_images": images,
                    "seed": seed,
                    "validation_images": measured.validation,
                    "validation_error": error,
                    "fitted": float(curve.at(np.array([images]))[0]),
                    "fitted/low": low,
                    "fitted/high": high,
                    "a": a,
                    "b": b,
                    "c": c,
                }
            )
    return pd.DataFrame(rows).astype({"seed": "Int64"}) if rows else pd.DataFrame()


def attribution_table(comparison: Comparison) -> pa.Table:
    """Return one row per winner and image with attribution maps, as in attribution.parquet.

    Columns: model, run, trial; image, file, label and predicted as in predictions.parquet; sampled
    (whether the image is one of the check); cells G, map and untrained_map (G·G values, row by row:
    by how much the log-odds of the predicted class fall when a cell is covered, of the model and of
    its network with random weights), rank_correlation of their absolute values; the calibrated
    probability of the predicted class: as it is, covered (with the marked quarter of the image
    covered), covered_untrained (the quarter that untrained_map marks) and covered_random.
    """
    test, rows = comparison.test_set, []
    for contestant in comparison.contestants:
        found, winner = contestant.attributions, contestant.winner
        if found is None:
            continue
        for i, position in enumerate(found.images.every.tolist()):
            rows.append(
                {
                    "model": winner.candidate.family,
                    "run": winner.candidate.run.folder.uri,
                    "trial": winner.candidate.trial,
                    "image": int(test.indices[position]),
                    "file": test.files[position],
                    "label": test.classes[winner.labels[position]],
                    "predicted": test.classes[winner.predicted[position]],
                    "sampled": bool(found.sampled[i]),
                    "cells": found.maps.shape[1],
                    "map": found.maps[i].ravel(),
                    "untrained_map": found.untrained[i].ravel(),
                    "rank_correlation": float(found.correlations[i]),
                    "probability": float(found.as_is[i]),
                    "covered": float(found.covered[i]),
                    "covered_untrained": float(found.covered_untrained[i]),
                    "covered_random": float(found.covered_random[i]),
                }
            )
    return pa.Table.from_pylist(rows)
