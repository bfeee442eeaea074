"""Results of a comparison."""

from __future__ import annotations

import html
import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bakeoff.run import bullets, figures_in, picture
from tune_jobs.command_line.invocation import typed_path

if TYPE_CHECKING:
    import pandas as pd

FIGURE = "figures/accuracy.png"


class Comparison(os.PathLike[str]):
    """Results of a comparison of runs.

    Args:
        path: folder that the comparison wrote, local or s3://… or gs://….

    Raises:
        InputError: the folder holds no comparison, or one of another version.
    """

    def __init__(self, path: str | os.PathLike[str]):
        from tune_jobs.analysis.results import load_comparison

        self.path = os.fspath(path)
        """Path or URI of the folder."""
        self.models: pd.DataFrame = load_comparison(self.path)
        """One row per model: test scores with intervals, costs, settings."""

    def __fspath__(self) -> str:
        """Return the path."""
        return self.path

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per model and test image: file, label, prediction, logits."""
        from tune_jobs.analysis.results import load_predictions

        return load_predictions(self.path)

    @property
    def chosen(self) -> pd.Series[Any]:
        """Row of the recommended model."""
        return self.models[self.models["chosen"]].iloc[0]

    @property
    def report(self) -> str:
        """Path or URI of the page."""
        return str(self._folder.child("report.html").uri)

    @cached_property
    def figures(self) -> dict[str, str]:
        """Path or URI of each figure of the report, by its name."""
        return figures_in(self._folder.child("figures"))

    @cached_property
    def answer(self) -> tuple[str, str]:
        """The recommendation in a sentence, and the reasons, as the report states them."""
        first, second, *_ = self._folder.read("report.md").decode().split("\n\n")
        title, verdict = (re.sub(r"\\(.)", r"\1", text) for text in (first, second))
        return title.removeprefix("# "), verdict

    @cached_property
    def warnings(self) -> list[str]:
        """What makes the comparison less trustworthy than its intervals say."""
        from tune_jobs.analysis.comparison_results import load_warnings

        return load_warnings(self.path)

    @property
    def _folder(self) -> Any:
        from tune_jobs.run_folder.folder import RunFolder

        return RunFolder.at(self.path)

    def __repr__(self) -> str:
        return f"Comparison({typed_path(self.path)!r}): {self.answer[0]}"

    def _repr_html_(self) -> str:
        """Return the comparison as a notebook shows it: the verdict, the models, and a figure."""
        from tune_jobs.analysis.formatting import count, milliseconds, percent, with_interval

        title, verdict = map(html.escape, self.answer)
        winners = self.models[self.models["role"] == "winner"]
        columns: dict[str, Any] = {
            "test accuracy (95% CI)": [
                with_interval(row["accuracy"], (row["accuracy/low"], row["accuracy/high"]))
                for row in winners.to_dict("records")
            ],
            "validation accuracy": winners["validation_accuracy"].map(percent),
            "parameters": winners["parameters"].map(count),
            "latency": winners["latency_p50_ms"].map(milliseconds),
            "chosen": ["✓" if chosen else "" for chosen in winners["chosen"]],
        }
        table = winners[["model", "trial"]].assign(**columns)
        folder, page = self._folder, self.report
        drawn = picture(folder.read(FIGURE), "test accuracy") if folder.has(FIGURE) else ""
        page = html.escape(typed_path(page))
        return (
            f"<p><b>{title}</b></p><p>{verdict}</p>{bullets(self.warnings)}"
            f"{table.to_html(index=False, border=0)}{drawn}"
            f'<p>The whole report: <a href="{page}">{page}</a></p>'
        )
