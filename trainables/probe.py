"""Linear probing: logistic regressions on cached backbone features, instead of training steps.

Shape letters: N images, F features, C classes, R resampled splits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import metrics
from trainables.arrays import Ints
from trainables.checkpoint import TrainingState, pack
from trainables.class_weights import class_weights
from trainables.config import PENALTIES, TrialConfig
from trainables.costs import count_macs
from trainables.data import TrainingData
from trainables.device_images import to_device
from trainables.features import cached_arrays, cached_features, hash_of
from trainables.logistic import Logistic, fit_logistic
from trainables.memory import peak_memory_mb, reset_peak_memory
from trainables.models import build_for
from trainables.models.weights import Weights, fingerprint
from trainables.precision import ResolvedPrecision, resolve_precision, tf32_disabled
from trainables.progress import Advance, ignore
from trainables.resampling import resampled_splits
from trainables.target import TARGETS


class Probe:
    """Heads of one network, fitted to its cached features.

    The features are standardised by the training images, and heads are returned for the features
    as the network computes them.

    Args:
        config: Trial configuration, of mode probe.
        data: Training and validation data.
        weights: Weights of the backbone.
        device: Device to compute on.
        precision: Precision that the features are computed in. Heads are fitted in fp32.
        advance: Callback, called after each batch of images of which features are computed.

    Raises:
        InputError: The network cannot be built, its head is not linear, or features are not finite.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrainingData,
        weights: Weights,
        device: torch.device,
        precision: ResolvedPrecision,
        advance: Advance = ignore,
    ):
        self.config, self.data, self.device = config, data, device
        # A subset's features are among those of all images, which are computed once.
        whole, chosen = data.whole or data, data.chosen
        self.features = cached_features(config, whole, weights, device, precision, advance)
        self.weights = fingerprint(weights)
        features = self.features.train
        train = to_device(features if chosen is None else features[chosen], device)
        std, self.mean = torch.std_mean(train, dim=0, correction=0)
        self.std = torch.where(std > 0, std, 1.0)  # a feature may be the same for all images
        self.train = (train - self.mean) / self.std
        self.val = (to_device(self.features.val, device) - self.mean) / self.std
        self.train_labels = to_device(data.train_labels, device)
        self.val_labels = to_device(data.val_labels, device)
        labels = data.train_labels.tobytes(), data.val_labels.tobytes()
        subset = () if chosen is None else (chosen.tobytes(),)
        self.key = hash_of(self.features.key, *labels, config.class_weights, *subset)

    def fit(
        self, features: Tensor, labels: Tensor, penalty: float, start: Logistic | None = None
    ) -> Logistic:
        """Fit a head to some of the standardised features, as `fit_logistic` does."""
        classes = self.data.classes
        counts = labels.bincount(minlength=len(classes)).tolist()
        by_class = class_weights(self.config.class_weights, counts, classes)
        tensor = None if by_class is None else torch.tensor(by_class, device=self.device)
        with tf32_disabled():
            return fit_logistic(features, labels, len(classes), penalty, tensor, start)

    def path(self, penalty: float | None) -> dict[float, Logistic]:
        """Fit heads at PENALTIES, strongest first, each starting from the one before.

        Each is fitted once per machine. Its start does not depend on which trial comes first, so
        that results do not either.

        Args:
            penalty: Penalty at which the path ends; None for the whole path.
        """
        stronger = [each for each in PENALTIES if penalty is None or each > penalty]
        heads: dict[float, Logistic] = {}
        head: Logistic | None = None
        for each in [*stronger, *([] if penalty is None else [penalty])]:

            def compute(
                penalty: float = each, start: Logistic | None = head
            ) -> dict[str, npt.NDArray[Any]]:
                fitted = self.fit(self.train, self.train_labels, penalty, start)
                return {"weight": fitted.weight.cpu().numpy(), "bias": fitted.bias.cpu().numpy()}

            names = "weight", "bias"
            arrays = cached_arrays(hash_of(self.key, each), names, compute, self.features.key)
            weight, bias = (to_device(arrays[name], self.device) for name in names)
            head = heads[each] = Logistic(weight, bias)
        return heads

    def scores(self, head: Logistic) -> dict[str, float]:
        """Return the metrics of a head on the training and validation images."""
        train, val = head.logits(self.train), head.logits(self.val)
        scores = metrics.classification_scores(val, self.val_labels)
        correct = (train.argmax(1) == self.train_labels).double().mean()
        return {
            "train_loss": float(F.cross_entropy(train, self.train_labels)),
            "train_accuracy": float(correct),
            "val_loss": float(F.cross_entropy(val, self.val_labels)),
            **{f"val_{name}": value for name, value in scores.items()},
        }

    def best(self, penalty: float | None) -> tuple[float, Logistic, dict[str, float]]:
        """Return penalty, head and metrics of the best head on the validation images.

        Ties go to the lower validation loss.

        Args:
            penalty: The only penalty that is tried; None for all PENALTIES.
        """
        heads = self.path(penalty)
        tried = heads if penalty is None else {penalty: heads[penalty]}
        rows = {each: self.scores(head) for each, head in tried.items()}
        target = TARGETS[self.config.metric]
        chosen = max(
            rows,
            key=lambda each: (target.merit(rows[each][target.column]), -rows[each]["val_loss"]),
        )
        return chosen, heads[chosen], rows[chosen]

    def state_dict(self, head: Logistic) -> dict[str, Tensor]:
        """Return a head as the state dict of a linear layer, for features as they are computed."""
        weight = head.weight / self.std
        return {"weight": weight, "bias": head.bias - weight @ self.mean}

    def resampled(self, penalty: float, splits: list[tuple[Ints, Ints]]) -> list[float]:
        """Return the metric of the configuration on other splits of the same images.

        Args:
            penalty: L2 penalty of the heads, one for all splits.
            splits: R pairs of indices into the training images followed by the validation images:
                those that a head is fitted to, and those that it is scored on.
        """
        images = torch.cat([self.train, self.val])
        labels = torch.cat([self.train_labels, self.val_labels])
        name = TARGETS[self.config.metric].column.removeprefix("val_")

        def compute() -> dict[str, npt.NDArray[Any]]:
            values = []
            for fitted, scored in splits:
                rows, held_out = (torch.from_numpy(i).to(self.device) for i in (fitted, scored))
                head = self.fit(images[rows], labels[rows], penalty)
                logits = head.logits(images[held_out])
                values.append(metrics.classification_scores(logits, labels[held_out])[name])
            return {"scores": np.array(values)}

        indices = [part.tobytes() for pair in splits for part in pair]
        key = hash_of(self.key, penalty, name, *indices)
        found = cached_arrays(key, ("scores",), compute, self.features.key)
        scores: list[float] = found["scores"].tolist()
        return scores

    def judge(self, penalty: float, splits: int) -> dict[str, Any]:
        """Score the configuration on other splits of the images, and count what it computes.

        Args:
            penalty: L2 penalty of the heads.
            splits: Number of splits.

        Returns:
            `resampled`: value of the metric of the configuration on each split; `macs`:
            multiply-accumulates of one image; `weights`: hash of the weights of the network.

        Raises:
            InputError: The images cannot be split.
        """
        size = self.config.network_size(self.data.image_size)
        meta = torch.device("meta")
        with meta:
            model = build_for(self.config, self.data)
        return {
            "resampled": self.resampled(penalty, resampled_splits(self.data, splits)),
            "macs": count_macs(model.to(meta), size, meta),
            "weights": self.weights,
        }


def fit_probe(
    config: TrialConfig,
    data: TrainingData,
    report: Callable[[dict[str, float], TrainingState], None],
    *,
    device: torch.device,
    resume: TrainingState | None = None,
    weights: Weights,
    splits: int = 0,
    advance: Advance = ignore,
) -> list[dict[str, float]]:
    """Fit the head of a trial, and report its metrics and state once, as those of one epoch.

    The result, the errors and the other arguments are those of `loop.fit`. With a number of
    `splits`, the report has what `Probe.judge` returns for them too, also if the trial resumes
    after its epoch.
    """
    if resume is not None and resume["history"] and not splits:
        return resume["history"]
    reset_peak_memory(device)
    precision = resume["precision"] if resume else resolve_precision(config.precision, device)
    probe = Probe(config, data, weights, device, precision, advance)
    # The features are counted as what they took when they were computed, whichever trial that was.
    start = time.perf_counter()
    penalty, head, scores = probe.best(config.penalty)
    seconds = time.perf_counter() - start
    images = len(data.train_labels) + len(data.val_labels)
    measured = {
        "epoch": 1,
        **scores,
        "penalty": penalty,
        "seconds": seconds,
        "features_s": probe.features.seconds,
        "images_per_second": images / seconds,
        "peak_memory_mb": peak_memory_mb(device),
        "micro_batch": config.batch_size,
    }
    state = probe.state_dict(head)
    report(
        measured | (probe.judge(penalty, splits) if splits else {}),
        {
            "config": config.to_dict(),
            "precision": precision,
            "history": [measured],
            "model": state,
            "optimizer": {},
            "scheduler": {},
            "scaler": {},
            "rng": {},
            "parts": 1,
            "average": {},
            "best": state,
            "correct": pack(head.logits(probe.val).argmax(1) == probe.val_labels),
        },
    )
    return [measured]
