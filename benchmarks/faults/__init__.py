"""Injure real jobs, and say what they survive: `python -m benchmarks.faults [FAULT ...]`."""
