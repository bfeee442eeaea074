"""Decode and split the images of a run."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from trainables.arrays import Ints
from trainables.cache_files import Facts, images_folder
from trainables.config import TrialConfig
from trainables.data import ImageDataset, Split, split
from trainables.errors import InputError
from trainables.image_rows import ImageRows
from trainables.sources import describe_ignored
from trainables.sources.listing import Listing
from trainables.trial_images import TrialImages
from trainables.views import View
from tune_jobs.analysis.formatting import file_size
from tune_jobs.command_line.options import DataOptions, current_data_options
from tune_jobs.command_line.terminal import redraws
from tune_jobs.run_folder.folder import TEST_IMAGES_FILE, RunFolder
from tune_jobs.tuning.copies import CopyCounts, count_copies, refuse_copies, without_copies
from tune_jobs.tuning.found_images import FoundImages, find_images, stored_size

SMOKE_TRAIN, SMOKE_VALIDATION = 512, 256
"""Maximum numbers of training and validation images with --smoke-test."""
NAMED_ERRORS = 20
"""Number of damaged images that a message names."""
ANNOUNCED = 2000
"""Number of images above which decoding is announced."""


@dataclass(frozen=True)
class RunData:
    """The dataset of a run, its split, and the images that trials may see."""

    found: FoundImages
    """Images of the source."""
    dataset: ImageDataset
    """Labels and digests of all images, with those of the test split."""
    rows: Ints
    """Row of each image of the dataset in the source, N, int64."""
    split: Split
    """Indices of the training, validation and test splits."""
    trials: TrialImages
    """Training and validation images, without the test split."""
    facts: Facts
    """What decoding found out about each image of the source."""
    decoding_s: float
    """Seconds that decoding took; little if the cache had the images."""
    copies: CopyCounts
    """Images that show the same picture as another one."""
    dropped: int
    """Number of images that were left out as copies of others."""

    def images(self, indices: Ints, view: View) -> ImageRows:
        """Return images of the dataset in a view."""
        return ImageRows(self.found.images.store(view), self.rows[indices])


def read_images(
    found: FoundImages,
    views: Sequence[View],
    fractions: tuple[float, float, float] | None,
    smoke_test: bool,
    console: Console,
) -> RunData:
    """Decode the images that the cache lacks, and split the dataset.

    The test split stays in the result's `dataset` and `split`; `trials` does not contain it.

    Args:
        found: images of the source.
        views: views that trials will read.
        fractions: fractions of the training, validation and test splits, as `split` takes them.
        smoke_test: keep only a few training and validation images.
        console: terminal or log file.

    Raises:
        InputError: an image is damaged, the cache has no room, or the dataset is too small to be
            split.
    """
    listing, options = found.listing, found.options
    start = time.perf_counter()
    facts = scan(found, views, console)
    decoding_s = time.perf_counter() - start
    if facts.errors and not options.skip_bad:
        raise InputError(
            f"{len(facts.errors)} of {len(listing.labels):,} images of {listing.name} are damaged: "
            f"{named_errors(found, facts.errors)}: replace them, or leave them out with --skip-bad"
        )
    rows = np.setdiff1d(np.arange(len(listing.labels)), np.array(sorted(facts.errors), dtype=int))
    usable = len(rows)
    if options.duplicates == "drop":
        rows = without_copies(listing, facts, rows)
    dataset = dataset_of(listing, facts, rows)
    splits = split(dataset, fractions, options.split_seed)
    counts = count_copies(listing, facts, rows, splits.codes(len(rows)))
    if options.duplicates == "fail":
        refuse_copies(counts, listing.name)
    if smoke_test:
        splits = dataclasses.replace(
            splits,
            train=splits.train[:: -(-len(splits.train) // SMOKE_TRAIN)],
            validation=splits.validation[:: -(-len(splits.validation) // SMOKE_VALIDATION)],
        )
    size = found.stored_size
    trials = TrialImages(
        images=found.images,
        classes=dataset.classes,
        train_rows=rows[splits.train],
        train_labels=dataset.labels[splits.train],
        val_rows=rows[splits.validation],
        val_labels=dataset.labels[splits.validation],
        groups=groups_of(dataset, splits),
        default_view=None if size is None else View(size, "squash"),
    )
    dropped = usable - len(rows)
    return RunData(found, dataset, rows, splits, trials, facts, decoding_s, counts, dropped)


def groups_of(dataset: ImageDataset, splits: Split) -> Ints | None:
    """Return the group of each training image, then of each validation image, as numbers."""
    if dataset.groups is None:
        return None
    _, codes = np.unique(np.array(dataset.groups), return_inverse=True)
    return np.asarray(codes[np.concatenate([splits.train, splits.validation])], dtype=np.int64)


def dataset_of(listing: Listing, facts: Facts, rows: Ints) -> ImageDataset:
    """Return what is known of some images of a source, by their rows."""
    groups = listing.groups
    return ImageDataset(
        name=listing.name,
        labels=listing.labels[rows],
        classes=listing.classes,
        parts=listing.parts[rows],
        digests=facts.digests[rows],
        groups=None if groups is None else tuple(groups[row] for row in rows),
    )


def views_of(configs: Sequence[TrialConfig]) -> list[View]:
    """Return the views in which trials read their images."""
    views = [view for config in configs for view in (config.view, config.train_view)]
    return list(dict.fromkeys(view for view in views if view is not None))


def scan(found: FoundImages, views: Sequence[View], console: Console) -> Facts:
    """Decode the images that the cache lacks, with a progress bar, and return what was found out.

    Raises:
        InputError: the source cannot be read, or the cache has no room.
    """
    images, total = found.images, len(found.listing.labels)
    missing = images.missing(views)
    if missing and images.limit and total > ANNOUNCED:
        size = file_size(sum(map(images.nbytes, missing)))
        names = ", ".join(view.name for view in missing)
        console.print(
            f"Decoding {total:,} images ({names}): {size} in {images_folder()}",
            highlight=False, markup=False,
        )  # fmt: skip
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not redraws(console)) as bar:
        task = bar.add_task("decoding images", total=total, visible=total > ANNOUNCED)
        return images.scan(views, lambda count: bar.advance(task, count))


def write_test_digests(folder: RunFolder, images: RunData) -> None:
    """Write the hashes of the sealed test images, by which predict knows them, N×16, uint8."""
    buffer = io.BytesIO()
    np.save(buffer, images.split.test_digests(images.dataset))
    folder.write(TEST_IMAGES_FILE, buffer.getvalue())


def describe_data(images: RunData) -> list[str]:
    """Return sentences on the source, its split, and what was left out of it."""
    found, sizes = images.found, images.split.sizes
    lines = [
        f"{images.dataset.name}: {sizes['train']:,} training, {sizes['validation']:,} validation "
        f"and {sizes['test']:,} sealed test images, {len(images.dataset.classes)} classes"
    ]
    lines += [line for line in (describe_ignored(found.listing), *found.listing.notes) if line]
    if images.facts.errors:
        errors = named_errors(found, images.facts.errors)
        lines.append(f"{len(images.facts.errors):,} damaged images left out (--skip-bad): {errors}")
    level = found.images.how.white_level
    wide = int(np.char.startswith(images.facts.modes, "I").sum())
    if wide and level is None:
        lines.append(
            f"{wide:,} images have 16 bits, which the sample of images did not show: 65,535 is "
            "white in them; give them a source of their own if they are too dark"
        )
    if level is not None:
        lines.append(f"Images of 16 bits: {level:,} is white, for all of them")
    return lines


def named_errors(found: FoundImages, errors: dict[int, str]) -> str:
    """Return the first damaged images with the reasons, as part of a message."""
    first = [f"{found.images.encoded.origin(row)} ({errors[row]})" for row in sorted(errors)]
    more = f" and {len(first) - NAMED_ERRORS} more" if len(first) > NAMED_ERRORS else ""
    return "; ".join(first[:NAMED_ERRORS]) + more


def data_options(record: dict[str, Any], source: str | None = None) -> DataOptions:
    """Return the data options of a run.

    Args:
        record: run.json of the run.
        source: replaces the option --data, for images that were moved; None keeps it.
    """
    options = DataOptions(**current_data_options(record["options"]["data"]))
    return options if source is None else dataclasses.replace(options, data=source)


def load_data_of_run(
    record: dict[str, Any], console: Console, source: str | None = None
) -> RunData:
    """Load the images of an existing run with the split it used.

    Args:
        record: run.json of the run.
        console: terminal or log file.
        source: replaces the option --data, for images that were moved; None keeps it.

    Raises:
        InputError: the images cannot be read, or the images or their split have changed.
    """
    options = record["options"]
    fractions = options["training"]["split"]
    found = find_images(data_options(record, source), stored_size(record))
    fractions = tuple(fractions) if fractions else None
    data = read_images(found, [], fractions, options["run"]["smoke_test"], console)
    # Runs of the first version have the fingerprint of the resized images only.
    before = record["dataset"].get("source_fingerprint")
    for name, expected, actual in (
        ("fingerprint", before, data.dataset.fingerprint),
        ("split fingerprint", record["split"].get("fingerprint"), data.split.fingerprint),
    ):
        if expected not in (None, actual):
            raise InputError(
                f"{found.options.data} has {name} {actual}, and the run was trained on images "
                f"with {name} {expected}: give the images of the run with --data"
            )
    return data
