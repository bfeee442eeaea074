"""What libraries and this project make of image datasets as people have them.

    python -m benchmarks.hostile_sources [--readers torchvision timm …] [--sets turned_tiff …]

Makes the datasets of hostile_folders.py and hostile_layouts.py in a temporary folder, reads each
with every library that is installed, and compares what comes back with what was put in: the class
and part of each image, and its pixels. Prints a table in markdown, and the reason of every cell
that is not plainly right. All of it needs

    pip install datasets timm fastai ultralytics webdataset pillow-heif pi-heif
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import re
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import benchmarks.hostile_folders
import benchmarks.hostile_layouts
import benchmarks.hostile_pixels  # noqa: F401 (these three register their datasets)
from benchmarks.hostile_data import MAKERS, DataSet, Pixels, Row, formats, made
from benchmarks.hostile_readers import (
    DOCUMENTED,
    READERS,
    Found,
    Reading,
    prepare,
    read,
    version_of,
)

TOLERANCE = 6
"""Mean difference of two thumbnails, of 255, up to which they show the same; JPEG's is below 3."""
OUTCOMES = {
    "right": "every image came back once, upright, with its colours, class and part",
    "right: refused": "there is no right reading, and it was refused with a reason",
    "refused": "an error, or images without labels, although there is a right reading",
    "wrong, said": "something is wrong, and a message names it",
    "not noticed": "it came back as it lies on disk; nothing was said of the fault in it",
    "**silently wrong**": "labels, parts or pixels are wrong, and nothing was said",
    "–": "the library reads nothing of this kind",
}


def differences(data: DataSet, reading: Reading) -> list[str]:
    """Say how what was read differs from what should have been; empty if it does not."""
    found = list(reading.rows)
    missing = []
    for row in data.rows:  # what came back as it should
        match = next((f for f in found if f[:2] == (row.part, row.label) and alike(f, row)), None)
        if match is None:
            missing.append(row)
        else:
            found = [f for f in found if f is not match]
    said: Counter[str] = Counter()
    lost = []
    for row in missing:  # the image came back, but not its class or part
        match = next((f for f in found if alike(f, row)), None)
        if match is None:
            lost.append(row)
        else:
            found = [f for f in found if f is not match]
            said[f"{in_words(row.part, row.label)} returned as {in_words(*match[:2])}"] += 1
    example = ""
    for row in lost:  # its class and part have one image too many, which looks otherwise
        others = [f for f in found if f[:2] == (row.part, row.label)]
        if not others:
            said[f"{in_words(row.part, row.label)} missing"] += 1
        else:
            match = min(others, key=lambda f: distance(f[2], row.accepted[0]))
            found = [f for f in found if f is not match]
            said[f"{in_words(row.part, row.label)} with other pixels"] += 1
            example = example or unlike(match[2], row.accepted[0])
    for part, label, _ in found:
        said[f"{in_words(part, label)} too many"] += 1
    return [f"{count} of {what}" for what, count in said.most_common()] + [example] * bool(example)


def distance(pixels: Pixels, right: Pixels) -> float:
    """Return the mean difference of two thumbnails."""
    return float(np.abs(pixels.astype(np.int16) - right).mean())


def alike(found: Found, row: Row) -> bool:
    """Return whether an image looks like what is expected."""
    return any(distance(found[2], accepted) <= TOLERANCE for accepted in row.accepted)


def unlike(pixels: Pixels, right: Pixels) -> str:
    """Say which pixel of two thumbnails differs most, and its red, green and blue in both."""
    away = np.abs(pixels.astype(np.int16) - right).sum(axis=2)
    y, x = np.unravel_index(away.argmax(), away.shape)
    return f"e.g. {tuple(pixels[y, x].tolist())} instead of {tuple(right[y, x].tolist())}"


def in_words(part: str, label: str | None) -> str:
    """Name a part and class."""
    return f"{part} without class" if label is None else f"{part} {label!r}"


def judge(data: DataSet, reading: Reading | None) -> tuple[str, str]:
    """Return the outcome of a reading, one of OUTCOMES, and its reason."""
    if reading is None:
        return "–", ""
    if reading.error:
        return ("right: refused" if data.refuse else "refused"), reading.error
    labelled = [label for _, label, _ in reading.rows if label is not None]
    found = differences(data, reading)
    said = [line for line in reading.said.splitlines() if data.says and re.search(data.says, line)]
    message = f"; says: {said[0].strip()}" if said else ""
    if not labelled:
        outcome = "right: refused" if data.refuse else "refused"
        return outcome, f"{len(reading.rows)} images without labels"
    if data.refuse or found:
        reason = "; ".join(found) or f"read although {data.refuse}"
        # What has no class may be left out, if that is said.
        if said and not data.refuse and all("without class missing" in each for each in found):
            return "right", reason + message
        return ("wrong, said" if said else "**silently wrong**"), reason + message
    if data.must_say and not said:
        return "not noticed", "no message about it"
    return "right", ""


def cell(text: str, length: int = 220) -> str:
    """Return text for a cell of a markdown table."""
    text = re.sub(r"\x1b\[[0-9;]*\w", "", text).replace("|", "\\|").strip()
    return text if len(text) <= length else text[: length - 1] + "…"


def readings(reader: str, names: list[str], scratch: Path) -> dict[str, tuple[str, str]]:
    """Make and read datasets with one reader in a process of its own, and judge each."""
    outcomes = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=prepare, initargs=(scratch,)) as process:
        for number, name in enumerate(names):
            # Each reader has its own copy, because some of them change what they read. The path
            # holds no word that a message about a fault would be told by.
            data = made(name, scratch / f"{list(READERS).index(reader)}-{number}" / "photos")
            outcomes[name] = judge(data, process.submit(read, reader, data).result())
    return outcomes


def main() -> None:
    """Read the chosen datasets with the chosen readers, by default all, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    installed = [
        name
        for name, (package, _) in READERS.items()
        if not package or importlib.util.find_spec(package)
    ]
    parser.add_argument("--readers", nargs="+", choices=list(READERS), default=installed)
    parser.add_argument("--sets", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    options = parser.parse_args()
    formats()
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = {}
        for reader in options.readers:
            outcomes[reader] = readings(reader, options.sets, Path(scratch))
    print(f"| dataset | {' | '.join(f'{r} {version_of(r)}'.strip() for r in outcomes)} |")
    print("| --- " * (len(outcomes) + 1) + "|")
    for name in options.sets:
        print(f"| {MAKERS[name][0]} | {' | '.join(o[name][0] for o in outcomes.values())} |")
    counts = {
        reader: Counter(outcome for outcome, _ in o.values()) for reader, o in outcomes.items()
    }
    for outcome in OUTCOMES:
        numbers = (str(count[outcome]) for count in counts.values())
        print(f"| *{outcome.strip('*')}, of {len(options.sets)}* | {' | '.join(numbers)} |")
    print()
    for outcome, meaning in OUTCOMES.items():
        print(f"- {outcome}: {meaning}.")
    print("\nWhat the libraries say of themselves:\n")
    for reader in outcomes:
        if reader in DOCUMENTED:
            print(f"- {reader}: {DOCUMENTED[reader]}")
    print("\n| dataset | reader | outcome | what happened |\n| --- | --- | --- | --- |")
    for name in options.sets:
        for reader, judged in outcomes.items():
            outcome, reason = judged[name]
            if reason:
                print(f"| {MAKERS[name][0]} | {reader} | {outcome} | {cell(reason)} |")


if __name__ == "__main__":
    main()
