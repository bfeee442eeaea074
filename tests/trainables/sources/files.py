"""Sources of a few bytes an image, which listing never decodes."""

import pytest

from trainables.data import TEST, TRAIN, VALIDATION
from trainables.errors import InputError
from trainables.source_options import SourceOptions
from trainables.sources import list_images

NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def write(root, *names):
    """Write files that hold their own name; a name that ends with a slash is an empty folder."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
    return root


def listed(data, **options):
    return list_images(SourceOptions(str(data), **options))


def rows(listing):
    """The split, class and content of each image."""
    return [
        (NAMES[part], listing.classes[label], listing.images.read(row).decode())
        for row, (part, label) in enumerate(zip(listing.parts, listing.labels, strict=True))
    ]


def refusal(data, **options):
    with pytest.raises(InputError) as error:
        listed(data, **options)
    return str(error.value)
