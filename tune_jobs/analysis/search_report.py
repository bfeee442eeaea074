"""Former module of a loader, kept for notebooks that import it from here."""

from tune_jobs.analysis.results import load_front

__all__ = ["load_front"]
