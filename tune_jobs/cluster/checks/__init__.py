"""Checks of a cluster configuration that start nothing. Each one yields its findings as text."""
