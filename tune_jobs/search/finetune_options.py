"""Options of fine-tuning. This module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trainables.config import PENALTIES, RECIPES, Recipe
from tune_jobs.search.options import StudyOptions

EPOCHS = 10
REPORT_MODELS = ("resnet18", "densenet121", "googlenet")
"""Networks that the student report fine-tunes."""


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(StudyOptions):
    """Options of fine-tuning."""

    # The help of an option breaks its lines where the docstring has a whole sentence in a line.

    job = "finetune"
    makes_soups = True
    first_options = (*StudyOptions.first_options, "models", "mode", "lr", "search")
    models: tuple[str, ...] = REPORT_MODELS
    """Networks: torchvision names, timm:NAME, timm:hf_hub:ORG/NAME, or
    package.module:function.
    The default networks are those of the student report."""
    weights: tuple[str, ...] = ("default",)
    """Initial weights: one value for all networks, or one value per network.
    default reads the published weights of the network from a cache, or
    downloads them.
    none starts from random weights.
    Any other value is a safetensors file or a PyTorch checkpoint.
    One file for several networks is for your own one, which is given as
    package.module:function; the other networks use default."""
    lr: tuple[float, ...] = (1e-5, 1e-4, 1e-3)
    """Learning rates of the grid (the student report uses 1e-5); with
    --search optuna, one value fixes the learning rate."""
    mode: tuple[Literal["full", "probe", "gradual", "lora"], ...] = ("full",)
    """Fine-tuning modes to try.
    full trains all layers, at the same learning rate unless there is a
    --layer-decay.
    probe fits only the head: a logistic regression on cached backbone
    features, at each of --penalty.
    gradual (gradual unfreezing) trains the head first, then all layers
    with layer-wise learning-rate decay.
    lora trains the head and low-rank adapters of the other layers
    (pip install peft)."""
    top: int = 3
    """With --from the folder of a shortlist: the number of its networks to
    fine-tune, the first ones, at the sizes they were judged at."""
    penalty: tuple[float, ...] = PENALTIES
    """L2 penalties of the head (--mode probe only), relative to the mean
    loss per image; with --search optuna, one value fixes the penalty."""
    seeds: int = 1
    """Number of random seeds per grid point; consecutive seeds from --seed
    on are used. A probe is the same for every seed, and is fitted once."""
    search: Literal["grid", "optuna"] = "grid"
    """grid trains every combination of --models, --mode, --lr or --penalty,
    and seed.
    optuna searches over networks, modes, learning rate and other settings."""
    scheduler: Literal["fifo", "asha", "hyperband", "pbt"] = "fifo"
    """fifo trains every trial for all its epochs.
    asha stops trials that fall behind (asynchronous successive halving).
    hyperband pauses trials, and resumes the best of each bracket.
    pbt (--search optuna only) is population-based training: the worst
    trials exploit and explore (continue from a copy of one of the best,
    with changed settings)."""
    aux_loss: bool = False
    """Add the loss of the auxiliary heads (GoogLeNet and Inception only)."""
    freeze_batch_norm: bool = False
    """Keep the batch-normalisation statistics of the initial weights."""
    head_epochs: int = 1
    """Epochs in which only the head is trained (--mode gradual only)."""
    layer_decay: float | None = None
    """Learning rate of a stage of the network relative to the next stage,
    above 0, at most 1. None is 0.7 with --mode gradual, and otherwise 1."""
    lora_rank: int = 8
    """Rank of the adapters (--mode lora only)."""

    @classmethod
    def recipes(cls) -> dict[str, Recipe]:
        """Return the presets for pretrained networks."""
        return {
            # The student report fine-tunes with cross-entropy of the logits.
            "report": Recipe(epochs=EPOCHS, split=(0.6, 0.2, 0.2)),
            "standard": Recipe(epochs=EPOCHS, normalize="weights"),
            "fast": Recipe(
                epochs=3,
                schedule="one_cycle",
                normalize="weights",
                optimizer="adamw",
                weight_decay=0.01,
            ),
            "modern": replace(
                RECIPES["modern"],
                epochs=EPOCHS,
                drop_path=0.1,
                augment="photo",
                normalize="weights",
            ),
        }
