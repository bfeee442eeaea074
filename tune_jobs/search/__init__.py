"""Optuna as the strategy that proposes trials."""
