"""Files of the cache of decoded images: facts, views that are complete or absent, and room.

Shape letters: N images.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from trainables.arrays import DIGEST_BYTES, Digests, Ints
from trainables.duplicates import Copies
from trainables.errors import InputError
from trainables.views import View

LAST_USE_FILE = "last-use"
HEADER_BYTES = 128
"""Length of the header of the `.npy` files, as NumPy pads it."""
LONGEST_NAME = 16
"""Number of characters of Pillow's longest names of formats and modes, and some more."""
HEADER_ARRAYS = "formats", "modes", "turned", "transparent", "contrasts"
"""Arrays of the facts that are stored under their own names."""


@dataclass(frozen=True)
class Facts:
    """What decoding found out about each image of a source."""

    digests: Digests
    """Hash of each image as the source stores it, N×16, uint8."""
    sizes: Ints
    """Height and width of each image in pixels, upright, N×2, int64; 0 where it is damaged."""
    errors: dict[int, str]
    """Reason why an image cannot be decoded, by its row."""
    copies: Copies
    """Pairs of images that show the same picture."""
    formats: npt.NDArray[np.str_]
    """Pillow's name of each image's format, N, e.g. JPEG; empty where it is damaged."""
    modes: npt.NDArray[np.str_]
    """Pillow's name of each image's layout of pixels, N, e.g. RGB; empty where it is damaged."""
    turned: npt.NDArray[np.bool_]
    """Whether an image was turned upright by its EXIF data, N, bool."""
    transparent: npt.NDArray[np.bool_]
    """Whether an image has an alpha channel or a transparent colour, N, bool."""
    contrasts: npt.NDArray[np.uint8]
    """Difference of the brightest and the darkest of the 16×16 parts of each image, in grey
    levels, N, uint8; 0 where it is damaged."""

    @classmethod
    def unknown(cls, n: int) -> Facts:
        """Return the facts of `n` images of which nothing is known yet, to be filled in."""
        return cls(
            digests=np.zeros((n, DIGEST_BYTES), dtype=np.uint8),
            sizes=np.zeros((n, 2), dtype=np.int64),
            errors={},
            copies=Copies(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=bool)),
            formats=np.zeros(n, dtype=f"U{LONGEST_NAME}"),
            modes=np.zeros(n, dtype=f"U{LONGEST_NAME}"),
            turned=np.zeros(n, dtype=bool),
            transparent=np.zeros(n, dtype=bool),
            contrasts=np.zeros(n, dtype=np.uint8),
        )


def cache_folder() -> Path:
    """Return the folder of downloads, images and features: `bakeoff` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bakeoff"


def images_folder() -> Path:
    """Return the folder of the cache. Users may delete it when no job is running."""
    return cache_folder() / "images"


def make_room(limit: int, needed: int, entry: Path, spared: Sequence[str]) -> None:
    """Delete what was not used for longest, until `needed` bytes can be added to an entry.

    These are other entries, and then other views of the same entry. An entry that another process
    is filling stays. Trials that read a deleted file can go on reading it.

    Args:
        limit: Size in bytes that the cache may have.
        needed: Number of bytes that will be added.
        entry: Entry that they are added to, whose lock this process has.
        spared: Names of the files in it that are needed.

    Raises:
        InputError: `needed` bytes exceed the limit or the free space of the disk.
    """
    others = [e for e in images_folder().iterdir() if e.is_dir() and e != entry]
    total = sum(map(_size, (*others, entry)))
    for other in sorted(others, key=_last_use):
        if total + needed > limit:
            with contextlib.suppress(Timeout), FileLock(other.with_suffix(".lock"), timeout=0):
                total -= _size(other)
                shutil.rmtree(other, ignore_errors=True)
    own = [file for file in entry.glob("*.npy") if file.name not in spared]
    for file in sorted(own, key=lambda file: file.stat().st_mtime):
        if total + needed > limit:
            total -= file.stat().st_size
            file.unlink()
    free = shutil.disk_usage(images_folder()).free
    for room, what, remedy in (
        (limit - total, "--cache-gb leaves", "raise --cache-gb"),
        (free, "the disk has", f"free space below {images_folder()}"),
    ):
        if needed > room:
            raise InputError(
                f"the decoded images need {needed / 1e9:.1f} GB, and {what} "
                f"{max(0, room) / 1e9:.1f} GB: {remedy}, give a smaller --image-size, or decode "
                "images whenever they are read with --cache-gb 0"
            )


def _size(entry: Path) -> int:
    """Return the size of an entry in bytes; another process may be changing it."""
    size = 0
    with contextlib.suppress(FileNotFoundError):
        for file in entry.iterdir():
            size += file.stat().st_size
    return size


@contextlib.contextmanager
def partial_files(entry: Path, views: Sequence[View], n: int) -> Iterator[dict[View, int]]:
    """Open a file for each view, which is complete and in its place afterwards, or absent."""
    with contextlib.ExitStack() as stack:
        files: dict[View, int] = {}
        try:
            for view in views:
                partial = entry / f"{view.name}.partial"
                stack.callback(partial.unlink, missing_ok=True)
                with partial.open("wb") as file:
                    header: dict[str, Any] = {
                        "descr": "|u1", "fortran_order": False,
                        "shape": (n, view.size, view.size, 3),
                    }  # fmt: skip
                    np.lib.format.write_array_header_1_0(file, header)
                    assert file.tell() == HEADER_BYTES
                    size = n * view.size**2 * 3
                    if size:
                        os.posix_fallocate(file.fileno(), HEADER_BYTES, size)
                files[view] = os.open(partial, os.O_WRONLY)
                stack.callback(os.close, files[view])
            yield files
        except OSError as error:
            raise InputError(
                f"the decoded images cannot be written to {entry} ({error}): free space there, or "
                "decode images whenever they are read with --cache-gb 0"
            ) from error
        for view in views:
            (entry / f"{view.name}.partial").replace(entry / f"{view.name}.npy")


def save_facts(file: Path, facts: Facts) -> None:
    """Write the facts of a pass."""
    partial = file.with_suffix(".partial")
    rows = np.array(sorted(facts.errors), dtype=np.int64)
    with partial.open("wb") as target:
        np.savez(
            target,
            digests=facts.digests,
            sizes=facts.sizes,
            pairs=facts.copies.pairs,
            identical=facts.copies.identical,
            error_rows=rows,
            errors=np.array([facts.errors[row] for row in rows.tolist()], dtype=np.str_),
            **{name: getattr(facts, name) for name in HEADER_ARRAYS},
        )
    partial.replace(file)


def load_facts(file: Path) -> Facts | None:
    """Return the facts of an earlier pass; None if its file is missing, damaged or outdated."""
    try:
        with np.load(file) as arrays:
            names, reasons = arrays["error_rows"].tolist(), arrays["errors"].tolist()
            errors = dict(zip(names, reasons, strict=True))
            copies = Copies(arrays["pairs"], arrays["identical"])
            headers = {name: arrays[name] for name in HEADER_ARRAYS}
            return Facts(arrays["digests"], arrays["sizes"], errors, copies, **headers)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def touch(entry: Path) -> None:
    """Note that an entry was used now."""
    with contextlib.suppress(FileNotFoundError):  # another process made room
        (entry / LAST_USE_FILE).touch()


def _last_use(entry: Path) -> float:
    """Return when an entry was last used, in seconds since 1970."""
    try:
        return (entry / LAST_USE_FILE).stat().st_mtime
    except FileNotFoundError:  # it is being made
        return time.time()
