"""Classify images with a trained model, or export the model to ONNX or TorchScript."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse_plain
from tune_jobs.command_line.terminal import open_console, plain_table, print_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from trainables.arrays import Images
    from trainables.model_file import Rejection
    from trainables.saved_model import Classifier
    from tune_jobs.run_folder.folder import RunFolder

BLOCK = 256
"""Number of images that are decoded and classified at once."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of the job."""

    images: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files and folders of images to classify."""
    model: str = "comparison"
    """Folder or URI of a comparison, a run, or a model in one (model/, best/)."""
    output: str | None = None
    """File for the table of predictions, .parquet or .csv. None prints the table."""
    reject_above: float | None = None
    """Largest percentage of the answered images that may be misclassified, such as
    5: images of which the model is not sure enough are not answered. The threshold
    was chosen on the validation images of a comparison (report.html says how)."""
    export: Literal["onnx", "torchscript"] | None = None
    """Export the model into its folder, and check that its logits stay the same."""
    trust: tuple[str, ...] = ()
    """Modules of networks (package.module) that may be imported, which runs their
    code, though a model names them and not this command line."""


def predict() -> int:
    """Run the job. Return the exit code: 1 if no image could be read."""
    options = parse_plain(PredictOptions, "predict", description=__doc__).options
    check_options(options)
    console = open_console()
    predictions = predict_images(options)
    for note in filter(None, [*predictions.notes, predictions.warning]):
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if options.output is None and options.images:
        print_frame(predictions.frame, console)
    return int(bool(options.images) and predictions.frame["error"].notna().all())


def check_options(options: PredictOptions) -> None:
    """Raise InputError if the options cannot be used."""
    if options.output and not options.output.endswith((".parquet", ".csv")):
        raise InputError(f"--output {options.output} must end in .parquet or .csv")
    if options.output and not (folder := Path(options.output).parent).is_dir():
        raise InputError(f"--output {options.output}: folder {folder} does not exist: create it")
    if not options.images and not options.export:
        raise InputError(
            "no images are given: give image files or folders of images, or --export onnx"
        )
    risk = options.reject_above
    if risk is not None and not 0 < risk < 100:
        raise InputError(
            f"--reject-above is {risk:g}, but it must be above 0 and below 100: give the "
            "percentage of the answered images that may be misclassified, such as 5"
        )


class Predictions(NamedTuple):
    """What a model predicts of images."""

    frame: pd.DataFrame
    """A row per image: file, predicted class, its probability, those of all classes, and the
    reason if it cannot be read; with a largest risk also whether it is answered."""
    notes: list[str]
    """Sentences for the terminal: what was exported, and how many images are answered."""
    warning: str
    """Sentence on sealed test images among them; empty for none."""


def predict_images(options: PredictOptions) -> Predictions:
    """Classify the images of the options, and write what they ask for.

    Raises:
        InputError: an image file or the model cannot be found or used.
    """
    from trainables.sources import image_files

    files = image_files(options.images)
    # Torch takes seconds to import and is not needed to reject bad options.
    from trainables.saved_model import load_model
    from tune_jobs.run_folder.folder import RunFolder

    model = model_folder(RunFolder.at(options.model))
    classifier = load_model(model.uri)
    risk, notes = options.reject_above, []
    rejection = None if risk is None else rejection_of(classifier, options.model, risk)
    if options.export:
        notes.append(write_export(classifier, options.export, model))
    if not files:  # of an export alone, nothing is to be said or written
        return Predictions(classify(classifier, files)[0], notes, "")
    frame, sealed = classify(classifier, files, sealed_images(model))
    if rejection is not None:
        frame = answered(frame, rejection.threshold)
        notes.append(about_answers(frame, rejection))
    warning = (
        f"{sealed:,} of {len(files):,} images are sealed test images of this run: answers on "
        "them must not decide anything before the comparison"
    )
    if options.output and options.output.endswith(".csv"):
        frame.to_csv(options.output, index=False)
    elif options.output:
        frame.to_parquet(options.output, index=False)
    return Predictions(frame, notes, warning if sealed else "")


def model_folder(folder: RunFolder) -> RunFolder:
    """Return the folder of the model of a comparison or run, or the folder itself."""
    from trainables.saved_model import MODEL_FILE
    from tune_jobs.run_folder.folder import BEST_FOLDER, MODEL_FOLDER, RUN_FILE

    for name in (MODEL_FOLDER, BEST_FOLDER):
        if folder.child(name).has(MODEL_FILE):
            return folder.child(name)
    if folder.has(RUN_FILE):
        raise InputError(
            f"{folder.uri} is a run without {BEST_FOLDER}/, as it has not ended or no trial has a "
            "result: wait for it or resume it, or give another --model"
        )
    return folder


def write_export(
    classifier: Classifier, form: Literal["onnx", "torchscript"], folder: RunFolder
) -> str:
    """Export a model into its folder, and return a sentence that says so."""
    from trainables.export import SUFFIXES, TOLERANCE, export

    file, size = f"model{SUFFIXES[form]}", classifier.view.size
    folder.write(file, export(classifier, form))
    return (
        f"Exported {folder.child(file).uri}: input images N×{size}×{size}×3, uint8; output "
        f"logits N×{len(classifier.classes)}, equal to those of the model within {TOLERANCE:g}"
    )


def sealed_images(model: RunFolder) -> frozenset[bytes]:
    """Return the digests of the sealed test images of a run.

    Args:
        model: best/ of a run. Runs of earlier versions do not tell; those of a comparison are
            sealed no longer.
    """
    import numpy as np

    from tune_jobs.run_folder.folder import BEST_FOLDER, TEST_IMAGES_FILE

    if model.name != BEST_FOLDER or not model.parent.has(TEST_IMAGES_FILE):
        return frozenset()
    return frozenset(map(bytes, np.load(io.BytesIO(model.parent.read(TEST_IMAGES_FILE)))))


def classify(
    classifier: Classifier, files: list[Path], sealed: frozenset[bytes] = frozenset()
) -> tuple[pd.DataFrame, int]:
    """Return a row per image, and how many of the images are sealed test images.

    A damaged image has the reason in the column `error` and no prediction.

    Args:
        classifier: the model.
        files: images.
        sealed: digests of the sealed test images.
    """
    import numpy as np
    import pandas as pd

    from trainables.arrays import DIGEST_BYTES
    from trainables.decoding import DecodingError, open_rgb, render

    view, how = classifier.view, classifier.how
    errors: list[str | None] = [None] * len(files)
    is_sealed = [False] * len(files)

    def decode(i: int) -> Images:
        try:
            content = files[i].read_bytes()
            if sealed:
                digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
                is_sealed[i] = digest in sealed
            return render(open_rgb(content, how, view.shorter_side), view, how)
        except (DecodingError, OSError) as error:
            errors[i] = str(error)
            return np.zeros((view.size, view.size, 3), dtype=np.uint8)

    blocks = [np.empty((0, len(classifier.classes)), dtype=np.float32)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), BLOCK):  # so that memory does not grow with the folder
            images = pool.map(decode, range(start, min(start + BLOCK, len(files))))
            blocks.append(classifier.probabilities(np.stack(list(images))).numpy())
    probabilities = np.concatenate(blocks)
    probabilities[[error is not None for error in errors]] = np.nan
    names = np.array([*classifier.classes, None], dtype=object)
    best = [-1 if errors[i] else row.argmax() for i, row in enumerate(probabilities)]
    frame = pd.DataFrame(
        {
            "file": [str(file) for file in files],
            "predicted": names[best],
            "probability": probabilities.max(1),
            "error": errors,
            **{
                f"probability/{name}": probabilities[:, i]
                for i, name in enumerate(classifier.classes)
            },
        }
    )
    return frame, sum(is_sealed)


def rejection_of(classifier: Classifier, model: str, risk: float) -> Rejection:
    """Return the threshold of a model for a risk in percent.

    Raises:
        InputError: the model has none for it.
    """
    try:
        return classifier.rejection(risk / 100)
    except InputError as error:
        raise InputError(f"--reject-above {risk:g}: {model}: {error}") from error


def answered(frame: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Add the column `answered`, and leave out the predicted class where it is False.

    Args:
        frame: result of `classify`.
        threshold: lowest probability that is answered.
    """
    sure = frame["probability"] >= threshold  # False for images that cannot be read
    named = frame["predicted"].where(sure, None)
    return frame.assign(predicted=named).assign(answered=sure)


def about_answers(frame: pd.DataFrame, rejection: Rejection) -> str:
    """Say how many images are answered, and what is known of their risk."""
    readable = int(frame["error"].isna().sum())
    return (
        f"{int(frame['answered'].sum()):,} of {readable:,} images answered, those with a "
        f"probability of {rejection.threshold:.2%} or more. On images like the validation "
        f"images, at most {100 * rejection.risk:g}% of the answers are wrong (95% confidence)"
    )


def print_frame(frame: pd.DataFrame, console: Console) -> None:
    """Print file, predicted class and probability of every image."""
    from rich.markup import escape

    table = plain_table()
    table.add_column("file", no_wrap=True)
    table.add_column("predicted")
    table.add_column("probability", justify="right")
    for file, name, probability, error in zip(
        frame["file"], frame["predicted"], frame["probability"], frame["error"], strict=True
    ):
        if not isinstance(error, str):  # None, which pandas may turn into NaN
            shown = escape(name) if isinstance(name, str) else "[dim]not answered[/]"
            table.add_row(escape(file), shown, f"{probability:.2%}")
        else:
            table.add_row(escape(file), f"[red]{escape(error)}[/]", "")
    print_table(console, table)


if __name__ == "__main__":
    main(predict)
