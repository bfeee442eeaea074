"""Former module of two loaders, kept for notebooks that import them from here."""

from tune_jobs.analysis.results import load_comparison, load_predictions

__all__ = ["load_comparison", "load_predictions"]
