"""Types of arrays that several modules share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Images: TypeAlias = npt.NDArray[np.uint8]
"""Images, N×H×W×3, uint8, RGB."""
Ints: TypeAlias = npt.NDArray[np.int64]
"""Labels or indices, N, int64."""
Digests: TypeAlias = npt.NDArray[np.uint8]
"""Hashes of images, N×16, uint8."""

DIGEST_BYTES = 16
