"""Output whose reader may go away, as `bakeoff runs | head` does after ten lines."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


class UnbreakableOutput:
    """Text stream that discards what is written after its reader has gone away.

    A job then goes on: its results are in files, and a run that trains for hours must not end
    with the `tee` that copied its progress. What cannot be written for another reason, such as a
    full disk, is raised once.

    Args:
        stream: sys.stdout or sys.stderr.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        with self._discarded():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._discarded():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextlib.contextmanager
    def _discarded(self) -> Iterator[None]:
        """Send what is buffered, and all that follows, to the null device if writing fails."""
        try:
            yield
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)
            if not isinstance(error, BrokenPipeError):
                raise


@contextlib.contextmanager
def unbreakable_output() -> Iterator[None]:
    """Let the readers of stdout and stderr go away within the context."""
    kept = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as null:  # a process may be started without them
        wrapped = [UnbreakableOutput(each or null) for each in kept]
        sys.stdout, sys.stderr = wrapped
        try:
            yield
        finally:
            for each in wrapped:
                each.flush()
            sys.stdout, sys.stderr = kept
