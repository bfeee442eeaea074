"""Ledger of the openings of a dataset's sealed test set: when, by which command, for which models.

An opening is logged before any test image is read, in the storage path of the compared runs:
`.test-openings/FINGERPRINT.json`, where FINGERPRINT is that of the dataset.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from tune_jobs.run_folder.folder import RunFolder

LEDGER_FOLDER = ".test-openings"
FORMAT = 1


def openings(storages: Iterable[RunFolder], fingerprint: str) -> list[dict[str, Any]]:
    """Return all openings of a dataset's test set that the storage paths have, oldest first.

    Args:
        storages: folders that hold the run folders.
        fingerprint: fingerprint of the dataset.
    """
    found: dict[str, dict[str, Any]] = {}
    for storage in storages:
        ledger = storage.child(LEDGER_FOLDER)
        if ledger.has(_file(fingerprint)):
            known = ledger.read_json(_file(fingerprint))["openings"]
            found |= {entry["id"]: entry for entry in known}
    return sorted(found.values(), key=lambda entry: str(entry["when"]))


def log_opening(
    storages: Iterable[RunFolder],
    fingerprint: str,
    *,
    when: str,
    command: str,
    models: Sequence[dict[str, Any]],
    images: int,
) -> None:
    """Log an opening in the ledger of every storage path.

    Args:
        storages: folders that hold the run folders.
        fingerprint: fingerprint of the dataset.
        when: time of the opening, in ISO 8601.
        command: command line of the comparison.
        models: run, trial and role of every model that is scored.
        images: number of test images.

    Raises:
        InputError: a ledger cannot be written, or another process is writing it.
    """
    entry = {
        "id": uuid.uuid4().hex,
        "when": when,
        "command": command,
        "models": list(models),
        "images": images,
    }
    for storage in storages:
        ledger = storage.child(LEDGER_FOLDER)
        ledger.make()
        with ledger.lock():
            known = openings([storage], fingerprint)
            ledger.write_json(_file(fingerprint), {"format": FORMAT, "openings": [*known, entry]})


def _file(fingerprint: str) -> str:
    return f"{fingerprint}.json"
