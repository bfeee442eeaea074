"""Benchmarks behind the performance claims; results.md has the measurements."""
