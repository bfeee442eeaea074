"""Comparison of trained models on the sealed test set: candidates, scores, tests and verdict."""
