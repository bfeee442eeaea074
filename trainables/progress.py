"""Progress within an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_S = 1.0
"""Shortest time in seconds between two messages."""

Advance = Callable[[int], None]
"""Callback that receives how many more images the network has seen."""


def ignore(images: int) -> None:
    """Report no progress."""


class EpochProgress:
    """Count of the images that a trial has seen in its current epoch.

    Args:
        send: Receives the number of the epoch, from 1, the images seen in it, and all its images.

    Attributes:
        epoch: Number of the current epoch, from 1.
        images: Number of training and validation images, all of which an epoch sees.
    """

    def __init__(self, send: Callable[[int, int, int], None]):
        self.send = send
        self.epoch, self.images, self.seen = 1, 0, 0
        self.next = time.monotonic()

    def advance(self, images: int) -> None:
        """Count images, and send the count unless it was sent within the last second."""
        self.seen += images
        if time.monotonic() >= self.next:
            self.send(self.epoch, self.seen, self.images)
            self.next = time.monotonic() + EVERY_S

    def start(self, epoch: int) -> None:
        """Begin another epoch."""
        self.epoch, self.seen = epoch, 0
