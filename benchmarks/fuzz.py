"""Feed readers and parsers with damaged input, by Hypothesis (pip install hypothesis).

    python -m benchmarks.fuzz [READER ...] [--examples 20000]

Each reader gets changed copies of a good file, or random words. It may raise InputError (for
images, DecodingError) within five seconds; any other exception is printed with the smallest input
that Hypothesis finds.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import io
import json
import random
import tarfile
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from trainables.config import TrialConfig
from trainables.decoding import DecodingError, open_rgb, render
from trainables.errors import InputError
from trainables.model_file import MODEL_FORMAT, parse_description
from trainables.source_options import SourceOptions
from trainables.sources import list_images
from trainables.views import Decoding, View
from tune_jobs.command_line.parser import parse
from tune_jobs.lr_grid import GridOptions
from tune_jobs.run_folder.constraints import parse_constraints
from tune_jobs.run_folder.folder import EPOCHS_FILE, RUN_FILE, TRIALS_FILE, RunFolder
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space_file import load_space, space_yaml

SECONDS = 5
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([10**400, -1, 0, 1e308, "\x1b[2J", "../../etc/passwd", "os:abort", "9" * 5000]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner)
)


def changed(document: Any, path: list[int], value: Any, delete: bool) -> Any:
    """Return a JSON document with one value replaced or deleted."""
    document = copy.deepcopy(document)
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return document
        key = keys[path.pop() % len(keys)] if path else keys[0]
        if path and isinstance(node[key], (dict, list)) and node[key]:
            node = node[key]
            continue
        if delete:
            del node[key]
        else:
            node[key] = value
        return document


def documents(good: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of JSON documents that differ from a good one in one value."""
    paths = st.lists(st.integers(0, 1000), min_size=1, max_size=5)
    return st.builds(changed, st.just(good), paths, values, st.booleans())


def edited(good: bytes, edits: list[tuple[int, bytes]], end: int) -> bytes:
    """Return bytes with some overwritten, and maybe truncated."""
    content = bytearray(good)
    for start, new in edits:
        position = start % (len(content) + 1)
        content[position : position + len(new)] = new
    return bytes(content[: end % (len(content) + 1)] if end else content)


def damaged(*good: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of damaged copies of files."""
    edits = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=8)), max_size=4)
    ends = st.one_of(st.just(0), st.integers(1, 10**6))
    return st.builds(edited, st.sampled_from(good), edits, ends)


def good_images() -> list[bytes]:
    """Return small files of the formats that are read."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    files = []
    for kind, mode in (
        ("JPEG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("WEBP", "RGBA"),
        ("TIFF", "RGB"), ("BMP", "RGB"), ("PPM", "L"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind)
        files.append(buffer.getvalue())
    return files


def good_tables() -> dict[str, bytes]:
    """Return sources of labelled images, by the ending of their name."""
    frame = pd.DataFrame({"file": ["a.png", "b.png"] * 3, "label": ["cat", "dog"] * 3})
    parquet, archive, tape = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    image = good_images()[1]
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file,
        tarfile.open(fileobj=tape, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for i in range(6):
            info = tarfile.TarInfo(f"train/{'ab'[i % 2]}/{'é' * (i == 5)}{i}.png")
            info.size = len(image)
            file.writestr(info.name, image)
            tar.addfile(info, io.BytesIO(image))
    return {
        "csv": frame.to_csv(index=False).encode(), "parquet": parquet.getvalue(),
        "jsonl": frame.to_json(orient="records", lines=True).encode(), "zip": archive.getvalue(),
        "tar": tape.getvalue(),
    }  # fmt: skip


def read_model(document: Any) -> None:
    """Read the description of a saved model."""
    parse_description(json.dumps(document).encode())


def read_image(content: bytes) -> None:
    """Decode an image, and make a square of it."""
    how = Decoding()
    render(open_rgb(content, how, 16), View(16), how)


def read_source(content: bytes, ending: str) -> None:
    """List the images of a source, and read their files."""
    file = FOLDER / f"source.{ending}"
    file.write_bytes(content)
    images = list_images(SourceOptions(data=str(file))).images
    for row in range(len(images)):
        with contextlib.suppress(OSError):  # by which a damaged image is named
            images.read(row)


def read_space(content: bytes) -> None:
    """Read a search space."""
    file = FOLDER / "space.yaml"
    file.write_bytes(content)
    load_space(file)


def read_run(document: Any) -> None:
    """Read the record of a run, and its stored options as on --resume."""
    (FOLDER / "run" / RUN_FILE).write_text(json.dumps(document))
    RunFolder.at(FOLDER / "run").read_record()
    parse(GridOptions, None, ["--name", "run", "--storage-path", str(FOLDER), "--resume"])


def read_tables(content: bytes, name: str) -> None:
    """Read a table of a run."""
    (FOLDER / "run" / name).write_bytes(content)
    RunFolder.at(FOLDER / "run").read_rows(name)
    RunFolder.at(FOLDER / "run").read_frame(name)


def read_words(words: list[str]) -> None:
    """Parse a command line."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            parse(GridOptions, None, words)
        except SystemExit as ended:  # --help
            if ended.code != 0:
                raise


def good_record() -> dict[str, Any]:
    """Return a record of a run."""
    return {
        "format": 1, "job": "lr-grid", "status": "finished", "started": "", "resumed": [],
        "dataset": {}, "split": {}, "options": dataclasses.asdict(GridOptions()),
    }  # fmt: skip


def readers() -> dict[str, tuple[Callable[..., None], list[st.SearchStrategy[Any]]]]:
    """Return functions and strategies of their arguments, by name."""
    (FOLDER / "run").mkdir()
    table = good_tables()
    about = {
        "format": MODEL_FORMAT, "model": "cnn", "model_args": TrialConfig(lr=1e-3).build_args,
        "classes": ["cat", "dog"], "view": dataclasses.asdict(View(16)),
        "decoding": dataclasses.asdict(Decoding()), "input_size": None, "mean": [0.5] * 3,
        "std": [0.5] * 3, "sha256": "0" * 64,
    }  # fmt: skip
    names = [field for group in dataclasses.asdict(GridOptions()).values()
             if isinstance(group, dict) for field in group]  # fmt: skip
    options = st.sampled_from([f"--{name.replace('_', '-')}" for name in names])
    words = st.lists(st.one_of(options, st.text(max_size=12), scalars.map(str)), max_size=6)
    return {
        "model": (read_model, [documents(about)]),
        "image": (read_image, [damaged(*good_images())]),
        **{
            f"source-{ending}": (read_source, [damaged(content), st.just(ending)])
            for ending, content in table.items()
        },
        "space": (read_space, [damaged(space_yaml(default_space()).encode())]),
        "run": (read_run, [documents(good_record())]),
        "tables": (
            read_tables,
            [damaged(table["parquet"]), st.sampled_from([TRIALS_FILE, EPOCHS_FILE])],
        ),
        "constraint": (lambda text: (parse_constraints([text]), None)[1], [st.text()]),
        "words": (read_words, [words]),
    }


def check(
    name: str, read: Callable[..., None], arguments: list[st.SearchStrategy[Any]], examples: int
) -> bool:
    """Feed a reader; return whether it always refused or read its input."""

    @settings(  # type: ignore[untyped-decorator]
        max_examples=examples, deadline=1000 * SECONDS, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(st.tuples(*arguments))  # type: ignore[untyped-decorator]
    def feed(inputs: tuple[Any, ...]) -> None:
        try:
            read(*inputs)
        except (InputError, DecodingError):
            return

    try:
        feed()
    except Exception as error:
        inputs = "\n".join(getattr(error, "__notes__", []))
        error.__notes__ = []
        print(f"{name}: FAULT\n{traceback.format_exc()}{inputs[:2000]}", flush=True)
        return False
    print(f"{name}: {examples:,} inputs, each read or refused", flush=True)
    return True


def main() -> None:
    """Feed the readers that were named, or all."""
    chosen = readers()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[[], *chosen])
    parser.add_argument("--examples", type=int, default=20_000)
    options = parser.parse_args()
    random.seed(0)
    names = options.readers or list(chosen)
    held = [check(name, *chosen[name], options.examples) for name in names]
    raise SystemExit(not all(held))


if __name__ == "__main__":
    main()
