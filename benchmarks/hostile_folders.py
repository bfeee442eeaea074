"""Datasets of hostile_sources.py that are class folders with other files in them, and controls."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks.hostile_data import HEIGHT, WIDTH, DataSet, encoded, hostile, picture, write


@hostile
def plain(data: DataSet) -> None:
    """Control: a folder a class, JPEG."""
    data.classes()


@hostile
def three_parts(data: DataSet) -> None:
    """Control: train, val and test with classes, PNG."""
    data.parts = {"train": "train", "validation": "val", "test": "test"}
    for i, (part, folder) in enumerate(data.parts.items()):
        data.classes(f"{folder}/", part, first=10 * i, suffix=".png")


@hostile
def litter(data: DataSet) -> None:
    """Control: .DS_Store, Thumbs.db and a text file beside the images."""
    data.classes()
    for name in ("cat/.DS_Store", "dog/Thumbs.db", "readme.txt"):
        (data.folder / name).write_bytes(b"no image")


@hostile
def unequal(data: DataSet) -> None:
    """Control: 600 images of one class, 6 of another."""
    data.classes(count=600, names=["cat"])
    data.classes(count=6, names=["dog"], first=600)


def _beside(data: DataSet, *suffixes: str) -> None:
    """Save a third of each class under each suffix beside .jpg, named if it is left out."""
    for c, label in enumerate(("cat", "dog")):
        for i, suffix in enumerate((".jpg", *suffixes)):
            for j in range(2):
                data.save(20 * c + 5 * i + j, f"{label}/{i}{j}{suffix}", label)
    data.says = "|".join(f"\\{suffix}" for suffix in suffixes)


@hostile
def beside_jfif(data: DataSet) -> None:
    """`.jfif` and `.pgm` beside `.jpg`."""
    for c, label in enumerate(("cat", "dog")):
        for j in range(2):
            grey = Image.fromarray(np.asarray(picture(50 + 20 * c + j).convert("L")))
            write(grey, data.folder / label / f"{j}.pgm")
            data.add(grey.convert("RGB"), label)
    _beside(data, ".jfif")
    data.says = r"\.jfif|\.pgm"


@hostile
def beside_avif(data: DataSet) -> None:
    """`.avif` beside `.jpg`."""
    _beside(data, ".avif")


@hostile
def beside_heic(data: DataSet) -> None:
    """`.heic` beside `.jpg`."""
    _beside(data, ".heic")


@hostile
def heic_as_jpg(data: DataSet) -> None:
    """HEIC in files called `.jpg`, one of four."""
    data.classes()
    for label, n in (("cat", 3), ("dog", 7)):
        (data.folder / label / f"{n}.jpg").write_bytes(encoded(picture(n), ".heic"))
    data.says = r"(?i)heif|heic|[37]\.jpg|index [37]\b"


@hostile
def truncated(data: DataSet) -> None:
    """Three truncated JPEG among a hundred."""
    for n in range(100):
        label = ("cat", "dog")[n % 2]
        if n in (20, 21, 60):
            content = encoded(picture(n), ".jpg")
            path = data.folder / label / f"{n}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[: len(content) * 2 // 3])
        else:
            data.save(n, f"{label}/{n}.jpg", label)
    data.refuse = "damaged files"
    data.says = r"(?i)truncated|corrupt|(20|21|60)\.jpg"


@hostile
def resource_forks(data: DataSet) -> None:
    """`cat/._1.jpg`, the resource forks of a Mac."""
    data.classes()
    for label, n in (("cat", 1), ("dog", 5)):
        (data.folder / label / f"._{n}.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(99))
    data.says = r"\._"


@hostile
def checkpoints_in_class(data: DataSet) -> None:
    """`cat/.ipynb_checkpoints/1-checkpoint.jpg`, copies of the notebook server."""
    data.classes()
    for label, n in (("cat", 11), ("dog", 15)):
        path = data.folder / label / ".ipynb_checkpoints" / f"{n}-checkpoint.jpg"
        write(picture(n), path)
    data.says = "ipynb_checkpoints"


@hostile
def checkpoints_beside(data: DataSet) -> None:
    """`.ipynb_checkpoints/1-checkpoint.jpg` beside the classes."""
    data.classes()
    write(picture(11), data.folder / ".ipynb_checkpoints" / "1-checkpoint.jpg")
    data.says = "ipynb_checkpoints"


@hostile
def two_labels(data: DataSet) -> None:
    """One file in two classes."""
    data.classes()
    data.save(0, "dog/0.jpg", "dog")
    data.says, data.must_say = r"(?i)duplicate|same image|both|two classes|another label", True


@hostile
def saved_again(data: DataSet) -> None:
    """A photograph saved again, smaller, in train and test."""
    data.parts = {"train": "train", "test": "test"}
    data.classes("train/", "train")
    data.classes("test/", "test", first=10)
    again = picture(0).resize((WIDTH - 8, HEIGHT - 5))
    write(again, data.folder / "test/cat/again.jpg", quality=80)
    data.add(again, "cat", "test")
    data.says, data.must_say = r"(?i)duplicate|same image|leak|also in|earlier split", True
