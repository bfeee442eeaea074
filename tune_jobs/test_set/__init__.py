"""Comparison on the sealed test set. No other package reads the test images."""
