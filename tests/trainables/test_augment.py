import numpy as np
import pytest
import torch
from torchvision.transforms import functional as TF

from trainables.augment import normalize, pick, pick_flip_crop

SIZES = [(16, 16), (8, 8), (4, 4), (8, 24), (1, 1)]


def random_images(n, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def all_versions(image):
    """Bytes of every mirrored and shifted version of an H×W×3 array."""
    height, width = image.shape[:2]
    reach = max(height // 8, 1)
    pad = [(reach, reach) if side > 1 else (0, 0) for side in (height, width)]
    versions = set()
    for flipped in (image, image[:, ::-1]):
        padded = np.pad(flipped, (*pad, (0, 0)), mode="reflect")
        for top in range(2 * pad[0][0] + 1):
            for left in range(2 * pad[1][0] + 1):
                versions.add(padded[top : top + height, left : left + width].tobytes())
    return versions


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_flip_crop_yields_every_shifted_and_mirrored_version_and_nothing_else(height, width):
    images = random_images(3, height, width)
    torch.manual_seed(0)
    for i, image in enumerate(images):
        batch = pick_flip_crop(images, torch.full((1000,), i))
        assert batch.shape == (1000, height, width, 3)
        assert batch.dtype == torch.uint8
        assert {view.numpy().tobytes() for view in batch} == all_versions(image.numpy())


def test_each_image_of_a_batch_is_shifted_by_itself():
    images = random_images(1, 16, 16)
    torch.manual_seed(0)
    batch = pick_flip_crop(images, torch.zeros(64, dtype=torch.long))
    assert len({view.numpy().tobytes() for view in batch}) > 20


def test_half_of_the_images_are_mirrored():
    ramp = torch.arange(16, dtype=torch.uint8).expand(16, 16)[None, :, :, None].repeat(1, 1, 1, 3)
    torch.manual_seed(0)
    batch = pick_flip_crop(ramp, torch.zeros(1000, dtype=torch.long)).int()
    mirrored = batch[:, 0, 8, 0] < batch[:, 0, 7, 0]
    assert 400 < mirrored.sum() < 600


def test_augmentation_follows_the_seed():
    images, index = random_images(8, 16, 16), torch.arange(8).repeat(4)
    torch.manual_seed(1)
    first, other = pick_flip_crop(images, index), pick_flip_crop(images, index)
    torch.manual_seed(1)
    assert torch.equal(pick_flip_crop(images, index), first)
    assert not torch.equal(other, first)


def test_pick_takes_images_in_the_order_asked_for():
    images = random_images(5, 4, 4)
    assert torch.equal(pick(images, torch.tensor([3, 0, 3])), images[[3, 0, 3]])


def test_normalize_equals_torchvision():
    batch = random_images(4, 6, 5)
    mean, std = [0.49, 0.48, 0.45], [0.247, 0.2435, 0.2616]
    expected = torch.stack([TF.normalize(TF.to_tensor(i.numpy()), mean, std) for i in batch])
    result = normalize(batch, torch.tensor(mean), torch.tensor(std))
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


def test_normalize_gives_channels_last_memory():
    result = normalize(random_images(4, 6, 5), torch.full((3,), 0.5), torch.full((3,), 0.5))
    assert result.shape == (4, 3, 6, 5)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert result.min() >= -1
    assert result.max() <= 1
