"""Datasets of hostile_sources.py whose layout is the matter: folders, parquet, tables, archives."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.hostile_data import DataSet, encoded, hostile, picture, write


@hostile
def no_classes(data: DataSet) -> None:
    """`train/*.jpg` and `test/*.jpg` without classes."""
    data.parts = {"train": "train", "test": "test"}
    for n in range(8):
        part = ("train", "test")[n % 2]
        data.save(n, f"{part}/{n}.jpg", None, part)
    data.refuse = "there are no classes"


def _parts_called(data: DataSet, train: str, test: str) -> None:
    data.parts = {"train": train, "test": test}
    data.classes(f"{train}/", "train")
    data.classes(f"{test}/", "test", first=10)
    data.says = r"(?i)\bsplit"


@hostile
def training_set(data: DataSet) -> None:
    """`training_set/cat`, `test_set/cat`."""
    _parts_called(data, "training_set", "test_set")


@hostile
def seg_train(data: DataSet) -> None:
    """`seg_train/cat`, `seg_test/cat`."""
    _parts_called(data, "seg_train", "seg_test")


@hostile
def train_images(data: DataSet) -> None:
    """`train_images/cat`, `test_images/cat`."""
    _parts_called(data, "train_images", "test_images")


@hostile
def flat_test(data: DataSet) -> None:
    """Labelled `train/`, `test/` of four files without classes."""
    data.parts = {"train": "train", "test": "test"}
    data.classes("train/", "train")
    for n in range(20, 24):
        data.save(n, f"test/{n}.jpg", None, "test")
    data.says = r"(?i)unlabel|\btest\b.*(class|left out|ignor)"


@hostile
def empty_class(data: DataSet) -> None:
    """An empty class folder beside two full ones."""
    data.empty_class = True
    data.classes()
    (data.folder / "bird").mkdir()
    data.says = "bird"


@hostile
def class_missing_in_test(data: DataSet) -> None:
    """A class without test images: `test/bird` is missing."""
    data.parts = {"train": "train", "test": "test"}
    data.classes("train/", "train", names=("bird", "cat", "dog"))
    data.classes("test/", "test", first=20, names=("cat", "dog"))
    data.says = "bird"


@hostile
def wrapped(data: DataSet) -> None:
    """`images/Images/BREED/*.jpg`: two folders around the classes."""
    data.classes("images/Images/", names=("beagle", "poodle"))


@hostile
def dataset_and_samples(data: DataSet) -> None:
    """A folder that holds `dataset/cat`, `dataset/dog` and `sample_images/*.jpg`."""
    data.classes("dataset/")
    for n in (30, 31):
        data.save(n, f"sample_images/{n}.jpg", None)
    data.refuse = "there are two levels that could hold classes"
    data.says = "sample_images"


@hostile
def below_classes(data: DataSet) -> None:
    """`cat/2023/1.jpg`, `dog/2023/2.jpg`, `dog/2024/3.jpg`: folders below the classes."""
    for n in range(8):
        label = ("cat", "dog")[n % 2]
        data.save(n, f"{label}/{2023 + n // 4}/{n}.jpg", label)


def _table(labels: pa.Array, first: int, names: Sequence[str] = ()) -> pa.Table:
    """Return a table of PNG images and labels, with the class names as Hugging Face writes them."""
    images = [
        {"bytes": encoded(picture(first + n), ".png"), "path": f"{first + n}.png"}
        for n in range(len(labels))
    ]
    table = pa.table({"image": images, "label": labels})
    if names:
        label = {"names": list(names), "_type": "ClassLabel"}
        features = {"image": {"_type": "Image"}, "label": label}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    return table


def _parquet(
    data: DataSet,
    files: dict[str, str],
    labels: pa.Array,
    expected: Sequence[str | None],
    names: Sequence[str] = (),
) -> None:
    """Write the same labels into the parquet file of each part, and expect classes by row."""
    data.kind = "parquet"
    data.parts = dict(files)
    for i, (part, file) in enumerate(files.items()):
        path = data.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(labels, 20 * i, names), path)
        for n, label in enumerate(expected):
            data.add(picture(20 * i + n), label, part)


NAMES = ("cat", "dog")
ZERO_ONE = [0, 1, 1, 0, 1, 0]
AS_NAMES = [NAMES[label] for label in ZERO_ONE]
HUB = {"train": "data/train-00000-of-00001.parquet", "test": "data/test-00000-of-00001.parquet"}


@hostile
def parquet_plain(data: DataSet) -> None:
    """Control: parquet as the Hugging Face hub writes it, `data/train-00000-of-00001.parquet`."""
    _parquet(data, HUB, pa.array(ZERO_ONE), AS_NAMES, NAMES)


@hostile
def parquet_converted(data: DataSet) -> None:
    """Parquet `default/train/0000.parquet`, as the hub converts it."""
    files = {part: f"default/{part}/0000.parquet" for part in ("train", "test")}
    _parquet(data, files, pa.array(ZERO_ONE), AS_NAMES, NAMES)


@hostile
def parquet_config(data: DataSet) -> None:
    """Parquet `plain_text/train-00000-of-00001.parquet`."""
    files = {part: f"plain_text/{part}-00000-of-00001.parquet" for part in ("train", "test")}
    _parquet(data, files, pa.array(ZERO_ONE), AS_NAMES, NAMES)


@hostile
def parquet_dictionary(data: DataSet) -> None:
    """Parquet with a label column `dictionary<string>`."""
    _parquet(data, HUB, pa.array(AS_NAMES).dictionary_encode(), AS_NAMES)


@hostile
def parquet_views(data: DataSet) -> None:
    """Parquet with a label column of string views."""
    _parquet(data, HUB, pa.array(AS_NAMES, pa.string_view()), AS_NAMES)


@hostile
def parquet_from_one(data: DataSet) -> None:
    """Parquet with labels 1 to 3 without names."""
    labels = [1, 2, 3, 3, 2, 1]
    _parquet(data, HUB, pa.array(labels), [str(label) for label in labels])


@hostile
def parquet_gaps(data: DataSet) -> None:
    """Parquet with labels 0, 5 and 9."""
    labels = [0, 5, 9, 9, 5, 0]
    _parquet(data, HUB, pa.array(labels), [str(label) for label in labels])


@hostile
def parquet_booleans(data: DataSet) -> None:
    """Parquet with labels of booleans."""
    labels = [bool(label) for label in ZERO_ONE]
    _parquet(data, HUB, pa.array(labels), [str(label) for label in labels])


@hostile
def parquet_hidden_test(data: DataSet) -> None:
    """Parquet whose test labels are all −1."""
    _parquet(data, HUB, pa.array(ZERO_ONE), AS_NAMES, NAMES)
    hidden = pa.array([-1] * len(ZERO_ONE))
    pq.write_table(_table(hidden, 20, NAMES), data.folder / HUB["test"])
    data.rows = [row for row in data.rows if row.part == "train"]
    for n in range(len(ZERO_ONE)):
        data.add(picture(20 + n), None, "test")
    data.says = r"(?i)unlabel|-1|−1"


@hostile
def metadata_csv(data: DataSet) -> None:
    """Images with `metadata.csv` (file_name, label)."""
    data.kind = "metadata"
    rows = [("file_name", "label")]
    for n, label in enumerate(AS_NAMES):
        data.save(n, f"images/{n}.jpg", label)
        rows.append((f"images/{n}.jpg", label))
    with (data.folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@hostile
def csv_of_paths(data: DataSet) -> None:
    """A CSV file with the paths of images and their labels."""
    data.kind, data.file = "csv", "labels.csv"
    with (data.folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label"))
        for n, label in enumerate(AS_NAMES):
            data.save(n, f"photos/{n}.jpg", label)
            rows.writerow((f"photos/{n}.jpg", label))


@hostile
def zipped(data: DataSet) -> None:
    """A zip archive of class folders."""
    data.kind, data.file = "archive", "photos.zip"
    with zipfile.ZipFile(data.folder / "photos.zip", "w") as archive:
        for n, label in enumerate(AS_NAMES):
            archive.writestr(f"photos/{label}/{n}.jpg", encoded(picture(n), ".jpg"))
            data.add(picture(n), label)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


@hostile
def tarred(data: DataSet) -> None:
    """A tar archive of class folders."""
    data.kind, data.file = "archive", "photos.tar"
    with tarfile.open(data.folder / "photos.tar", "w") as archive:
        for n, label in enumerate(AS_NAMES):
            _add(archive, f"photos/{label}/{n}.jpg", encoded(picture(n), ".jpg"))
            data.add(picture(n), label)


@hostile
def shard(data: DataSet) -> None:
    """A WebDataset shard, `n.jpg` and `n.cls`."""
    data.kind, data.file = "webdataset", "train-000000.tar"
    with tarfile.open(data.folder / "train-000000.tar", "w") as archive:
        for n, label in enumerate(ZERO_ONE):
            _add(archive, f"{n:04}.jpg", encoded(picture(n), ".jpg"))
            _add(archive, f"{n:04}.cls", str(label).encode())
            data.add(picture(n), str(label))


@hostile
def linked(data: DataSet) -> None:
    """A class folder that is a link to a folder elsewhere."""
    data.folder = data.folder / "photos"
    data.folder.mkdir()
    data.classes(names=["cat"])
    for n in range(10, 14):
        write(picture(n), data.folder.parent / "elsewhere" / f"{n}.jpg")
        data.add(picture(n), "dog")
    (data.folder / "dog").symlink_to("../elsewhere", target_is_directory=True)
