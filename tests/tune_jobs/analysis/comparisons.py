"""Comparisons of models that were never trained, for what is made of them."""

import dataclasses

import numpy as np
import pandas as pd

from trainables.config import TrialConfig
from trainables.corruptions import CORRUPTIONS
from trainables.costs import Costs
from trainables.image_rows import ImageRows
from trainables.metrics import EPOCH_METRICS
from trainables.model_file import Rejection
from tune_jobs.analysis.comparison.attribution import Attributions, mapped_images
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.label_check import DoubtfulLabel, LabelCheck
from tune_jobs.analysis.comparison.learning_curve import LearningCurve, Measured
from tune_jobs.analysis.comparison.robustness import Corrupted
from tune_jobs.analysis.comparison.scored import Scored, TestSet
from tune_jobs.analysis.comparison.student_report import LAYERS
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import config_columns, config_of, summary_columns

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES = 400
FACTS = {"command": "python tune_jobs/compare.py", "when": "2030-01-02T03:04:05+00:00",
         "device": "an abacus", "bakeoff": "0"}  # fmt: skip


def epochs_of(trial, count=3, best=0.8):
    return [
        {"trial": trial, **dict.fromkeys(EPOCH_METRICS, 1.0), "epoch": i,
         "features_s": np.nan, "train_loss": 2 / i,
         "val_loss": 3 / i, "train_accuracy": 0.95, "seconds": 2.0,
         "val_accuracy": best - 0.01 * (count - i)}
        for i in range(1, count + 1)
    ]  # fmt: skip


def make_run(name, trials, classes=CIFAR10):
    """A run of trials, each a config and its validation accuracy, by name."""
    rows, epochs = [], []
    for trial, (config, accuracy) in trials.items():
        own = epochs_of(trial, best=accuracy)
        rows.append({"trial": trial, "status": "finished", **config_columns(config),
                     **summary_columns(own), "parameters": 390_634,
                     "checkpoint": f"{trial}/checkpoint"})  # fmt: skip
        epochs += own
    record = {
        "status": "finished", "job": name, "started": FACTS["when"],
        "command": f"python {name}.py", "commit": None,
        "search": {"algorithm": "grid"}, "weights": {},
        "dataset": {"name": "cifar10", "fingerprint": "f1", "source_fingerprint": "f0",
                    "classes": list(classes)},
        "split": {"fingerprint": "f2", "train": 3000, "validation": 500, "test": IMAGES},
    }  # fmt: skip
    folder = RunFolder.at(f"/nowhere/{name}")
    return LoadedRun(name, folder, record, pd.DataFrame(rows), pd.DataFrame(epochs))


def make_scored(run, trial, correct, test, role="winner", seed=0):
    """A model that classifies `correct` correctly, and any other image as the next class."""
    generator = np.random.default_rng(seed)
    classes = len(test.classes)
    predicted = np.where(correct, test.labels, (test.labels + 1) % classes)
    logits = generator.normal(0, 0.1, (len(predicted), classes)).astype(np.float32)
    logits[np.arange(len(predicted)), predicted] += generator.uniform(1, 4, len(predicted))
    row = next(row for row in run.rows if row["trial"] == trial)
    return Scored(role, Candidate(run, row, config_of(row)), test.labels, logits)


def make_contestant(winner, seeds=(), latency=1.0, parameters=LAYERS, dollars=None):
    """A contestant that answers the surest half, and is the weaker the more severe a corruption."""
    costs = Costs(28_000_000, latency, 2 * latency, 5000 / latency)
    made = Contestant(winner, costs, dict(parameters), 2, 60.0, dollars, 0.5, list(seeds), 0.95)
    threshold = float(np.median(made.confidence))
    return dataclasses.replace(
        made, rejections=[Rejection(0.05, threshold, 0.5), Rejection(0.2, 0.0, 1.0)]
    )


def make_corrupted(winner, size=8):
    """Predictions of a winner of which a corruption spoils every tenth image a severity."""
    spoilt = np.arange(IMAGES) % 10 < np.arange(1, 6)[:, None]
    correct = np.stack([winner.correct & ~np.roll(spoilt, i, axis=1) for i in range(6)])
    return Corrupted(CORRUPTIONS, [[1.0, 2.0, 3.0, 4.0, 5.0]] * 6, size, correct)


def make_attributions(images, covered, alike, generator, spread=0.0):
    """Maps of noise; what they mark leaves a probability, and anything else 0.9."""
    count = len(images.every)
    maps, untrained = generator.normal(size=(2, count, 8, 8))
    kept, theirs, random = (
        left + spread * generator.normal(size=count) for left in (covered, 0.9, 0.9)
    )
    return Attributions(
        images, generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8), maps,
        maps if alike else untrained, np.full(count, 0.95), kept, theirs, random,
    )  # fmt: skip


def make_label_check(test, subject="validation and test"):
    """Two labels of test images that may be wrong."""
    doubts = [
        DoubtfulLabel("test", test.files[i], test.classes[0], test.classes[1], 0.01, 0.98,
                      test.images.read(np.array([i]))[0])
        for i in (0, 10)
    ]  # fmt: skip
    return LabelCheck("probabilities of a test", subject, IMAGES, doubts)


def correct_images(accuracy, shift=0):
    """Which images are correctly classified: a fraction of them, the first ones but for a shift."""
    correct = np.arange(IMAGES) < round(accuracy * IMAGES)
    return np.roll(correct, shift)


def make_comparison(
    models=(("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0)),
    classes=CIFAR10,
    names=("lr-grid", "finetune"),
    latencies=(1.0, 10.0, 100.0),
    seeds=0,
    openings=1,
    duplicates=0,
    trials=False,
    pretrained_size=224,
    student_report=True,
    robustness=False,
    attribution=None,
):
    """A comparison of models, each a network, its weights, its test accuracy and a shift of the
    correctly classified images; the first is the best on validation."""
    generator = np.random.default_rng(0)
    test = TestSet(
        images=ImageRows(generator.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)),
        labels=np.arange(IMAGES) % len(classes),
        indices=np.arange(1000, 1000 + IMAGES),
        files=[f"photos/{i}.jpg" for i in range(IMAGES)],
        classes=tuple(classes),
        source_fingerprint="f0",
        split_fingerprint="f2",
        duplicates=duplicates,
    )
    runs, contestants, others = [], [], []
    for i, (model, weights, accuracy, shift) in enumerate(models):
        lr = 2.5e-4 if model == "cnn" else 1e-5
        size = 32 if weights == "none" else pretrained_size
        config = TrialConfig(lr=lr, model=model, weights=weights, image_size=size)
        slow = TrialConfig(lr=1e-4, model=model, weights=weights, image_size=size)
        name = names[i] if i < len(names) else f"run-{i}"
        run = make_run(name, {"best": (config, 0.9 - 0.05 * i), "other": (slow, 0.5)}, classes)
        winner = make_scored(run, "best", correct_images(accuracy, shift), test, seed=i)
        again = {f"seed={k}": (dataclasses.replace(config, seed=k), 0.8) for k in range(seeds)}
        seed_run = make_run(f"{name}-seeds", again, classes) if seeds else run
        retrained = [
            make_scored(
                seed_run, trial, correct_images(accuracy - 0.01 * k, shift), test, "seed", k
            )
            for k, trial in enumerate(again)
        ]
        latency = latencies[i % len(latencies)]
        layers = LAYERS if model == "cnn" else {"conv1": 11_000_000}
        contestants.append(make_contestant(winner, retrained, latency, layers))
        if trials:
            others.append(make_scored(run, "other", correct_images(0.4), test, "trial"))
        runs.append(run)
    opened = [
        {
            "id": str(k),
            "when": FACTS["when"],
            "command": "compare",
            "images": IMAGES,
            "models": [{"run": "r", "trial": f"t{k}"}],
        }
        for k in range(openings)
    ]
    if robustness:
        contestants = [
            dataclasses.replace(c, corrupted=make_corrupted(c.winner)) for c in contestants
        ]
    if attribution is not None:
        first = contestants[0].winner
        mapped = mapped_images(first.correct, first.labels)
        contestants = [
            dataclasses.replace(c, attributions=make_attributions(mapped, *attribution, generator))
            for c in contestants
        ]
    return Comparison(runs, test, contestants, others, opened, FACTS, student_report,
                      label_checks=[make_label_check(test)])  # fmt: skip


def with_learning_curves(comparison, laws):
    """Give the first contestants learning curves: errors with 1,600 images, and exponents."""
    images = np.repeat([50, 100, 200, 400, 800, 1600], 3)
    contestants = list(comparison.contestants)
    for i, (now, exponent) in enumerate(laws):
        generator = np.random.default_rng(i)
        errors = now * (images / 1600) ** -exponent * (1 + 0.05 * generator.standard_normal(18))
        measured = Measured(images, np.tile([1, 2, 3], 6), images, errors, 500, 0.9)
        contestants[i] = dataclasses.replace(contestants[i], curve=LearningCurve(measured, seed=i))
    return dataclasses.replace(comparison, contestants=contestants)
