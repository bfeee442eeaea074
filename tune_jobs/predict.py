"""Classify images with a trained model, or export the model to ONNX or TorchScript."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse_plain
from tune_jobs.command_line.terminal import open_console, plain_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from trainables.saved_model import Classifier


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of the job."""

    images: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files and folders of images to classify."""
    model: str = "comparison/model"
    """Folder or URI of the model: model/ of a comparison, or best/ of a run."""
    output: str | None = None
    """File for the table of predictions, .parquet or .csv. None prints the table."""
    export: Literal["onnx", "torchscript"] | None = None
    """Export the model into its folder, and check that its logits stay the same."""


def predict() -> int:
    """Run the job. Return the exit code."""
    options = parse_plain(PredictOptions, description=__doc__).options
    suffix = Path(options.output).suffix if options.output else ".parquet"
    if suffix not in (".parquet", ".csv"):
        raise InputError(f"--output {options.output} must end in .parquet or .csv")
    if options.output and not (folder := Path(options.output).parent).is_dir():
        raise InputError(f"--output {options.output}: folder {folder} does not exist: create it")
    if not options.images and not options.export:
        raise InputError(
            "no images are given: give image files or folders of images, or --export onnx"
        )
    # Torch takes seconds to import and is not needed to reject bad options.

    from trainables.saved_model import load_model
    from trainables.sources import image_files
    from tune_jobs.run_folder.folder import RunFolder

    console = open_console()
    files = image_files(options.images)
    classifier = load_model(options.model)
    if options.export:
        from trainables.export import SUFFIXES, TOLERANCE, export

        target, file = RunFolder.at(options.model), f"model{SUFFIXES[options.export]}"
        target.write(file, export(classifier, options.export))
        size = classifier.image_size
        console.print(
            f"Exported {target.child(file).uri}: input images N×{size}×{size}×3, uint8; output "
            f"logits N×{len(classifier.classes)}, equal to those of the model within {TOLERANCE:g}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    if not files:
        return 0
    frame = classify(classifier, files)
    if options.output is None:
        print_frame(frame, console)
    elif suffix == ".csv":
        frame.to_csv(options.output, index=False)
    else:
        frame.to_parquet(options.output, index=False)
    return 0


def classify(classifier: Classifier, files: list[Path]) -> pd.DataFrame:
    """Return a row per image: file, predicted class, its probability, and those of all classes.

    Raises:
        InputError: a file is not an image.
    """
    import pandas as pd

    from trainables.sources import decode

    images, _ = decode([(str(file), file) for file in files], classifier.image_size)
    probabilities = classifier.logits(images).double().softmax(1).numpy()
    best = probabilities.argmax(1)
    return pd.DataFrame(
        {
            "file": [str(file) for file in files],
            "predicted": [classifier.classes[i] for i in best],
            "probability": probabilities.max(1),
            **{
                f"probability/{name}": probabilities[:, i]
                for i, name in enumerate(classifier.classes)
            },
        }
    )


def print_frame(frame: pd.DataFrame, console: Console) -> None:
    """Print file, predicted class and probability of every image."""
    from rich.markup import escape

    table = plain_table()
    table.add_column("file", overflow="fold")
    table.add_column("predicted")
    table.add_column("probability", justify="right")
    for file, name, probability in zip(
        frame["file"], frame["predicted"], frame["probability"], strict=True
    ):
        table.add_row(escape(file), escape(name), f"{probability:.2%}")
    console.print(table)


if __name__ == "__main__":
    main(predict)
