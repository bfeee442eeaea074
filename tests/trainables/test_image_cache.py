"""The cache of decoded images: complete or absent, bounded, and rebuilt when a file changes."""

import errno
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import ExifTags, Image
from sklearn.datasets import load_sample_image

from tests.images import ImageFiles
from trainables import cache_files, image_cache
from trainables.cache_files import images_folder
from trainables.config import TrialConfig
from trainables.decoding import open_rgb, render
from trainables.errors import InputError
from trainables.image_cache import SquareImages
from trainables.image_rows import ImageRows
from trainables.views import Decoding, View

HOW, PLENTY = Decoding(), 10**9
CROP, SQUASH = View(8), View(6, "squash")


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_photos(folder, count=5, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for i in range(count):
        pixels = rng.integers(0, 256, (12 + i, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        paths.append(folder / f"{i}.png")
    return ImageFiles(paths)


def square(files, limit=PLENTY):
    return SquareImages.of(files, HOW, limit)


def expected(files, view):
    return np.stack(
        [
            render(open_rgb(files.read(i), HOW, view.shorter_side), view, HOW)
            for i in range(len(files))
        ]
    )


def decoded(monkeypatch):
    """Rows that are read from now on, to be decoded."""
    seen, read = [], ImageFiles.read
    monkeypatch.setattr(ImageFiles, "read", lambda self, row: seen.append(row) or read(self, row))
    return seen


@pytest.mark.parametrize("limit", [PLENTY, 0], ids=["cached", "decoded when read"])
def test_images_are_read_in_any_view_and_order(limit, tmp_path):
    files = write_photos(tmp_path / "photos")
    images = square(files, limit)
    images.scan([CROP, SQUASH])
    rows = np.array([3, 0, 3])
    for view in (CROP, SQUASH):
        store = images.store(view)
        assert store.shape == (5, view.size, view.size, 3)
        assert np.array_equal(store.read(rows), expected(files, view)[rows])
    if limit:
        assert np.array_equal(store.whole(), expected(files, SQUASH))
    else:
        assert store.whole() is None
        assert not images_folder().exists()


def test_one_pass_decodes_each_image_once_for_all_views(tmp_path, monkeypatch):
    files = write_photos(tmp_path / "photos")
    seen = decoded(monkeypatch)
    facts = square(files).scan([CROP, SQUASH])
    assert len(seen) == 5
    again = square(files).scan([SQUASH, CROP])
    square(files).store(CROP).read(np.arange(5))
    assert len(seen) == 5
    assert np.array_equal(again.digests, facts.digests)
    assert facts.sizes.tolist() == [[12 + i, 20] for i in range(5)]


def test_a_changed_file_is_decoded_again(tmp_path):
    folder = tmp_path / "photos"
    files = write_photos(folder)
    square(files).scan([CROP])
    other = write_photos(folder, seed=1)
    assert np.array_equal(square(other).store(CROP).read(np.arange(5)), expected(other, CROP))


def test_damaged_images_are_named_and_the_others_are_read(tmp_path):
    files = write_photos(tmp_path / "photos")
    for row in (1, 4):
        content = files.read(row)
        Path(files.paths[row]).write_bytes(content[: len(content) // 2])
    facts = square(files).scan([CROP])
    assert sorted(facts.errors) == [1, 4]
    assert all(facts.errors.values())
    good = np.array([0, 2, 3])
    store = square(files).store(CROP)
    expected_ = np.stack([render(open_rgb(files.read(i), HOW), CROP, HOW) for i in good])
    assert np.array_equal(store.read(good), expected_)
    assert square(files).scan([CROP]).errors == facts.errors


def test_what_headers_say_is_kept(tmp_path):
    files = write_photos(tmp_path / "photos")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(files.paths[0]) as image:
        image.convert("RGB").save(files.paths[0], "JPEG", exif=exif)
    Image.new("LA", (20, 12), (9, 9)).save(files.paths[1], "PNG")
    Path(files.paths[2]).write_bytes(b"no image")
    square(files).scan([CROP])
    facts = square(files).scan([CROP])  # from the cache
    assert facts.formats.tolist()[:3] == ["JPEG", "PNG", ""]
    assert facts.modes.tolist()[:3] == ["RGB", "LA", ""]
    assert facts.turned.tolist() == [True, False, False, False, False]
    assert facts.transparent.tolist() == [False, True, False, False, False]
    assert (facts.contrasts[[1, 2]] == 0).all()
    assert facts.contrasts[3] > 5


def test_facts_of_an_earlier_version_are_found_out_again(tmp_path):
    files = write_photos(tmp_path / "photos")
    facts = square(files).scan([CROP])
    stored = images_folder() / square(files).key / "facts.npz"
    np.savez(stored, digests=facts.digests, sizes=facts.sizes)
    assert square(files).scan([CROP]).formats.tolist() == facts.formats.tolist()


def test_a_file_that_has_gone_is_refused_by_name(tmp_path):
    files = write_photos(tmp_path / "photos")
    images = square(files)
    Path(files.paths[2]).unlink()
    with pytest.raises(InputError, match=r"2\.png cannot be read"):
        images.scan([CROP])
    assert images.missing([CROP]) == [CROP]


def test_the_least_recently_used_entry_makes_room(tmp_path):
    one, two, three = (
        square(write_photos(tmp_path / name, seed=i)) for i, name in enumerate("abc")
    )
    one.scan([CROP])
    entry = sum(file.stat().st_size for file in (images_folder() / one.key).iterdir())
    limit = 2 * entry + 100
    SquareImages(two.encoded, HOW, two.key, limit).scan([CROP])
    os.utime(images_folder() / two.key / cache_files.LAST_USE_FILE, (1, 1))
    SquareImages(three.encoded, HOW, three.key, limit).scan([CROP])
    assert one.missing([CROP]) == three.missing([CROP]) == []
    assert two.missing([CROP]) == [CROP]


def test_another_view_of_the_same_images_makes_room(tmp_path):
    files = write_photos(tmp_path / "photos")
    small, large = View(30), View(50)
    square(files).scan([small])
    SquareImages(files, HOW, square(files).key, square(files).nbytes(large) + 8000).scan([large])
    assert square(files).missing([small, large]) == [small]


def test_an_entry_that_another_process_fills_is_not_deleted(tmp_path):
    one, two = (square(write_photos(tmp_path / name, seed=i)) for i, name in enumerate("ab"))
    one.scan([CROP])
    with FileLock(images_folder() / f"{one.key}.lock"), pytest.raises(InputError, match="leaves"):
        SquareImages(two.encoded, HOW, two.key, two.nbytes(CROP) + 100).scan([CROP])
    assert one.missing([CROP]) == []


def test_a_view_does_not_depend_on_those_that_are_made_with_it(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(load_sample_image("china.jpg")).save(path, quality=90)
    small, large = View(32), View(256)
    files = ImageFiles([path])
    alone = square(files, 0).store(small).read(np.array([0]))
    square(files).scan([large, small])
    assert np.array_equal(square(files).store(small).read(np.array([0])), alone)


def test_views_that_are_the_same_are_one_file(tmp_path):
    files = write_photos(tmp_path / "photos")
    assert View(32, "crop", 32) == View(32)
    assert View(32, "squash", 40) == View(32, "squash")
    augmented = TrialConfig(lr=1, image_size=28, augment="photo")
    square(files).scan([View(28), View(32), augmented.train_view])
    assert np.array_equal(square(files).store(View(32)).whole(), expected(files, View(32)))


def test_a_cache_without_room_is_refused_before_anything_is_decoded(tmp_path, monkeypatch):
    images = square(write_photos(tmp_path / "photos"), limit=100)
    seen = decoded(monkeypatch)
    with pytest.raises(InputError, match=r"--cache-gb leaves .* --cache-gb 0"):
        images.scan([CROP])
    assert not seen


def test_a_full_disk_leaves_the_view_absent(tmp_path, monkeypatch):
    images = square(write_photos(tmp_path / "photos"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(InputError, match=r"No space left on device.* free space"):
        images.scan([CROP])
    assert images.missing([CROP]) == [CROP]
    assert not list(images_folder().rglob("*.partial"))
    monkeypatch.undo()


KILLED = """
import os, signal, sys
from tests.images import ImageFiles
from trainables.image_cache import SquareImages
from trainables.views import Decoding, View
written = []
def pwrite(*args, original=os.pwrite):
    written.append(1)
    if len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args)
os.pwrite = pwrite
SquareImages.of(ImageFiles(sys.argv[1:]), Decoding(), 10**9).scan([View(8)])
"""


def test_a_killed_process_leaves_the_view_absent_and_the_next_one_makes_it(tmp_path):
    files = write_photos(tmp_path / "photos")
    images = square(files)
    command = [sys.executable, "-c", KILLED, *files.paths]
    assert subprocess.run(command, check=False).returncode == -9
    assert images.missing([CROP]) == [CROP]
    assert np.array_equal(images.store(CROP).read(np.arange(5)), expected(files, CROP))
    assert not list(images_folder().rglob("*.partial"))


def test_several_at_once_decode_once(tmp_path, monkeypatch):
    files = write_photos(tmp_path / "photos", 40)
    seen = decoded(monkeypatch)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: square(files).store(CROP).read(np.arange(40)), range(4)))
    assert len(seen) == 40
    assert all(np.array_equal(result, expected(files, CROP)) for result in results)


def test_damaged_facts_are_made_again(tmp_path):
    files = write_photos(tmp_path / "photos")
    facts = square(files).scan([CROP])
    file = images_folder() / square(files).key / image_cache.FACTS_FILE
    file.write_bytes(file.read_bytes()[:50])
    assert np.array_equal(square(files).scan([CROP]).digests, facts.digests)


def test_rows_are_read_lazily_and_pickle_small(tmp_path):
    files = write_photos(tmp_path / "photos")
    images = square(files)
    assert len(pickle.dumps(images)) < 1000 + sum(map(len, files.paths))
    rows = ImageRows(images.store(CROP), np.array([4, 1, 2]))
    assert rows.shape == (3, 8, 8, 3)
    whole = expected(files, CROP)
    assert np.array_equal(rows.read(), whole[[4, 1, 2]])
    assert np.array_equal(rows.take(slice(None, None, 2)).read(), whole[[4, 2]])
    assert np.array_equal(np.concatenate(list(rows.blocks())), whole[[4, 1, 2]])
    assert rows.fingerprint() != rows.take(slice(2)).fingerprint()


def test_a_store_that_was_read_can_be_sent_to_another_process(tmp_path):
    store = square(write_photos(tmp_path / "photos")).store(CROP)
    rows = ImageRows(store, np.array([4, 1]))
    whole = rows.read()
    sent = pickle.loads(pickle.dumps(rows))
    del rows, store  # which closes their file
    assert np.array_equal(sent.read(), whole)
