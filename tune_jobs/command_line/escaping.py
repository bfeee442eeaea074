"""Texts that cannot control a terminal, whatever the names of files, classes and runs hold."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with escapes in place of control characters and undecodable bytes."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
