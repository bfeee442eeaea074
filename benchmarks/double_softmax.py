"""What the mistake of the student report cost: softmax before a loss that applies softmax again.

    python -m benchmarks.double_softmax [--data digits] [--size 8] [--images N] [--scored N]
        [--precision fp32] [--lr 2.5e-4] [--seeds 5]

A factorial of the loss (`cross_entropy`, `softmax_cross_entropy`) and the number of epochs: the
custom CNN of recipe `standard` with each loss, from the same initial weights and in the same order
of images for each seed. The learning rate is constant, so that the state after an epoch is that of
a training of so many epochs. Scored are the images that no training saw and nothing was chosen on,
after the last epoch. The interval of the difference is that of model families, over other seeds
and other images (`tune_jobs.analysis.comparison.two_way`); it does not use the pairing of seeds.

With the commands of a user: `bakeoff lr-grid --recipe report --seeds 5` beside the same with
`--loss cross_entropy` and another `--name`, and the column `best/val_accuracy` of `load_trials`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from benchmarks.images import load
from trainables.checkpoint import TrainingState
from trainables.config import RECIPES, TrialConfig
from trainables.data import TrainingData
from trainables.loop import fit
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.task import build_task
from tune_jobs.analysis.comparison.two_way import difference_of_families

LOSSES: tuple[Literal["cross_entropy", "softmax_cross_entropy"], ...] = (
    "cross_entropy",
    "softmax_cross_entropy",
)
EPOCHS = 5, 10, 20
"""Numbers of epochs."""


def trained(config: TrialConfig, data: TrainingData) -> NDArray[np.bool_]:
    """Train once, and return which validation images are correct after each of EPOCHS, E×N.

    Args:
        config: configuration of the longest training.
        data: training images, and images to score.
    """
    device = torch.device("cpu")
    task = build_task(config, data, None, device)
    correct = []

    def score(metrics: dict[str, float], state: TrainingState) -> None:
        if metrics["epoch"] in EPOCHS:
            task.model.load_state_dict(state["model"])
            logits = predict(task.model, task.val, task.prepare, Autocast("fp32", device))
            correct.append(logits.argmax(1).numpy() == data.val_labels)

    fit(config, data, score, device=device)
    print(f"{config.loss}, seed {config.seed}: {correct[-1].mean():.2%}", file=sys.stderr)
    return np.stack(correct)


def main() -> None:
    """Train the factorial, and print accuracies and differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--size", type=int, default=8, help="height and width in pixels")
    parser.add_argument("--images", type=int, help="approximate number of training images")
    parser.add_argument("--scored", type=int, help="approximate number of images to score")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--lr", type=float, default=2.5e-4)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    data = load(options.data, options.size, train=options.images)
    if options.scored is not None:
        every = slice(None, None, max(1, len(data.val_labels) // options.scored))
        data = dataclasses.replace(
            data, val_images=data.val_images.take(every), val_labels=data.val_labels[every]
        )
    base = TrialConfig(**dataclasses.asdict(RECIPES["standard"]), lr=options.lr)
    base = dataclasses.replace(base, epochs=max(EPOCHS), precision=options.precision)
    right = np.array(
        [
            [trained(dataclasses.replace(base, loss=loss, seed=seed), data) for loss in LOSSES]
            for seed in range(options.seeds)
        ]
    )  # seeds × losses × epochs × images
    print(
        f"{options.data}, {options.size} pixels, {len(data.train_labels):,} training images, "
        f"{right.shape[-1]:,} scored; {options.precision}, learning rate {options.lr:g}, "
        f"{options.seeds} seeds"
    )
    for i, epochs in enumerate(EPOCHS):
        once, twice = right[:, 0, i], right[:, 1, i]
        found = difference_of_families(twice, once)
        half = float(stats.t.ppf(0.975, found.freedom)) * found.error
        by_seed = 100 * (twice.mean(axis=1) - once.mean(axis=1))
        print(
            f"{epochs} epochs: {once.mean():.2%} with one softmax, {twice.mean():.2%} with two; "
            f"difference {100 * found.difference:+.2f} points (95% CI "
            f"{100 * (found.difference - half):+.2f} to {100 * (found.difference + half):+.2f}); "
            f"by seed {by_seed.min():+.2f} to {by_seed.max():+.2f}"
        )
    costs = 100 * (right[:, 1].mean(axis=-1) - right[:, 0].mean(axis=-1))  # seeds × epochs
    change = stats.ttest_1samp(costs[:, -1] - costs[:, 0], 0)
    low, high = change.confidence_interval()
    print(
        f"interaction, {EPOCHS[-1]} epochs minus {EPOCHS[0]}: "
        f"{(costs[:, -1] - costs[:, 0]).mean():+.2f} points (95% CI {low:+.2f} to {high:+.2f}, "
        "paired over seeds)"
    )


if __name__ == "__main__":
    main()
