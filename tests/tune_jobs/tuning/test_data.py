"""Images of a run: damaged ones, groups, the value of white, the cache, and what trials get."""

import pickle

import numpy as np
import pytest
from PIL import Image

from tests.images import pictures
from tests.tune_jobs.runs import QUIET
from trainables.cache_files import images_folder
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.views import View
from tune_jobs.analysis.results import load_run, load_trials
from tune_jobs.command_line.options import DataOptions
from tune_jobs.tuning.data import read_images
from tune_jobs.tuning.found_images import find_images

VIEW = View(16)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos(tmp_path):
    """Two classes of 30 photographs each, of ten patients."""
    folder = tmp_path / "photos"
    for i, image in enumerate(pictures(60)):
        path = folder / "ab"[i % 2] / f"p{i // 2 % 10}_{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def files(folder):
    return sorted(folder.rglob("*.jpg"))


def read(folder, views=(VIEW,), smoke_test=False, **options):
    found = find_images(DataOptions(data=str(folder), **options))
    return read_images(found, views, None, smoke_test, QUIET)


def origins(data, indices):
    return {data.found.listing.images.origin(int(row)) for row in data.rows[indices]}


# Damaged images


def test_every_damaged_image_is_named_with_its_reason(photos):
    first, second, third, *_ = files(photos)
    first.write_bytes(first.read_bytes()[:200])
    second.write_bytes(b"")
    third.write_bytes(b"a text")
    with pytest.raises(InputError) as error:
        read(photos)
    message = str(error.value)
    assert "3 of 60 images" in message
    for path, reason in ((first, "truncated"), (second, "empty file"), (third, "not an image")):
        assert f"{path} ({reason}" in message
    assert "--skip-bad" in message
    assert " more" not in message


def test_the_first_twenty_damaged_images_are_named_and_the_others_counted(photos):
    bad = files(photos)[:23]
    for path in bad:
        path.write_bytes(b"a text")
    with pytest.raises(InputError) as error:
        read(photos)
    message = str(error.value)
    assert "23 of 60 images" in message
    assert [str(path) in message for path in bad] == [True] * 20 + [False] * 3
    assert "and 3 more" in message


def test_damaged_images_are_left_out_when_asked(photos):
    bad = [files(photos)[i] for i in (0, 17, 59)]
    before = read(photos)
    for path in bad:
        path.write_bytes(b"a text")
    data = read(photos, skip_bad=True)
    assert len(data.dataset) == 57
    everything = [*data.split.train, *data.split.validation, *data.split.test]
    assert origins(data, np.array(everything)) == set(map(str, files(photos))) - set(map(str, bad))
    # The labels are those of the images that are left.
    for index, row in enumerate(data.rows):
        assert data.dataset.labels[index] == data.found.listing.labels[row]
    rows = np.concatenate([data.trials.train_rows, data.trials.val_rows])
    labels = np.concatenate([data.trials.train_labels, data.trials.val_labels])
    assert np.array_equal(labels, data.found.listing.labels[rows])
    same = data.images(np.arange(57), VIEW).read()
    assert np.array_equal(same, before.images(data.rows, VIEW).read())


def test_a_run_records_what_it_left_out(local_ray, command, photos, tmp_path, capfd):
    bad = files(photos)[3]
    bad.write_bytes(bad.read_bytes()[:100])
    (photos / ".DS_Store").write_bytes(b"junk")
    words = ["--data", photos, "--lr", 1e-3, "--smoke-test", "--storage-path", tmp_path / "runs"]
    assert command(*words) == 2
    assert str(bad) in "".join(capfd.readouterr().err.replace("│", "").split())
    assert not (tmp_path / "runs").exists()
    assert command(*words, "--skip-bad") == 0
    record = load_run(tmp_path / "runs" / "lr-grid")
    assert record["dataset"]["skipped"] == [str(bad)]
    assert record["dataset"]["images"] == 59
    assert record["dataset"]["side"] == 72
    assert record["dataset"]["ignored"] == {".DS_Store": 1}
    assert record["dataset"]["copies"]["images"] == 0
    assert load_trials(tmp_path / "runs" / "lr-grid")["status"].tolist() == ["finished"]


# Groups


@pytest.mark.parametrize("seed", range(3))
def test_the_images_of_a_group_stay_in_one_split(seed, photos):
    data = read(photos, group_by=r"p\d+", split_seed=seed)
    patients = [
        {origin.rsplit("/", 1)[1].split("_")[0] for origin in origins(data, own)}
        for own in (data.split.train, data.split.validation, data.split.test)
    ]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 10
    assert all(patients)
    assert sorted(data.split.sizes.values()) == [12, 12, 36]


def test_groups_stay_together_without_damaged_images(photos):
    files(photos)[0].write_bytes(b"a text")
    data = read(photos, group_by=r"p\d+", skip_bad=True)
    splits = data.split.train, data.split.validation, data.split.test
    owners = {}
    for code, own in enumerate(splits):
        for origin in origins(data, own):
            owners.setdefault(origin.rsplit("/", 1)[1].split("_")[0], set()).add(code)
    assert all(len(codes) == 1 for codes in owners.values())


# White


def write_16_bit(folder, values):
    for i, value in enumerate(values):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        image = np.full((20, 20), value, dtype=np.uint16)
        Image.fromarray(image).save(folder / "ab"[i % 2] / f"{i:02}.png")
    return folder


@pytest.mark.parametrize(
    ("largest", "white"), [(900, 1023), (4000, 4095), (16000, 16383), (60000, 65535)]
)
def test_images_of_16_bits_have_one_white_for_the_whole_dataset(largest, white, tmp_path):
    values = [largest // 20 * (i + 1) for i in range(20)]
    data = read(write_16_bit(tmp_path / "x-rays", values))
    assert data.found.images.how.white_level == white
    seen = {
        int(data.found.listing.images.origin(int(row)).rsplit("/", 1)[1][:2]): int(image[0, 0, 0])
        for row, image in zip(data.rows, data.images(np.arange(20), VIEW).read(), strict=True)
    }
    for i, value in enumerate(values):
        assert seen[i] == pytest.approx(value / white * 255, abs=1)


def test_images_of_8_bits_have_no_other_white(photos):
    assert read(photos).found.images.how.white_level is None


# The cache


def test_nothing_is_stored_without_a_cache_and_the_images_are_the_same(photos):
    without = read(photos, cache_gb=0)
    assert not images_folder().exists()
    config = TrialConfig(lr=1e-3, image_size=16)
    decoded = without.trials.training_data(config)
    stored = read(photos).trials.training_data(config)
    assert images_folder().exists()
    assert np.array_equal(decoded.train_images.read(), stored.train_images.read())
    assert np.array_equal(decoded.val_images.read(), stored.val_images.read())


def test_a_run_without_a_cache_is_trained(local_ray, command, photos, tmp_path):
    results = []
    for name, size in (("without", 0), ("with", 50)):
        words = ["--data", photos, "--cache-gb", size, "--lr", 1e-3, "--smoke-test"]
        assert command(*words, "--storage-path", tmp_path, "--name", name) == 0
        results.append(load_trials(tmp_path / name))
    columns = ["best/val_accuracy", "last/val_loss", "last/train_loss", "weights_sha256"]
    assert results[0][columns].equals(results[1][columns])


# Trials


def test_what_reaches_a_trial_is_small_and_has_no_pixels(photos):
    small, large = (len(pickle.dumps(read(photos, [View(size)]).trials)) for size in (16, 224))
    assert small == large < 60 * 500
    trials = pickle.loads(pickle.dumps(read(photos).trials))
    data = read(photos)
    images = trials.training_data(TrialConfig(lr=1e-3, image_size=16))
    assert np.array_equal(images.val_images.read(), data.images(data.split.validation, VIEW).read())


# Bad options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--image-size", 0], ["--image-size 0", "1 or more"]),
        (["--image-size", "large"], ["--image-size", "large"]),
        (["--image-size", "native"], ["cnn does not define an image size"]),
        (["--image-size", 16, 16], ["16 16", "twice"]),
        (["--image-size", 16, "auto"], ["16 auto", "twice"]),
        (["--image-size", 4], ["image size 4 is too small"]),
        (["--resize", "stretch"], ["--resize", "squash"]),
        (["--duplicates", "maybe"], ["--duplicates", "keep"]),
        (["--background", "blurple"], ["--background 'blurple'", "#rrggbb"]),
        (["--cache-gb", -1], ["--cache-gb -1", "0 or more"]),
        (["--cache-gb", "nan"], ["--cache-gb nan", "0 or more"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--group-by", "("], ["no regular expression"]),
        (["--group-column", "patient"], ["--group-column"]),
        (["--min-per-class", 0], ["must be 1 or more"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if str(value[0]).startswith("--") else "",
)
def test_bad_options_are_one_message_before_anything_starts(
    options, words, command, tmp_path, assert_one_message
):
    assert command(*options, "--lr", 1e-3, "--storage-path", tmp_path / "runs") == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()


def test_images_that_need_more_room_than_the_cache_may_have_are_refused(
    photos, command, tmp_path, assert_one_message
):
    options = ["--data", photos, "--cache-gb", 0.00001, "--storage-path", tmp_path / "runs"]
    assert command(*options, "--lr", 1e-3) == 2
    assert_one_message(["--cache-gb"])
