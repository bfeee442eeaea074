"""How often the sealed test part of a dataset was opened, and for what.

Every opening is written before an image is looked at, beside the runs that were compared: as
`.test-openings/FINGERPRINT.json` in their storage, FINGERPRINT of the dataset.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from tune_jobs.run_folder.folder import RunFolder

LEDGER_FOLDER = ".test-openings"
FORMAT = 1


def openings(storages: Iterable[RunFolder], fingerprint: str) -> list[dict[str, Any]]:
    """All openings of a dataset's test part that these storages know of, the oldest first."""
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
    """Enter an opening into the ledger of every storage.

    Raises:
        InputError: one cannot be written, or another process is writing it.
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
