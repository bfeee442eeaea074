"""Readers that hostile_sources.py compares: four libraries and ours, each as its manual says.

Each reader takes a dataset and yields (part, class name or None, RGB image). What a library does
not look for by itself, but can be told in a documented way, it is told: the folders of parts, that
a class is empty, that all images have an unusual suffix. Ours is told neither parts nor suffixes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from benchmarks.hostile_data import DataSet, Pixels, thumbnail

Read: TypeAlias = tuple[str, str | None, Image.Image]
Found: TypeAlias = tuple[str, str | None, Pixels]


class NoReaderError(Exception):
    """The library reads nothing of this kind."""


@dataclass
class Reading:
    """What a reader made of a dataset."""

    rows: list[Found]
    """Part, class and thumbnail of each image."""
    said: str
    """Warnings, log messages that are shown by default, and what was printed."""
    error: str = ""
    """First line of the error that ended it; empty if there was none."""


def part_folders(data: DataSet) -> dict[str, Path]:
    """Return the folder of each part, or the whole as train if there are no parts."""
    return {part: data.folder / name for part, name in data.parts.items()} or {"train": data.folder}


def read_torchvision(data: DataSet) -> Iterator[Read]:
    """Read class folders with torchvision.datasets.ImageFolder, one a part."""
    from torchvision.datasets import ImageFolder

    if data.kind != "folder":
        raise NoReaderError
    options: dict[str, Any] = {"allow_empty": data.empty_class}
    if data.suffix is not None:
        suffix = data.suffix
        options["is_valid_file"] = lambda path: str(path).lower().endswith(suffix)
    classes: list[str] = []
    for part, folder in part_folders(data).items():
        images = ImageFolder(str(folder), **options)
        # The network's outputs are the classes of the training images.
        classes = classes or images.classes
        for image, label in images:
            yield part, classes[label], image


def read_huggingface(data: DataSet) -> Iterator[Read]:
    """Read with datasets.load_dataset, by the builder for the kind of source."""
    datasets: Any = import_module("datasets")
    folder = str(data.folder)
    file = {"train": str(data.folder / (data.file or ""))}
    if data.kind in ("folder", "metadata"):
        splits = datasets.load_dataset("imagefolder", data_dir=folder)
    elif data.kind == "parquet":
        splits = datasets.load_dataset(folder)
    elif data.kind == "archive":
        splits = datasets.load_dataset("imagefolder", data_files=file)
    else:
        splits = datasets.load_dataset(data.kind, data_files=file)
    if data.kind == "parquet":  # where the file does not say that its structs are images
        splits = splits.cast_column("image", datasets.Image())
    if data.kind == "csv":  # paths are relative to the working folder
        with contextlib.chdir(folder):
            splits = splits.cast_column("image", datasets.Image())
            yield from _rows_of_huggingface(splits, datasets.ClassLabel)
    else:
        yield from _rows_of_huggingface(splits, datasets.ClassLabel)


def _rows_of_huggingface(splits: Any, class_label: Any) -> Iterator[Read]:
    for part, split in splits.items():
        image_column, label_column = (
            ("jpg", "cls") if "jpg" in split.features else ("image", "label")
        )
        feature = split.features.get(label_column)
        for row in split:
            label = row.get(label_column)
            if isinstance(feature, class_label) and label is not None:
                label = None if label == -1 else feature.int2str(label)
            yield part, None if label is None else str(label), row[image_column].convert("RGB")


def read_timm(data: DataSet) -> Iterator[Read]:
    """Read with timm.data.create_dataset: its folders and tar files, else hfds and wds."""
    timm: Any = import_module("timm.data")
    suffixes: Any = import_module("timm.data.readers")
    suffixes.set_img_extensions((".png", ".jpg", ".jpeg"))
    if data.suffix is not None:
        suffixes.add_img_extensions(data.suffix)
    if data.kind == "csv":
        raise NoReaderError
    if data.kind == "webdataset":
        images = timm.create_dataset(
            "wds/x", root=str(data.folder), split=f"{data.file}|{len(data.rows)}"
        )
        yield from (("train", str(label), image) for image, label in images)
        return
    names: dict[int, str] = {}
    for part, folder in part_folders(data).items():
        if data.kind in ("parquet", "metadata"):
            images = timm.create_dataset(f"hfds/{data.folder}", split=part)
        else:
            root = folder / (data.file or "")
            images = timm.create_dataset("", root=str(root), search_split=False)
        reader = images.reader
        index = getattr(reader, "class_to_idx", None) or getattr(reader, "class_name_to_idx", {})
        names = names or {i: name for name, i in index.items()}
        for i in range(len(images)):
            image, label = images[i]
            yield part, None if label == -1 else names.get(label, str(label)), image


def read_fastai(data: DataSet) -> Iterator[Read]:
    """Read with fastai's ImageDataLoaders.from_folder or from_csv."""
    from fastai.vision.all import ImageDataLoaders, PILImage, get_image_files

    if data.kind not in ("folder", "csv", "metadata"):
        raise NoReaderError
    flat = [part for part, folder in part_folders(data).items() if not any(
        child.is_dir() for child in folder.iterdir())]  # fmt: skip
    halves = ("train", "train")
    if data.kind in ("csv", "metadata"):
        file = data.file or "metadata.csv"
        loaders = ImageDataLoaders.from_csv(data.folder, file, valid_pct=0.01, seed=0, bs=1)
    elif len(data.parts) > len(flat) + 1:
        second = next(part for part in data.parts if part != "train" and part not in flat)
        halves = ("train", second)
        loaders = ImageDataLoaders.from_folder(
            data.folder, train=data.parts["train"], valid=data.parts[second], bs=1
        )
    else:
        folder = part_folders(data)["train"]
        loaders = ImageDataLoaders.from_folder(folder, valid_pct=0.01, seed=0, bs=1)
    for part, images in zip(halves, (loaders.train_ds, loaders.valid_ds), strict=True):
        for image, label in images:
            yield part, str(loaders.vocab[int(label)]), Image.fromarray(np.asarray(image))
    for part in set(data.parts) - set(halves):  # as dls.test_dl is given files
        for path in get_image_files(data.folder / data.parts[part]):
            label = None if part in flat else path.parent.name
            yield part, label, Image.fromarray(np.asarray(PILImage.create(path)))


def read_ultralytics(data: DataSet) -> Iterator[Read]:
    """Read with Ultralytics' classification dataset, as its trainer does."""
    import cv2
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import ClassificationDataset
    from ultralytics.data.utils import check_cls_dataset

    if data.kind not in ("folder", "archive"):
        raise NoReaderError
    about = check_cls_dataset(data.folder / (data.file or ""))
    names = about["names"]
    for part, key in (("train", "train"), ("validation", "val"), ("test", "test")):
        if about[key] is None:
            continue
        images = ClassificationDataset(about[key], get_cfg(), prefix=key, names=names)
        for path, label, *_ in images.samples:
            pixels = cv2.cvtColor(images.imread(path), cv2.COLOR_BGR2RGB)
            yield (part if data.parts else "train"), names[label], Image.fromarray(pixels)


def read_ours(data: DataSet) -> Iterator[Read]:
    """Read with this project, given the folder or file, and print what a job prints."""
    from trainables.data import TEST, TRAIN, VALIDATION
    from trainables.decoding import open_rgb
    from trainables.errors import InputError
    from trainables.sources import describe_ignored
    from tune_jobs.command_line.options import DataOptions
    from tune_jobs.tuning.copies import count_copies, describe_copies
    from tune_jobs.tuning.data import named_errors
    from tune_jobs.tuning.found_images import find_images

    parts = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
    least = 1 if data.empty_class else None
    found = find_images(
        DataOptions(data=str(data.folder / (data.file or "")), min_per_class=least, cache_gb=0)
    )
    listing, facts = found.listing, found.images.scan([])
    if facts.errors:
        raise InputError(f"damaged: {named_errors(found, facts.errors)}")
    rows = np.arange(len(listing.labels))
    counts = count_copies(listing, facts, rows, listing.parts)
    print(describe_ignored(listing), *listing.notes, *describe_copies(counts, 0), sep="\n")
    for row, label, part in zip(rows.tolist(), listing.labels, listing.parts, strict=True):
        image = open_rgb(listing.images.read(row), found.images.how)
        yield parts[int(part)], listing.classes[label], image


READERS: dict[str, tuple[str, Callable[[DataSet], Iterator[Read]]]] = {
    "torchvision": ("torchvision", read_torchvision),
    "Hugging Face": ("datasets", read_huggingface),
    "timm": ("timm", read_timm),
    "fastai": ("fastai", read_fastai),
    "Ultralytics": ("ultralytics", read_ultralytics),
    "bakeoff": ("", read_ours),
}
"""Package of each reader, empty for ours, and its function."""
DOCUMENTED = {
    "torchvision": "classes are the folders of the first level, and files are chosen by suffix.",
    "Hugging Face": "labels are given if all images lie at one depth, in two or more folders.",
    "timm": "labels are the names of the leaf folders; files are .png, .jpg and .jpeg, unless "
    "others are added; a sample that fails to load is skipped with a warning.",
    "fastai": "from_folder labels an image by the name of its folder.",
    "Ultralytics": "the folder holds train and val, else it is split at random; corrupt JPEGs are "
    "corrected if found.",
}
"""What the docstrings and comments of a library say of behaviour that the table counts as wrong."""
SHOWN = {"ultralytics": logging.INFO, "": logging.WARNING, "datasets": logging.WARNING}
"""Lowest level of log messages that a user sees by default, by logger."""


def prepare(scratch: Path) -> None:
    """Keep the caches and settings of libraries in a folder, and them off the network."""
    os.environ |= {
        "HF_HOME": str(scratch / "huggingface"), "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "YOLO_CONFIG_DIR": str(scratch), "YOLO_OFFLINE": "1", "YOLO_VERBOSE": "1",
        "YOLO_AUTOINSTALL": "0",
    }  # fmt: skip


def version_of(reader: str) -> str:
    """Return the version of a reader's package."""
    return version(READERS[reader][0]) if READERS[reader][0] else ""


def read(reader: str, data: DataSet) -> Reading | None:
    """Read a dataset and listen to what is said meanwhile; None: the library has no reader."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    for name, level in SHOWN.items():
        logging.getLogger(name).addHandler(handler)
        handler.setLevel(min(handler.level or level, level))
    reading = Reading([], "")
    with (
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        for hidden in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)  # as Python does for users
        try:
            rows = READERS[reader][1](data)
            reading.rows = [(part, label, thumbnail(image)) for part, label, image in rows]
        except NoReaderError:
            return None
        except Exception as error:
            lines = f"{type(error).__name__}: {error}".strip().splitlines()
            # The library behind a library's error says more than "generation failed".
            if error.__cause__ is not None:
                lines[0] += f" ({error.__cause__})"
            reading.error = lines[0].replace(f"{data.folder}/", "").replace(str(data.folder), ".")
        finally:
            for name in SHOWN:
                logging.getLogger(name).removeHandler(handler)
    reading.said = text.getvalue().replace(f"{data.folder}/", "").replace(str(data.folder), ".")
    return reading
