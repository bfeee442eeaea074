"""What is wrong with a source, or worth knowing of it, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tune_jobs.analysis.report.blocks import Block
from tune_jobs.data_check.inspection import Inspection

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""error: a comparison would be wrong. warning: it needs care. note: worth knowing."""
NAMED = 20
"""Number of images, groups or classes that a finding names."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    """How much it matters to a comparison."""
    title: str
    """What was found, with numbers."""
    meaning: str
    """What it means for a comparison, as a sentence."""
    remedy: str
    """What mends it, as a sentence; empty if nothing has to be mended."""
    examples: Sequence[str] = ()
    """Names of the first images, groups or classes, at most NAMED."""
    total: int = 0
    """Number of images, groups or classes that could be named."""
    pictures: Callable[[], Sequence[Block]] = tuple
    """Draws the images, which takes time and is not needed on the terminal."""

    @property
    def text(self) -> str:
        """Meaning and remedy."""
        return f"{self.meaning} {self.remedy}".strip()


Check: TypeAlias = Callable[[Inspection], Finding | None]


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Sort findings by their severity."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
