"""Types of the content of a run folder: rows of the two tables, and run.json."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class EpochRow(TypedDict):
    """A row of epochs.parquet."""

    trial: str
    """Name of the trial."""
    epoch: int
    """Number of the epoch, from 1."""
    train_loss: float
    """Mean training loss during the epoch, each batch before its step, with dropout, augmentation
    and label smoothing, in nats."""
    train_accuracy: float
    """Training accuracy during the epoch, each batch before its step, 0 to 1."""
    val_loss: float
    """Mean validation loss after the epoch, without label smoothing, in nats."""
    val_accuracy: float
    """Accuracy on the validation images, 0 to 1."""
    val_precision: float
    """Validation precision, averaged over classes weighted by support, 0 to 1."""
    val_recall: float
    """Validation recall, averaged over classes weighted by support, 0 to 1."""
    val_balanced_accuracy: float
    """Mean recall over the classes of the validation images, 0 to 1. NaN, as the three below, in
    epochs that earlier versions trained."""
    val_macro_f1: float
    """Mean F1 over classes, 0 to 1."""
    val_log_loss: float
    """Mean cross-entropy of the softmax probabilities of the validation images, in nats."""
    val_auroc: float
    """Mean area under the ROC curve of each class against the rest, 0 to 1."""
    learning_rate: float
    """Learning rate at the start of the epoch; NaN in mode probe."""
    penalty: float
    """L2 penalty of the head in mode probe, otherwise NaN."""
    seconds: float
    """Wall time of the epoch, validation included, in seconds; in mode probe, that of fitting the
    head."""
    features_s: float
    """Wall time in which the features of the trial were computed, by it or an earlier one, in
    seconds. NaN but in mode probe, and in epochs that earlier versions trained."""
    images_per_second: float
    """Training and validation images per second."""
    peak_memory_mb: float
    """Peak memory of the trial up to the end of the epoch, in MB."""
    micro_batch: float
    """Images per micro-batch; the batch size where batches fit into memory."""


# A row of trials.parquet without the columns config/*, which are the settings of the trial.
TrialRow = TypedDict(
    "TrialRow",
    {
        "trial": str,
        "status": str,  # a value of TrialStatus
        "error": str | None,  # one line; the traceback is a file in the trial's folder
        "epochs": int,
        "best/epoch": int,
        "best/train_loss": float,
        "best/train_accuracy": float,
        "best/val_loss": float,
        "best/val_accuracy": float,
        "best/val_precision": float,
        "best/val_recall": float,
        "best/val_balanced_accuracy": float,
        "best/val_macro_f1": float,
        "best/val_log_loss": float,
        "best/val_auroc": float,
        "last/train_loss": float,
        "last/train_accuracy": float,
        "last/val_loss": float,
        "last/val_accuracy": float,
        "last/val_precision": float,
        "last/val_recall": float,
        "last/val_balanced_accuracy": float,
        "last/val_macro_f1": float,
        "last/val_log_loss": float,
        "last/val_auroc": float,
        "seconds": float,
        "features_s": float,  # see EpochRow; the same in all trials that share the features
        "images_per_second": float,
        "peak_memory_mb": float,
        "micro_batch": float,
        "parameters": int,  # learnable
        "latency_ms": float | None,
        "device": str,
        "precision": str,
        "copied": str | None,  # PBT: trials copied from, and after which epochs
        "checkpoint": str | None,  # path below the run folder
        "weights_sha256": str | None,
        "macs": int | None,  # multiply-accumulates of one image; None unless a search asks for them
        "feasible": bool | None,  # within the constraints of the search; None without constraints
        "members": str | None,  # of a soup: the trials whose weights were averaged
        "stopped_by": str | None,  # patience or scheduler, where it ended before its last epoch
    },
    total=False,
)


class DatasetRecord(TypedDict, total=False):
    """Dataset of a run."""

    name: str
    """Name or path, as --data gave it."""
    fingerprint: str
    """Hash of images, labels and classes at the size they were resized to."""
    source_fingerprint: str
    """Hash of the images before they were resized; runs of earlier versions lack it."""
    classes: list[str]
    """Class names, by label."""
    side: int
    """Shorter side of the median image in pixels."""
    ignored: dict[str, int]
    """Number of files that were left out, by the reason."""
    notes: list[str]
    """What was read differently than it is written."""
    skipped: list[str]
    """Images that were left out, because they are damaged."""
    copies: dict[str, Any]
    """Numbers of images that show the same picture as another one."""
    image_size: int
    """Height and width in pixels, in runs of earlier versions, whose trials have no size."""
    images: int
    """Number of images in all splits."""


class SplitRecord(TypedDict):
    """Split of the dataset."""

    seed: int
    """Random seed of the split."""
    shares: tuple[float, float, float] | None
    """Fractions given by --split; None keeps the source's splits, and 20% for each it lacks."""
    fingerprint: str
    """Hash of the validation and test indices; runs of earlier versions lack it."""
    train: int
    """Number of training images."""
    validation: int
    """Number of validation images."""
    test: int
    """Number of test images."""


class HardwareRecord(TypedDict):
    """Hardware that a run was started on."""

    machine: str
    """Processor architecture."""
    nodes: int
    """Number of nodes of the cluster at the start."""
    machines: list[dict[str, float]]
    """CPU cores and GPUs of each node, and of each node type that the autoscaler may start; runs of
    earlier versions lack it."""
    cpus: float
    """CPU cores of all nodes."""
    gpus: float
    """GPUs of all nodes."""
    capabilities: list[str]
    """Instruction sets of the driver's processor."""


class SearchRecord(TypedDict, total=False):
    """Search that proposed the trials of a run."""

    algorithm: str
    """Search algorithm, grid or optuna."""
    sampler: str
    """Sampler of Optuna."""
    objectives: dict[str, Literal["max", "min"]]
    """Direction of each objective: max if higher is better, min if lower is."""
    constraints: list[str]
    """Constraints that trials must satisfy to be chosen, e.g. latency_ms<=5."""
    storage: str
    """URL of the database with the study."""
    enqueued: list[str]
    """Trials whose settings were given to the sampler; runs of earlier versions lack it."""
    ended_by: str | None
    """Option whose budget ended the search; None where all trials were run."""


class RunRecord(TypedDict, total=False):
    """Content of run.json."""

    format: int
    """Version of the run folder's format."""
    job: str
    """Name of the job."""
    command: str
    """Command line that started the run."""
    status: Literal["running", "finished", "interrupted"]
    """Status of the run. The file still has running where the driver was killed; readers get
    interrupted."""
    started: str
    """Start of the command in UTC, ISO 8601; in earlier versions, when Ray had been started."""
    ended: str | None
    """End in UTC, ISO 8601; None until then."""
    resumed: list[str]
    """Times at which the run was resumed, in UTC, ISO 8601."""
    paused: list[str | None]
    """Time at which the run had ended before each of them, in UTC, ISO 8601; None where its driver
    was killed. Runs of earlier versions lack it."""
    options: dict[str, Any]
    """Options of the job; groups of options are nested objects."""
    given: list[str]
    """Names of the options that were given, on the command line or in a file; runs of earlier
    versions lack it."""
    dataset: DatasetRecord
    """Dataset of the run."""
    split: SplitRecord
    """Split of the dataset."""
    about: list[str]
    """Sentences on the images, their splits, sizes and copies, as the terminal says them before
    training; runs of earlier versions lack it."""
    warnings: list[str]
    """What is to know about the results, as sentences, some with a command in a line of its own;
    only of runs that have ended, and not of earlier versions."""
    scheduler: str
    """Scheduler, by its name on the command line."""
    weights: dict[str, str]
    """Hash of the initial weights by model; runs of earlier versions lack it."""
    versions: dict[str, str]
    """Versions of Python and of the packages that results depend on."""
    commit: str | None
    """Git commit of the sources; None outside a checkout."""
    hardware: HardwareRecord
    """Nodes and processors."""
    search: SearchRecord
    """Search that proposed the trials."""
    budget: dict[str, float | None]
    """Limits on trials, epochs and seconds; None for no limit."""
    soups: dict[str, dict[str, Any]]
    """Averages of the weights of trials that were made, by name: the trials that were `tried`, its
    `members`, and whether it was `better` than the best of them and entered the tables."""
    trials: dict[str, dict[str, Any]]
    """Complete configuration of each trial; grids only."""
