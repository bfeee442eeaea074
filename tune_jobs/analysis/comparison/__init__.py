"""Trained models compared on the sealed test images: who takes part, scores, tests, verdict."""
