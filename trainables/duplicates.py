"""Copies of images in a dataset: identical in every pixel, or the same picture saved again.

They are looked for in small grey thumbnails, and confirmed on the decoded images. Copies that were
cropped, mirrored or edited are not found.

Shape letters: N images, P pairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.arrays import Digests, Ints

THUMBNAIL = 16
"""Height and width in pixels of the thumbnails in which duplicates are looked for."""
FAR = 80.0
"""Euclidean distance of two 16×16 thumbnails above which they are not of the same picture: 5 grey
levels per pixel. Of 60 photographs saved again as JPEG of quality 50, or at 0.3 times the size, no
thumbnail moved by more than 27, and decoding at reduced size moved none by more than 63."""
COEFFICIENTS = 4
"""Height and width of the block of lowest frequencies in which neighbours are looked for."""
COMPARED = 64
"""Height and width in pixels at which two images are compared."""
SAME = 6.0
"""Mean difference in grey levels of 64×64 pixels up to which two images are one picture."""
ALIKE = 0.95
"""Least correlation of the 64×64 pixels of two images of one picture."""
MOST_PAIRS = 1_000_000
"""Number of pairs of thumbnails above which only closer ones are looked at."""
CONFIRMED = 5000
"""Number of pairs of near thumbnails, the closest first, that are compared; others do not count."""
BLOCK = 4096
"""Number of thumbnails or pairs that are computed at once."""


@dataclass(frozen=True)
class Copies:
    """Pairs of images that show the same picture."""

    pairs: Ints
    """Rows of the images of each pair, P×2, int64, the lower first."""
    identical: npt.NDArray[np.bool_]
    """Whether all pixels of a pair are equal, P, bool."""

    def components(self, n: int) -> Ints:
        """Return a number for each of `n` images that is the same for all copies of one picture."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ones = np.ones(len(self.pairs), dtype=bool)
        graph = coo_array((ones, (self.pairs[:, 0], self.pairs[:, 1])), shape=(n, n))
        numbers: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
        return numbers


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a grey thumbnail of an image, 16×16, uint8."""
    size = THUMBNAIL, THUMBNAIL
    grey = image.convert("L")  # first, as the resizing of three channels takes longer
    return np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))


def find_copies(
    digests: Digests,
    thumbnails: npt.NDArray[np.uint8],
    usable: npt.NDArray[np.bool_],
    decode: Callable[[int], Image.Image],
) -> Copies:
    """Find the pairs of images that show the same picture.

    Args:
        digests: Hash of each encoded image, N×16, uint8.
        thumbnails: Grey thumbnails of the whole images, N×16×16, uint8.
        usable: Whether an image could be decoded, N, bool.
        decode: Returns an image in RGB by its row, in full size.
    """
    rows = np.flatnonzero(usable)
    # Files of the same bytes are pairs with the first of them, and not compared again.
    _, first, inverse = np.unique(digests[rows], axis=0, return_index=True, return_inverse=True)
    same_bytes = rows[first[inverse.ravel()]]
    repeated = same_bytes != rows
    pairs = [np.stack([same_bytes[repeated], rows[repeated]], axis=1)]
    identical = [np.ones(int(repeated.sum()), dtype=bool)]
    near = near_pairs(thumbnails, np.sort(rows[first]))[:CONFIRMED]  # the closest ones
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(lambda pair: compare(*map(decode, pair)), near.tolist()))
    confirmed = np.array([verdict != "other" for verdict in verdicts], dtype=bool)
    equal = np.array([verdict == "identical" for verdict in verdicts], dtype=bool)
    pairs.append(near[confirmed])
    identical.append(equal[confirmed])
    every = np.concatenate(pairs)
    order = np.lexsort((every[:, 1], every[:, 0]))
    return Copies(every[order], np.concatenate(identical)[order])


def near_pairs(thumbnails: npt.NDArray[np.uint8], rows: Ints) -> Ints:
    """Return the pairs of rows whose thumbnails are closer than FAR, the closest first, P×2, int64.

    Neighbours are looked for among the lowest frequencies of an orthonormal cosine transform, where
    no two thumbnails are farther apart than they are as a whole.
    """
    from scipy.fft import dctn
    from scipy.spatial import cKDTree

    low = np.concatenate([
        dctn(block.astype(np.float32), axes=(1, 2), norm="ortho")[:, :COEFFICIENTS, :COEFFICIENTS]
        for block in np.array_split(thumbnails[rows], 1 + len(rows) // BLOCK)
    ])  # fmt: skip
    # Equal thumbnails are one point of the tree: thousands of blank images must not be millions of
    # pairs.
    points, first, inverse = np.unique(
        low.reshape(len(rows), COEFFICIENTS**2), axis=0, return_index=True, return_inverse=True
    )
    inverse = inverse.ravel()
    repeated = np.flatnonzero(first[inverse] != np.arange(len(rows)))
    pairs = [np.stack([first[inverse[repeated]], repeated], axis=1)]
    tree, radius = cKDTree(points), FAR
    most = len(points) * (len(points) - 1) // 2
    while most > MOST_PAIRS and tree.count_neighbors(tree, radius) > len(points) + 2 * MOST_PAIRS:
        radius /= 2  # images that are all alike, such as scans of forms
    close = tree.query_pairs(radius, output_type="ndarray")
    pairs.append(first[close].reshape(-1, 2))
    found = np.sort(np.concatenate(pairs).astype(np.int64), axis=1)
    pairs_of_rows = rows[found]
    distance = np.concatenate([
        np.linalg.norm(
            thumbnails[block[:, 0]].astype(np.float32) - thumbnails[block[:, 1]], axis=(1, 2)
        )
        for block in np.array_split(pairs_of_rows, 1 + len(found) // BLOCK)
    ])  # fmt: skip
    closest_first = np.argsort(distance, kind="stable")
    result: Ints = pairs_of_rows[closest_first[distance[closest_first] < FAR]]
    return result


def compare(a: Image.Image, b: Image.Image) -> str:
    """Compare two images: identical, same (one picture, saved differently) or other."""
    if a.size == b.size and np.array_equal(np.asarray(a), np.asarray(b)):
        return "identical"
    size = COMPARED, COMPARED
    x, y = (
        np.asarray(
            image.convert("L").resize(size, Image.Resampling.BILINEAR), dtype=np.float64
        ).ravel()
        for image in (a, b)
    )
    if min(x.std(), y.std()) < 1:  # blank images have no structure to compare
        return "other"
    alike = np.corrcoef(x, y)[0, 1]
    return "same" if np.abs(x - y).mean() <= SAME and alike >= ALIKE else "other"
