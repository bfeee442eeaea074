"""Attribution: which parts of images predictions rest on, with a check of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from trainables.arrays import Images, Ints
from tune_jobs.analysis.comparison.attribution import ALIKE, FRACTION, SHOWN, Attributions
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.formatting import (
    Interval,
    listed,
    percent,
    points_interval,
    shortened,
    signed,
)
from tune_jobs.analysis.report.blocks import (
    Block,
    Fold,
    Panels,
    Picture,
    Section,
    Table,
    Text,
    method,
)
from tune_jobs.analysis.style import COLOURS, wrapped

SIDE = 160
"""Height and width in pixels of an image of the figure."""
AGAINST, FOR = (np.array(to_rgb(colour)) for colour in COLOURS[:2])
"""Colours of the parts that speak against and for a class."""
STRONGEST = 0.8
"""Opacity of the colour where a map is strongest."""
COLUMN, ROW = 1.18, 1.4
"""Width of a column and height of a row of the figure in inches."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """An image of the figure, and the line above it."""

    image: Images
    """Image, SIDE×SIDE×3, uint8."""
    text: str
    """Line above it."""


def overlaid(image: Images, values: Floats) -> Images:
    """Return an image in grey under the colours of its map, SIDE×SIDE×3, uint8.

    Args:
        image: the image, S×S×3, uint8.
        values: its map, G×G, which is scaled to its largest absolute value.
    """
    grey = np.asarray(Image.fromarray(enlarged(image)).convert("L"), np.float64)[..., None] / 255
    largest = np.abs(values).max()
    scaled = (values / largest if largest else values).astype(np.float32)
    smooth = np.asarray(Image.fromarray(scaled).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    opacity = STRONGEST * np.abs(smooth)[..., None]
    colour = np.where(smooth[..., None] > 0, FOR, AGAINST)
    mixed: Images = (255 * ((1 - opacity) * (0.3 + 0.7 * grey) + opacity * colour)).astype(np.uint8)
    return mixed


def enlarged(image: Images) -> Images:
    """Return an image, S×S×3, at SIDE×SIDE×3; single pixels of small images stay visible."""
    how = Image.Resampling.NEAREST if image.shape[0] < SIDE / 2 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), how))


def plot_maps(columns: Sequence[tuple[str, Sequence[Cell]]]) -> Figure:
    """Draw one row per image and one column per model.

    Args:
        columns: heading and cells of each column.
    """
    rows = len(columns[0][1])
    figure = Figure(figsize=(COLUMN * len(columns), ROW * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for k, (heading, cells) in enumerate(columns):
        for i, cell in enumerate(cells):
            ax = axes[i, k]
            ax.imshow(cell.image, interpolation="none")
            ax.set_axis_off()
            title = f"{heading}\n\n{cell.text}" if i == 0 else cell.text
            ax.set_title(title, fontsize=8.5)
    return figure


def predicted_text(comparison: Comparison, contestant: Contestant, position: int) -> str:
    """Return the predicted class of a test image with its probability, and whether it is right."""
    winner = contestant.winner
    mark = "✓" if winner.correct[position] else "✗"
    name = shortened(comparison.test_set.classes[winner.predicted[position]], 11)
    return f"{mark} {name} {contestant.confidence[position]:.0%}"


def columns_of(
    comparison: Comparison, contestants: Sequence[Contestant], positions: Ints
) -> list[tuple[str, list[Cell]]]:
    """Return the columns of the figure: the image, its map by each model, and an untrained one.

    Args:
        comparison: the comparison.
        contestants: models, of the first of which the untrained network is shown.
        positions: positions of the images in the test set.
    """
    first = attributions(contestants[0])
    rows = np.searchsorted(first.images.every, positions)
    test = comparison.test_set
    columns = [
        (
            "test image\nand its class",
            [
                Cell(enlarged(first.pixels[i]), shortened(test.classes[test.labels[position]], 17))
                for i, position in zip(rows, positions, strict=True)
            ],
        )
    ]
    for contestant in contestants:
        own = attributions(contestant)
        columns.append(
            (
                wrapped(contestant.short_name, 15),
                [
                    Cell(
                        overlaid(own.pixels[i], own.maps[i]),
                        predicted_text(comparison, contestant, int(position)),
                    )
                    for i, position in zip(rows, positions, strict=True)
                ],
            )
        )
    cells = [
        Cell(
            overlaid(first.pixels[i], first.untrained[i]),
            f"corr. {signed(first.correlations[i], '.2f')}",
        )
        for i in rows
    ]
    columns.append(("the first model\nuntrained", cells))
    return columns


def attributions(contestant: Contestant) -> Attributions:
    """Return the maps of a contestant of a comparison with --attribution."""
    assert contestant.attributions is not None
    return contestant.attributions


def panels(comparison: Comparison, contestants: Sequence[Contestant], name: str) -> Panels:
    """Return the figure of some models: correctly classified images, and mistakes.

    Args:
        comparison: the comparison.
        contestants: models in the figure.
        name: beginning of the names of its files.
    """
    images = attributions(contestants[0]).images
    chosen = comparison.chosen.short_name
    pictures = []
    for suffix, positions, words in (
        ("correct", images.correct, f"Correctly classified by the {chosen}"),
        ("mistakes", images.mistakes, f"Misclassified by the {chosen}"),
    ):
        if not len(positions):
            continue
        columns = columns_of(comparison, contestants, positions)
        said = "; ".join(
            f"{heading}: {', '.join(cell.text for cell in cells)}" for heading, cells in columns
        ).replace("\n", " ")
        pictures.append(Picture(f"{name}-{suffix}", plot_maps(columns), f"{words}. {said}", words))
    return Panels(
        pictures,
        "Orange: covering this part makes the predicted class less probable. Blue: more probable. "
        "Each map is scaled to its own strongest part. corr.: rank correlation of the map of an "
        "untrained network with that of the first model, without signs.",
    )


def correlation_text(value: float, interval: Interval) -> str:
    """Format a correlation with its interval: 0.12 (0.02 to 0.22)."""
    low, high = interval
    return f"{value:.2f} ({low:.2f} to {high:.2f})".replace("-", "−")


def check_table(comparison: Comparison) -> Table:
    """Return the table of the check, one row per model."""
    rows = []
    for contestant in comparison.contestants:
        check = attributions(contestant).check
        rows.append(
            (
                contestant.name,
                correlation_text(check.correlation, check.correlation_interval),
                percent(check.as_is),
                percent(check.covered),
                percent(check.covered_untrained),
                percent(check.covered_random),
                points_interval(check.gain_untrained),
                points_interval(check.gain_random),
            )
        )
    covered = f"with {FRACTION:.0%} covered"
    header = ("model", "rank correlation with untrained networks (95% CI)",
              "probability of the predicted class", f"{covered}: marked by the map",
              f"{covered}: marked by an untrained network", f"{covered}: at random",
              "untrained minus map (pp, 95% CI)", "random minus map (pp, 95% CI)")  # fmt: skip
    return Table(header, rows, strong=0)


def outcome_sentences(contestants: Sequence[Contestant]) -> list[str]:
    """Say what the check allows to conclude, a sentence or two for each outcome."""
    names: dict[str, list[str]] = {}
    for contestant in contestants:
        outcome = attributions(contestant).check.outcome
        names.setdefault(outcome, []).append(contestant.short_name)
    said = {
        "passed": "passed the check: covering what they mark lowers the probability of the "
        "predicted class by more than covering what an untrained network marks, and than covering "
        "random parts.",
        "alike": "passed the check of what they mark, but are much like those of an untrained "
        f"network (rank correlation above {ALIKE}), so that most of what they show is the image, "
        "not the model.",
        "failed": "explain nothing that could be shown: covering what they mark does not lower the "
        "probability of the predicted class by more than covering what an untrained network marks, "
        "or than covering random parts. Do not draw conclusions from them.",
    }
    return [
        f"The maps of {listed(names[outcome])} {text}"
        for outcome, text in said.items()
        if outcome in names
    ]


def section(comparison: Comparison) -> Section | None:
    """Return the section, or None if attribution was not asked for."""
    contestants = comparison.contestants
    if any(each.attributions is None for each in contestants):
        return None
    chosen = comparison.chosen
    check = attributions(chosen).check
    pair = comparison.other_kind or comparison.runner_up
    shown = [chosen, *([pair.second] if pair else [])]
    blocks: list[Block] = [
        Text(
            "Which parts of an image a prediction rests on: a window is moved over the image and "
            "covered with the mean colour, and the map shows how much the log-odds of the "
            "predicted class change (occlusion: Zeiler & Fergus 2014; Zintgraf et al. 2017). It "
            "does not show why a part matters, nor what two parts do together."
        ),
        panels(comparison, shown, "attribution-1"),
        Text(
            f"The images are the first of a fixed random order: up to {SHOWN} that the chosen "
            f"model classifies correctly and up to {SHOWN} that it misclassifies, of different "
            "classes as far as possible. The probabilities are calibrated."
        ),
        *map(Text, outcome_sentences(contestants)),
        check_table(comparison),
        method(
            f"The check is a mean over {check.images} random test images. Maps that stay as they "
            "are when the weights are random show the image and not the model (Adebayo et al. "
            "2018); the correlation is that of absolute values, each image with other random "
            "weights. What a map marks is covered with the blurred image, and so is what the map "
            "of an untrained network marks, and random parts (deletion: Petsiuk et al. 2018). A "
            "map passes if both differences are above 0. Student's t, paired by image; pp: "
            "percentage points."
        ),
    ]
    blocks += [
        Fold(
            f"{each.name}: attribution maps",
            [panels(comparison, [each], f"attribution-{contestants.index(each) + 1}")],
        )
        for each in contestants
        if each not in shown
    ]
    return Section("Attribution", blocks)
