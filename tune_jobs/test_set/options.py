"""Options of a comparison. This module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from trainables.config import check_range
from trainables.errors import InputError
from tune_jobs.command_line.options import check_price


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of a comparison."""

    first_options = (
        "runs", "seeds", "margin", "learning_curve", "robustness", "plan", "output",
    )  # fmt: skip
    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Run folders to compare: local paths, s3://… or gs://…. The best trial of each
    model family, by the runs' --metric on the validation images, is scored on
    the test set."""
    seeds: int = 0
    """Number of additional runs of each winner with different random seeds,
    to measure the spread of its test accuracy; 0 or at least 2. From 3 on, the
    verdict is about the model families, not about one training of each."""
    learning_curve: bool = False
    """Train each winner on parts of its training images too, 6 sizes with 3 seeds
    each, to tell how many images which model needs. The trainings on few images
    take as many steps as those on all: 18 trainings of each winner, less those of
    --seeds."""
    plan: bool = False
    """Estimate time, memory, disk space and cost of the trainings of --seeds and
    --learning-curve, then exit. The test set stays sealed."""
    margin: float = 1.0
    """Difference in accuracy, in percentage points, below which two models are
    equivalent: from which on a difference would matter to you."""
    every_trial: bool = False
    """Also score every other trial on the test set, for the report's tables only;
    the choice of the winners does not depend on it."""
    robustness: bool = False
    """Also score the winners on corrupted test images: noise, blur, JPEG, brightness,
    contrast and pixelation, each at five severities, which is 30 passes over the
    test images."""
    attribution: bool = False
    """Also show which parts of test images the winners' predictions rest on, for up to
    26 images, and check these maps against those of untrained networks. It takes as
    long as classifying about 3,200 images with each winner."""
    student_report: bool = False
    """Compare with the student report that this project grew from, as the report
    does by itself for runs of --recipe report."""
    partial: bool = False
    """Accept unfinished runs, and compare their trials that have ended."""
    output: str = "comparison"
    """Output folder or URI for the report, the tables and the chosen model. An earlier
    comparison of the same runs is replaced; if comparison/ has other runs, the
    default is comparison-2. A folder given here is replaced in any case."""
    data: str | None = None
    """Path of the images, if they have moved since the runs."""
    address: str | None = None
    """Ray cluster for the runs of --seeds and --learning-curve: auto, HOST or
    HOST:PORT; by default a local Ray is started."""
    trust: tuple[str, ...] = ()
    """Modules of networks (package.module) that may be imported, which runs their
    code, though a run names them and not this command line."""
    price_per_hour: float | None = None
    """Price of one node in dollars per hour, for the costs in the report and --plan."""
    config: str | None = None
    """YAML file with options by their names; those given here override it."""


def check_options(options: CompareOptions) -> None:
    """Raise InputError if an option is out of range."""
    check_range("--seeds", options.seeds, 0, 1000)
    if options.seeds == 1:
        raise InputError("--seeds is 1, and one run has no spread: give 2 or more, or leave it out")
    if options.plan and not (options.seeds or options.learning_curve):
        raise InputError(
            "--plan estimates the trainings of --seeds and --learning-curve, but neither is given: "
            "give one of them, or leave --plan out"
        )
    if not 0 < options.margin < 100:
        raise InputError(
            f"--margin is {options.margin:g}, but it must be above 0 and below 100 percentage "
            "points: give the difference in accuracy from which on it matters, such as 1"
        )
    check_price(options.price_per_hour)
