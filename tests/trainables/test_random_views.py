import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms.v2 import functional as TF

from trainables import random_views
from trainables.augment import build_augmentation, describe
from trainables.config import TrialConfig
from trainables.random_views import CROP_AREA, CROP_RATIO, OPERATIONS, linear_colour

POLICIES = ["flip_crop", "photo", "strong"]
SWITCHES = {"vertical_flip": True, "rotation": 20.0}


def augmentation(size, **changes):
    return build_augmentation(TrialConfig(lr=0.1, **changes), size)


def views(images, size, *, copies=1, seed=0, **changes):
    """Views of each image in turn, as N·copies×size×size×3."""
    torch.manual_seed(seed)
    index = torch.arange(len(images)).repeat_interleave(copies)
    return augmentation(size, **changes)(images, index)


def ramp(size):
    """An image whose red grows to the right and whose green grows downwards, from 60 to 180."""
    levels = torch.linspace(60, 180, size).round().to(torch.uint8)
    image = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    image[..., 0], image[..., 1] = levels, levels[:, None]
    return image


def slopes(batch):
    """Mean growth of red per column and of green per row, each B."""
    red, green = batch[..., 0].float(), batch[..., 1].float()
    return red.diff(dim=2).mean((1, 2)), green.diff(dim=1).mean((1, 2))


def photograph(size=48):
    noise = np.random.default_rng(0).uniform(0, 255, (size, size, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    smooth = 255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy(smooth.round().astype(np.uint8))[None]


@pytest.fixture
def only(monkeypatch):
    """Function that makes `strong` draw a single operation, at its largest magnitude or another."""

    def choose(operation, level=1.0):
        monkeypatch.setattr(random_views, "CROP_AREA", (1.0, 1.0))
        monkeypatch.setattr(random_views, "ERASE_SHARE", 0.0)
        none = torch.zeros(1, 1)
        monkeypatch.setattr(
            random_views,
            "chosen_operation",
            lambda drawn, _: {
                name: (none + level * (name == operation)).expand(len(drawn["area"]), 1)
                for name in OPERATIONS
            },
        )

    return choose


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["plain", "switches"])
@pytest.mark.parametrize("size", [24, 32])
def test_a_batch_has_the_size_asked_for_and_a_draw_for_each_image(policy, switches, size):
    stored = 24 if policy == "flip_crop" else 28
    size = 24 if policy == "flip_crop" else size
    batch = views(photograph(stored), size, copies=64, augment=policy, **switches)
    assert batch.shape == (64, size, size, 3)
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous()
    least = 30 if policy == "flip_crop" and not switches else 60  # of 98 shifted and mirrored views
    assert len({view.numpy().tobytes() for view in batch}) >= least


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["plain", "switches"])
def test_the_same_seed_gives_the_same_batch(policy, switches):
    image, settings = photograph(24), {"augment": policy, "copies": 32, **switches}
    first = views(image, 24, **settings)
    assert torch.equal(views(image, 24, **settings), first)
    assert not torch.equal(views(image, 24, seed=1, **settings), first)


@pytest.mark.parametrize("policy", ["photo", "strong"])
def test_views_do_not_depend_on_how_many_are_made_at_a_time(policy, monkeypatch):
    together = views(photograph(), 40, copies=16, augment=policy)
    monkeypatch.setattr(random_views, "CHUNK_PIXELS", 1)
    assert torch.equal(views(photograph(), 40, copies=16, augment=policy), together)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["plain", "switches"])
def test_no_value_on_the_device_is_waited_for(policy, switches):
    # Tensors on the device meta have no values, and reading one fails.
    images = torch.empty(8, 24, 24, 3, dtype=torch.uint8, device="meta")
    index = torch.empty(4, dtype=torch.long, device="meta")
    batch = augmentation(24, augment=policy, **switches)(images, index)
    assert batch.shape == (4, 24, 24, 3)


@pytest.mark.parametrize("policy", ["none", "flip_crop"])
def test_an_image_of_one_colour_stays_as_it_is(policy):
    image = torch.tensor([17, 130, 255], dtype=torch.uint8).expand(1, 16, 16, 3)
    batch = views(image, 16, copies=32, augment=policy, vertical_flip=True, rotation=180.0)
    assert (batch == image).all()


def test_photo_gives_an_image_of_one_colour_one_other_colour():
    image = torch.tensor([17, 130, 200], dtype=torch.uint8).expand(1, 20, 20, 3)
    batch = views(image, 16, copies=32, augment="photo")
    assert (batch == batch[:, :1, :1]).all()
    assert len(batch[:, 0, 0].unique(dim=0)) > 25


@pytest.mark.parametrize("operation", ["identity", "shear_x", "shear_y", "translate_x",
                                       "translate_y", "rotate", "autocontrast"])  # fmt: skip
def test_no_operation_on_shape_changes_the_colour_of_an_image_of_one_colour(operation, only):
    only(operation)
    image = torch.tensor([17, 130, 255], dtype=torch.uint8).expand(1, 20, 20, 3)
    assert (views(image, 16, copies=8, augment="strong") == image[:, :16, :16]).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_half_of_the_images_are_mirrored_and_none_is_upside_down(policy):
    batch = views(ramp(32), 32, copies=1000, augment=policy, rotation=1.0)
    right, down = slopes(batch)
    if policy == "strong":  # solarised images are darker where they were brighter
        right, down = right * down.sign(), down.abs()
    assert 430 < (right < 0).sum() < 570
    assert (down > 0).float().mean() > 0.98


@pytest.mark.parametrize("policy", ["none", *POLICIES])
@pytest.mark.parametrize("switches", [{}, {"rotation": 10.0}], ids=["plain", "rotated"])
def test_no_image_is_mirrored_where_mirroring_is_off(policy, switches, only):
    if policy == "strong":
        only("identity")
    settings = {"augment": policy, "horizontal_flip": False, **switches}
    right, down = slopes(views(ramp(32), 32, copies=500, **settings))
    assert (right > 0).all()
    assert (down > 0).all()


@pytest.mark.parametrize("policy", ["none", "flip_crop", "photo"])
def test_half_of_the_images_are_upside_down_if_asked_for(policy):
    right, down = slopes(views(ramp(32), 32, copies=1000, augment=policy, vertical_flip=True))
    assert 430 < (down < 0).sum() < 570
    if policy == "none":
        assert (right > 0).all()
    else:  # the two flips are drawn independently
        assert 180 < ((down < 0) & (right < 0)).sum() < 320


def test_upside_down_images_keep_their_pixels():
    image = photograph(15)
    batch = views(image, 15, copies=50, vertical_flip=True)
    expected = {image[0].numpy().tobytes(), image[0].flip(0).numpy().tobytes()}
    assert {view.numpy().tobytes() for view in batch} == expected


def test_rotations_are_within_the_angle_asked_for_both_ways():
    batch = views(ramp(65), 65, copies=500, rotation=30.0)
    middle = batch[:, 22:43, 22:43, 0].float()  # far from the corners that rotate in
    angles = torch.atan2(middle.diff(dim=1).mean((1, 2)), middle.diff(dim=2).mean((1, 2))).rad2deg()
    assert angles.abs().max() < 31
    assert angles.max() > 28
    assert angles.min() < -28
    assert abs(angles.mean()) < 3


def test_crops_have_the_area_and_shape_they_should(monkeypatch):
    # Growth of red per column, relative to the whole image, is the width of the crop.
    monkeypatch.setattr(random_views, "MILD", 0.0)
    right, down = slopes(views(ramp(256), 64, copies=2000, augment="photo"))
    whole = 120 / 255 * 256 / 64
    width, height = right.abs() / whole, down.abs() / whole
    area, ratio = width * height, width / height
    low, high = CROP_AREA
    assert low - 0.03 < area.min() < low + 0.05
    assert high - 0.05 < area.max() < high + 0.03
    assert abs(area.mean() - (low + high) / 2) < 0.03
    assert ratio.max() < CROP_RATIO * 1.04
    assert ratio.max() > 1.25
    assert ratio.min() > 1 / CROP_RATIO / 1.04
    assert ratio.min() < 0.8


def test_a_view_of_the_whole_image_equals_torchvisions_resizing(only):
    only("identity", level=0.0)
    image = photograph(64)
    view = views(image, 56, augment="strong", horizontal_flip=False)[0]
    expected = TF.resize(image[0].permute(2, 0, 1), [56, 56], antialias=False).permute(1, 2, 0)
    assert (view.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("operation", "level", "reference"),
    [
        ("brightness", 0.5, lambda x: TF.adjust_brightness(x, 1.45)),
        ("contrast", -0.5, lambda x: TF.adjust_contrast(x, 0.55)),
        ("saturation", 0.7, lambda x: TF.adjust_saturation(x, 1.63)),
        ("autocontrast", 1.0, TF.autocontrast),
        ("posterize", 1.0, lambda x: TF.posterize(x, 4)),
        ("posterize", 0.3, lambda x: TF.posterize(x, 6)),
        ("solarize", 0.5, lambda x: TF.solarize(x, 128)),
    ],
)
def test_colours_change_as_in_torchvision(operation, level, reference, only):
    image = photograph(32) // 2 + 40
    only("identity", level=0.0)
    plain = views(image, 32, augment="strong", horizontal_flip=False)[0].permute(2, 0, 1)
    only(operation, level)
    view = views(image, 32, augment="strong", horizontal_flip=False)[0].permute(2, 0, 1)
    difference = (view.int() - reference(plain).int()).abs()
    assert difference.max() <= 2
    assert not torch.equal(view, plain)


def test_mild_colours_are_those_of_torchvision_one_after_the_other():
    image = photograph(16)[0].permute(2, 0, 1)[None].float() / 3 + 60  # nothing is clipped
    factors = torch.tensor([[1.1, 0.8, 1.2]])
    offset, linear = linear_colour(image.mean((2, 3)), factors)
    ours = (offset + linear @ image.flatten(2)).view_as(image)
    expected = TF.adjust_brightness(image / 255, 1.1)
    expected = TF.adjust_saturation(TF.adjust_contrast(expected, 0.8), 1.2)
    torch.testing.assert_close(ours, 255 * expected, rtol=0, atol=0.05)


def test_a_quarter_of_the_images_lose_a_rectangle_of_their_mean_colour(only, monkeypatch):
    share = random_views.ERASE_SHARE
    only("identity", level=0.0)
    monkeypatch.setattr(random_views, "ERASE_SHARE", share)
    image = photograph(32)
    batch = views(image, 32, copies=1000, augment="strong", horizontal_flip=False)
    gone = (batch != image).any(3)
    erased = gone.flatten(1).any(1)
    assert 200 < erased.sum() < 300
    mean = image.float().mean((0, 1, 2))
    assert ((batch.float() - mean).abs()[gone] <= 1).all()
    area = gone[erased].float().mean((1, 2))
    low, high = random_views.ERASE_AREA
    assert low - 0.015 < area.min() < low + 0.03
    assert high - 0.03 < area.max() < high + 0.03


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "none"),
        ({"augment": "flip_crop"}, "flip_crop, half of them mirrored"),
        (
            {"augment": "photo", "horizontal_flip": False, "rotation": 15, "cutmix": 1},
            "photo, not mirrored, rotated by up to 15°, cutmix 1",
        ),
        ({"vertical_flip": True, "mixup": 0.2}, "none, half of them upside down, mixup 0.2"),
    ],
)
def test_what_was_chosen_is_said(changes, text):
    assert describe(TrialConfig(lr=0.1, **changes)) == text
