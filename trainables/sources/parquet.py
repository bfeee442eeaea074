"""Where images come from: digits, torchvision, parquet files and folders -> ImageDataset."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import ExifTags, Image, UnidentifiedImageError

from trainables.data import (
    DIGEST_BYTES,
    TEST,
    TRAIN,
    VALIDATION,
    Digests,
    ImageDataset,
    Images,
    Ints,
    image_digests,
)
from trainables.errors import InputError

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")
# EXIF orientation -> what turns the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DECODE_BLOCK = 256  # images a task of a thread
# How files begin, and folders are called, that hold each part.
PART_PREFIXES = {"train": TRAIN, "val": VALIDATION, "test": TEST}
PART_FOLDERS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
    "validation": VALIDATION, "test": TEST, "testing": TEST,
}  # fmt: skip


def load_dataset(
    source: str,
    image_size: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageDataset:
    """Read a dataset into memory, every image RGB and `image_size` pixels square.

    Args:
        source: a name of `NAMED_SOURCES`, a parquet file, a folder with `train*.parquet`, or a
            folder with a subfolder of images a class.
        image_size: pixels of height and width; other images are resized (bilinear). None is 32,
            but 16 for digits, which are 8×8: more pixels would cost time and show nothing new.
        image_column: of parquet files; None finds the usual names.
        label_column: of parquet files; None finds the usual names.

    Raises:
        InputError: the source is unknown, empty, damaged or not labelled as described.
    """
    if image_size is None:
        image_size = 16 if source == "digits" else 32
    if image_size < 1:
        raise InputError(f"image size {image_size} must be 1 or more pixels")
    if source in NAMED_SOURCES:
        return NAMED_SOURCES[source](source, image_size)
    path = Path(source).expanduser()
    if path.is_file():
        return _from_parquet(path, {TRAIN: [path]}, image_size, image_column, label_column)
    if not source or not path.is_dir():
        raise InputError(
            f"{source!r} is neither a file nor a folder here, nor one of "
            f"{', '.join(NAMED_SOURCES)}: check the spelling"
        )
    files = _parquet_parts(path)
    if files:
        return _from_parquet(path, files, image_size, image_column, label_column)
    return _from_folder(path, image_size)


# Images of any kind -> RGB squares


def decode(items: Sequence[tuple[str, bytes | Path]], size: int) -> tuple[Images, Digests]:
    """Decode image files into an N×size×size×3 array, on all cores, and hash each file, N×16.

    Args:
        items: where each comes from (for the error message), and its bytes or path.
        size: pixels of height and width.

    Raises:
        InputError: one is not a readable image; the message names it.
    """
    images = np.empty((len(items), size, size, 3), dtype=np.uint8)
    digests = np.empty((len(items), DIGEST_BYTES), dtype=np.uint8)

    def decode_one(i: int) -> None:
        where, content = items[i]
        try:
            content = content if isinstance(content, bytes) else content.read_bytes()
            digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
            digests[i] = np.frombuffer(digest, np.uint8)
            with Image.open(io.BytesIO(content)) as img:
                images[i] = to_rgb_square(img, size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
            raise InputError(
                f"{where} cannot be decoded ({reason}): replace the image or remove it"
            ) from error

    def decode_block(start: int) -> None:
        for i in range(start, min(start + DECODE_BLOCK, len(items))):
            decode_one(i)

    # Pillow releases the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode_block, range(0, len(items), DECODE_BLOCK)):
            pass  # raises what decode_block raised, the first image first
    return images, digests


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """The image files that are given, and those below the folders that are given.

    Raises:
        InputError: one is not there, or a folder holds none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = _images_below(path)
            if not found:
                raise InputError(
                    f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): give another "
                    "folder, or the files"
                )
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"there is no file or folder {path}: check the path")
    return files


def to_rgb_square(img: Image.Image, size: int) -> Images:
    """Turn an image of any mode and size into size×size×3 bytes, upright."""
    turn = UPRIGHT.get(img.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is not None:
        img = img.transpose(turn)
    if img.mode == "F":
        raise ValueError("its pixels are floats, which have no fixed range")
    if img.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
        wide = np.asarray(img, dtype=np.float64)
        # 32-bit mode I holds values of 8 or of 16 bits.
        scale = 1 if img.mode == "I" and wide.max(initial=0) <= 255 else 257
        img = Image.fromarray((wide / scale).round().clip(0, 255).astype(np.uint8))
    if img.mode != "RGB":
        img = img.convert("RGB")
    if img.size != (size, size):
        img = img.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(img)


def _resize_all(images: Images, size: int) -> Images:
    """Resize N×H×W or N×H×W×3 bytes to N×size×size×3."""
    if images.shape[1:] == (size, size, 3):
        return images
    return np.stack([to_rgb_square(Image.fromarray(image), size) for image in images])


# Named sources


def _digits(name: str, size: int) -> ImageDataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).round().astype(np.uint8)
    return ImageDataset(
        name=name,
        images=_resize_all(images, size),
        labels=bunch.target.astype(np.int64),
        classes=tuple(str(label) for label in bunch.target_names),
        parts=np.zeros(len(images), dtype=np.int8),
        digests=image_digests(images),
    )


def cache_folder() -> Path:
    """Where downloads and features are kept: `bakeoff` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bakeoff"


def _torchvision(name: str, size: int) -> ImageDataset:
    from filelock import FileLock
    from torchvision import datasets

    cls = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "fashion_mnist": datasets.FashionMNIST,
    }[name]
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / f"{name}.lock"):  # one process downloads, the others wait
            sets = [cls(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{name} could not be downloaded ({error}): connect to the network, or put the files "
            f"that torchvision keeps for it into {root}"
        ) from error
    images = np.concatenate([np.asarray(part.data) for part in sets])
    return ImageDataset(
        name=name,
        images=_resize_all(images, size),
        labels=np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in sets]),
        classes=tuple(sets[0].classes),
        parts=np.repeat(np.array([TRAIN, TEST], dtype=np.int8), [len(part) for part in sets]),
        digests=image_digests(images),
    )


NAMED_SOURCES: dict[str, Callable[[str, int], ImageDataset]] = {
    "digits": _digits,
    "cifar10": _torchvision,
    "cifar100": _torchvision,
    "fashion_mnist": _torchvision,
}


# Parquet in the Hugging Face layout


def _parquet_parts(folder: Path) -> dict[int, list[Path]]:
    """The parquet files of a folder, or of its `data` subfolder, by part."""
    for place in (folder, folder / "data"):
        files = sorted(place.glob("*.parquet"))
        if files:
            parts: dict[int, list[Path]] = {}
            for prefix, part in PART_PREFIXES.items():
                named = [file for file in files if file.name.startswith(prefix)]
                if named:
                    parts[part] = named
            if TRAIN not in parts:
                raise InputError(
                    f"{place} holds {files[0].name} but no train*.parquet: name the files "
                    "train*.parquet and test*.parquet, or give one parquet file"
                )
            return parts
    return {}


def _from_parquet(
    path: Path,
    parts: dict[int, list[Path]],
    size: int,
    image_column: str | None,
    label_column: str | None,
) -> ImageDataset:
    decoded, raw_labels, counts = [], [], []
    classes: tuple[str, ...] | None = None
    for files in parts.values():
        counts.append(0)
        for file in files:
            try:
                schema = pq.read_schema(file)
                image_name = _column(file, schema, image_column, IMAGE_COLUMNS, "image")
                label_name = _column(file, schema, label_column, LABEL_COLUMNS, "label")
                table = pq.read_table(file, columns=[image_name, label_name])
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{file} cannot be read as parquet ({error}): it may be truncated; "
                    "copy it again"
                ) from error
            names = _class_names(schema, label_name)
            if classes and names and names != classes:
                raise InputError(
                    f"{file} names its classes {', '.join(names)}, and the files before it "
                    f"{', '.join(classes)}: give every file the same names in the same order"
                )
            classes = classes or names
            decoded.append(decode(list(_image_bytes(file, table[image_name])), size))
            raw_labels.append((file, table[label_name]))
            counts[-1] += len(table)
    labels, classes = _labels(raw_labels, classes)
    images, digests = map(np.concatenate, zip(*decoded, strict=True))
    return ImageDataset(
        name=str(path),
        images=images,
        labels=labels,
        classes=classes,
        parts=np.repeat(np.array(list(parts), dtype=np.int8), counts),
        digests=digests,
    )


def _column(
    file: Path, schema: pa.Schema, given: str | None, usual: Sequence[str], kind: str
) -> str:
    for name in (given,) if given else usual:
        if name in schema.names:
            return name
    raise InputError(
        f"{file} has no column {given or ' or '.join(usual)} but {', '.join(schema.names)}: "
        f"name its {kind} column with --{kind}-column"
    )


def _class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    """Class names from the schema's `huggingface` metadata, if they are there."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(features[label_column]["names"])
    except (KeyError, TypeError, ValueError):  # no metadata, or of another kind
        return None


def _image_bytes(file: Path, column: pa.ChunkedArray) -> Iterator[tuple[str, bytes | Path]]:
    if pa.types.is_struct(column.type):
        if column.type.get_field_index("bytes") < 0:
            raise InputError(
                f"{file}: the image column is {column.type} and must hold bytes, or a struct with "
                "a field bytes: embed the images in the file"
            )
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise InputError(
            f"{file}: the image column is {column.type} and must hold bytes, or a struct with a "
            "field bytes: name the right one with --image-column"
        )
    for row, value in enumerate(column):
        content = value.as_py()
        if content is None:
            raise InputError(f"{file}, row {row} has no image: fill it in or remove the row")
        yield f"{file}, row {row}", content


def _labels(
    columns: list[tuple[Path, pa.ChunkedArray]], classes: tuple[str, ...] | None
) -> tuple[Ints, tuple[str, ...]]:
    """Labels of all files as integers, and the class names."""
    for file, column in columns:
        if column.null_count:
            row = next(i for i, value in enumerate(column) if not value.is_valid)
            raise InputError(f"{file}, row {row} has no label: fill it in or remove the row")
    texts = [pa.types.is_string(c.type) or pa.types.is_large_string(c.type) for _, c in columns]
    if all(texts):
        if classes is None:
            classes = tuple(sorted({str(name) for _, c in columns for name in c.unique()}))
        index = {name: i for i, name in enumerate(classes)}
        for file, column in columns:
            for name in column.unique().to_pylist():
                if name not in index:
                    raise InputError(
                        f"{file} has label {name!r}, which is none of the classes "
                        f"{', '.join(classes)}: correct it or add the class"
                    )
        return np.array([index[str(v)] for _, c in columns for v in c], dtype=np.int64), classes
    for file, column in columns:
        if not pa.types.is_integer(column.type):
            raise InputError(
                f"{file}: the label column is {column.type} and must hold integers or strings: "
                "convert it, or name the right one with --label-column"
            )
    arrays = [column.to_numpy().astype(np.int64) for _, column in columns]
    labels = np.concatenate(arrays)
    if classes is None:
        # Without names, the labels say how many classes there are. What says more than there are
        # images is no class.
        most = min(int(labels.max(initial=0)) + 1, max(len(labels), 1000))
        classes = tuple(str(label) for label in range(most))
    for (file, _), array in zip(columns, arrays, strict=True):
        wrong = np.flatnonzero((array < 0) | (array >= len(classes)))
        if len(wrong):
            raise InputError(
                f"{file}, row {wrong[0]}: label {array[wrong[0]]} is out of range, it must be from "
                f"0 to {len(classes) - 1}: correct it or remove the row"
            )
    return labels, classes


# A folder with a subfolder a class


def _from_folder(folder: Path, size: int) -> ImageDataset:
    parts: dict[int, Path] = {}
    for child in _subfolders(folder):
        part = PART_FOLDERS.get(child.name.lower())
        if part is not None and _subfolders(child):  # else a class of that name
            if part in parts:
                raise InputError(
                    f"{folder} holds {parts[part].name} and {child.name}, which are one part: put "
                    "their images into one of them"
                )
            parts[part] = child
    if parts and TRAIN not in parts:
        raise InputError(
            f"{folder} holds {', '.join(p.name for p in parts.values())} but no train: add a "
            "folder train with a subfolder of images a class"
        )
    if not parts:
        parts = {TRAIN: folder}
    classes = tuple(child.name for child in _subfolders(parts[TRAIN]))
    items: list[tuple[str, bytes | Path]] = []
    labels: list[int] = []
    codes: list[int] = []
    for part, place in sorted(parts.items()):
        for child in _subfolders(place):
            if child.name not in classes:
                raise InputError(
                    f"{child} is no class of {parts[TRAIN]}, which has {', '.join(classes)}: "
                    "the parts must have the same subfolders"
                )
            files = _images_below(child)
            items += [(str(file), file) for file in files]
            labels += [classes.index(child.name)] * len(files)
            codes += [part] * len(files)
    if not items:
        raise InputError(
            f"{folder} holds no images and no train*.parquet: give a folder with a subfolder of "
            f"images ({', '.join(sorted(IMAGE_SUFFIXES))}) for each class"
        )
    images, digests = decode(items, size)
    return ImageDataset(
        name=str(folder),
        images=images,
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        parts=np.array(codes, dtype=np.int8),
        digests=digests,
    )


def _images_below(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith("."))
