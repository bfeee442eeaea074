"""Hyperparameter search with Optuna: study, searcher, samplers, budget and warm start."""
