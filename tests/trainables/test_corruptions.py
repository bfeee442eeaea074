import numpy as np
import pytest

from trainables.corruptions import CORRUPTIONS, SEVERITIES, CorruptedStore, corrupt, strength
from trainables.image_rows import ImageRows


@pytest.fixture(scope="module")
def photographs():
    """Smooth images, as of a camera: random fields of few waves, of any size."""

    def make(size, count=2):
        generator = np.random.default_rng(0)
        x = np.linspace(0, 1, size)
        waves = [
            np.sin(2 * np.pi * (a * x[:, None] + b * x + phase))
            for a, b, phase in generator.uniform(-4, 4, (12, 3))
        ]
        mix = generator.normal(size=(count, 3, 12))
        fields = np.einsum("nck,kij->nijc", mix, waves)
        return (127 + 100 * np.tanh(fields / 3)).astype(np.uint8)

    return make


@pytest.mark.parametrize("size", [8, 28, 96])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_higher_severity_changes_images_more(corruption, size, photographs):
    images = photographs(size)
    changes = []
    for severity in (SEVERITIES[0], SEVERITIES[-1]):
        changed = corrupt(images, corruption, severity, np.array([3, 7]))
        assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
        changes.append(np.abs(changed.astype(float) - images).mean())
    assert 0 < changes[0] < changes[1]


@pytest.mark.parametrize(
    ("corruption", "severity", "size", "value"),
    [
        ("noise", 5, 32, 0.1), ("noise", 5, 8, 0.1), ("noise", 5, 224, 0.38),
        ("noise", 5, 512, 0.38), ("blur", 3, 64, 1.0), ("JPEG", 1, 224, 25),
        ("noise", 5, np.sqrt(32 * 64), 0.14), ("contrast", 1, np.sqrt(64 * 224), 0.4),
    ],
)  # fmt: skip
def test_severities_are_the_published_ones_and_between_them_by_size(
    corruption, severity, size, value
):
    assert strength(corruption, severity, size) == pytest.approx(value)


def test_corruptions_do_what_they_say():
    grey = np.full((1, 32, 32, 3), 100, dtype=np.uint8)
    noisy = corrupt(grey, "noise", 5, np.array([1])).astype(float)
    assert noisy.std() == pytest.approx(25.5, rel=0.05)
    assert noisy.mean() == pytest.approx(100, abs=1)
    assert (corrupt(grey, "brightness", 5, np.array([1])) == 160).all()
    halves = grey.copy()
    halves[:, 16:] = 200
    flat = corrupt(halves, "contrast", 5, np.array([1])).astype(float)
    assert np.ptp(flat) == pytest.approx(15, abs=2)
    blurred = corrupt(halves, "blur", 5, np.array([1]))
    assert 120 < blurred[0, 15, 16, 0] < blurred[0, 16, 16, 0] < 180
    assert (blurred[:, :12] == 100).all()
    blocks = corrupt(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8),
                     "pixelation", 5, np.array([1]))  # fmt: skip
    assert (blocks[:, ::2, ::2] == blocks[:, 1::2, 1::2]).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_every_batch(corruption, photographs):
    images, seeds = photographs(16, 6), np.array([10, 4, 9, 8, 2, 7])
    store = CorruptedStore(ImageRows(images), seeds, corruption, 3)
    together, some = store.read(np.arange(6)), store.read(np.array([4, 1]))
    assert (some == together[[4, 1]]).all()
    assert (together == corrupt(images, corruption, 3, seeds)).all()
    other = CorruptedStore(ImageRows(images), seeds + 1, corruption, 3).read(np.arange(6))
    assert (other == together).all() == (corruption != "noise")
