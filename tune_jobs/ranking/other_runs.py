"""The best trials of other runs, which stand in the table of a shortlist."""

from __future__ import annotations

import math

from trainables.errors import InputError
from trainables.target import ACCURACY, Target
from tune_jobs.analysis.comparison.statistics import wilson
from tune_jobs.analysis.results import load_run
from tune_jobs.analysis.shortlist import Judged
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import config_of, merit
from tune_jobs.run_folder.settings import eligible_stored
from tune_jobs.tuning.tuner import macs_at


def check_run(path: str, record: RunRecord, metric: str) -> None:
    """Raise InputError unless a run can stand beside a shortlist.

    Args:
        path: folder of the run.
        record: run.json of the shortlist.
        metric: metric of the shortlist.
    """
    other = load_run(path)
    for what, own, theirs in (
        ("images", record["dataset"]["fingerprint"], other["dataset"]["fingerprint"]),
        ("a split", record["split"]["fingerprint"], other["split"].get("fingerprint")),
        ("--metric", metric, other["options"]["training"].get("metric", ACCURACY.name)),
    ):
        if own != theirs:
            raise InputError(
                f"--with {path} has {what} {theirs}, and this shortlist has {own}: they must be "
                "the same; leave the run out, or start it again on these images"
            )
    if not any(row["epochs"] for row in RunFolder.at(path).read_rows(TRIALS_FILE)):
        raise InputError(f"--with {path} has no trial with a result: leave it out, or --resume it")


def judged_trial(path: str, target: Target) -> Judged:
    """Return the best trial of a run as a row of a shortlist.

    Args:
        path: folder of the run, which `check_run` has accepted.
        target: metric of the shortlist.
    """
    record = load_run(path)
    rows = [row for row in RunFolder.at(path).read_rows(TRIALS_FILE) if row["epochs"]]
    row = max(eligible_stored(rows, record, target), key=lambda each: merit(each, target))
    config = config_of(row)
    size = config.network_size(record["dataset"].get("image_size", 0))
    score, images = row[target.best], record["split"]["validation"]
    low = high = math.nan
    if target == ACCURACY:
        low, high = wilson(round(score * images), images)
    return {
        "model": config.model,
        "run": path,
        "trial": row["trial"],
        "status": row["status"],
        "error": None,
        "image_size": size,
        "penalty": math.nan if config.penalty is None else config.penalty,
        "score": score,
        "score_low": low,
        "score_high": high,
        "resampled": [],
        "parameters": row["parameters"],
        "macs": float(macs_at(config, len(record["dataset"]["classes"]), size)),
        "latency_ms": float(row.get("latency_ms") or math.nan),
        "features_s": math.nan,
        "weights": record.get("weights", {}).get(config.model),
        "licence": None,
        "source": None,
    }
