"""Ledger of the openings of sealed test images: when, by which command, for which models.

An opening is logged before any test image is read, in the storage path of the compared runs and in
the user's cache, so that it is found for runs in another place too: `.test-openings/DATASET.json`,
where DATASET is the fingerprint of the dataset, and `.test-openings/images/TEST.npy` with the
digests of the test images, where TEST is their hash. Openings of other datasets and splits count
where they share test images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.arrays import DIGEST_BYTES, Digests
from trainables.cache_files import cache_folder
from tune_jobs.run_folder.folder import RunFolder

LEDGER_FOLDER, IMAGES_FOLDER = ".test-openings", "images"
FORMAT = 2
"""Version of the files; entries of format 1 lack the split, the test images and the weights."""
WAIT_S = 30.0
"""Seconds to wait for another process that is writing the ledger of the user's cache."""


@dataclass(frozen=True)
class OpenedImages:
    """Test images that a comparison opens."""

    dataset: str
    """Fingerprint of the dataset."""
    split: str
    """Fingerprint of the split."""
    digests: Digests
    """Hash of each test image as the source stores it, N×16, uint8."""

    @property
    def name(self) -> str:
        """Hash of the test images, whatever their order, labels and dataset."""
        content = np.sort(self.keys).tobytes()
        return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()

    @property
    def keys(self) -> Any:
        """Hashes as N bytes of one type, which can be sorted and intersected."""
        return np.ascontiguousarray(self.digests).view(f"S{DIGEST_BYTES}").ravel()


def ledgers(storages: Iterable[RunFolder]) -> list[RunFolder]:
    """Return the folders of the ledgers: of every storage path, then of the user's cache."""
    return [each.child(LEDGER_FOLDER) for each in (*storages, RunFolder.at(cache_folder()))]


def openings(storages: Iterable[RunFolder], opened: OpenedImages) -> list[dict[str, Any]]:
    """Return all openings that saw any of these test images, oldest first.

    Each has `shared`, the number of the images that it saw; all of them for entries of format 1,
    which are found by their dataset alone.

    Args:
        storages: folders that hold the run folders.
        opened: test images.
    """
    found: dict[str, dict[str, Any]] = {}
    for ledger in ledgers(storages):
        shared: dict[str, int] = {}
        for dataset, entry in _entries(ledger):
            name = entry.get("test_images")
            if name is None:
                count = len(opened.digests) if dataset == opened.dataset else 0
            else:
                if name not in shared:
                    shared[name] = _shared(ledger, name, opened)
                count = shared[name]
            if count:
                found[entry["id"]] = entry | {"shared": count}
    return sorted(found.values(), key=lambda entry: str(entry["when"]))


def log_opening(
    storages: Iterable[RunFolder],
    opened: OpenedImages,
    *,
    when: str,
    command: str,
    models: Sequence[dict[str, Any]],
) -> None:
    """Log an opening in the ledger of every storage path and of the user's cache.

    Args:
        storages: folders that hold the run folders.
        opened: test images.
        when: time of the opening, in ISO 8601.
        command: command line of the comparison.
        models: run, trial, role and hash of the weights of every model that is scored.

    Raises:
        InputError: a ledger cannot be written, or another process is writing it.
    """
    entry = {
        "id": uuid.uuid4().hex,
        "when": when,
        "command": command,
        "models": list(models),
        "images": len(opened.digests),
        "split": opened.split,
        "test_images": opened.name,
    }
    buffer = io.BytesIO()
    np.save(buffer, opened.digests)
    name = f"{opened.dataset}.json"
    *own, cache = ledgers(storages)
    for ledger in (*own, cache):
        images = ledger.child(IMAGES_FOLDER)
        ledger.make()
        with ledger.lock(WAIT_S if ledger is cache else 0):
            images.make()
            images.write(f"{opened.name}.npy", buffer.getvalue())
            known = ledger.read_json(name)["openings"] if ledger.has(name) else []
            ledger.write_json(name, {"format": FORMAT, "openings": [*known, entry]})


def _entries(ledger: RunFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fingerprint of the dataset and the entry of every opening in a ledger."""
    for name in ledger.names():
        if name.endswith(".json"):
            for entry in ledger.read_json(name)["openings"]:
                yield name.removesuffix(".json"), entry


def _shared(ledger: RunFolder, name: str, opened: OpenedImages) -> int:
    """Return the number of the images that are among those of an earlier opening."""
    if name == opened.name:
        return len(opened.digests)
    digests = np.load(io.BytesIO(ledger.child(IMAGES_FOLDER).read(f"{name}.npy")))
    earlier = dataclasses.replace(opened, digests=digests)
    return int(np.isin(opened.keys, earlier.keys).sum())
