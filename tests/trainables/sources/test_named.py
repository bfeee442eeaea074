import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.images import load_source
from tests.trainables.sources.files import listed, refusal
from trainables.data import image_digests
from trainables.sources import describe


def test_images_of_a_named_dataset_are_arrays_as_their_source_has_them():
    listing = listed("digits")
    images = np.stack([listing.images.read(row) for row in range(len(listing.images))])
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.uint8
    np.testing.assert_allclose(images / 255, load_digits().images / 16, atol=0.5 / 255)
    np.testing.assert_array_equal(image_digests(images), load_source("digits").dataset.digests)
    assert describe(listing) == ["1,797 images in 10 classes"]


def test_the_pixels_of_a_named_dataset_are_not_pickled():
    images = listed("digits").images
    pickled = pickle.dumps(images)
    assert len(pickled) < 200
    np.testing.assert_array_equal(pickle.loads(pickled).read(5), images.read(5))


@pytest.mark.parametrize("option", ["label_column", "group_column", "group_by"])
def test_columns_and_paths_of_a_named_dataset_are_refused(option):
    assert "named dataset" in refusal("digits", **{option: "x"})
