import pickle
import struct
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torchvision import datasets

from tests.images import load_source
from tests.trainables.image_sources import colours, png, refusal, structs, write_parquet
from trainables.data import TEST, TRAIN
from trainables.errors import InputError

# Named sources


def test_digits_are_those_of_scikit_learn():
    dataset, bunch = load_source("digits", 8), load_digits()
    assert dataset.images.shape == (1797, 8, 8, 3)
    np.testing.assert_allclose(dataset.images / 255, bunch.images[..., None] / 16 + [0] * 3,
                               atol=0.5 / 255)  # fmt: skip
    assert dataset.labels.tolist() == bunch.target.tolist()
    assert dataset.classes == tuple("0123456789")
    assert (dataset.parts == TRAIN).all()


def folder_of_owls(path, greys=(1, 2, 3)):
    for i, grey in enumerate(greys):
        (path / "owl").mkdir(parents=True, exist_ok=True)
        (path / "owl" / f"{i}.png").write_bytes(png((grey,) * 3))
    return str(path)


def parquet_of_owls(path, greys=(1, 2, 3)):
    path.mkdir()
    images = structs([png((grey,) * 3) for grey in greys])
    return write_parquet(path / "owls.parquet", image=images, label=["owl"] * 3)


@pytest.mark.parametrize("make", [folder_of_owls, parquet_of_owls, lambda *_: "digits"])
def test_images_are_known_again_at_another_size(make, tmp_path):
    source = make(tmp_path / "owls")
    assert load_source(source, 4).fingerprint == load_source(source, 6).fingerprint


@pytest.mark.parametrize("make", [folder_of_owls, parquet_of_owls])
def test_other_images_are_told_apart_whatever_their_source(make, tmp_path):
    first = load_source(make(tmp_path / "a"), 4).fingerprint
    assert load_source(make(tmp_path / "b", (1, 2, 4)), 4).fingerprint != first
    assert load_source(make(tmp_path / "c", (2, 1, 3)), 4).fingerprint != first


def test_a_folder_and_a_parquet_file_of_the_same_files_are_the_same_images(tmp_path):
    folder, file = folder_of_owls(tmp_path / "a"), parquet_of_owls(tmp_path / "b")
    assert load_source(folder, 4).fingerprint == load_source(file, 6).fingerprint


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The empty cache folder, without a network."""

    def download(*args, **kwargs):
        raise URLError("no network here")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", download)
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    return tmp_path / "bakeoff"


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_without_files_or_network_the_message_says_where_to_put_them(name, cache):
    with pytest.raises(InputError) as error:
        load_source(name)
    assert name in str(error.value)
    assert str(cache) in str(error.value)
    assert "no network here" in str(error.value)


@pytest.mark.parametrize(
    ("name", "cls", "label_key", "meta_key"),
    [
        ("cifar10", datasets.CIFAR10, "labels", "label_names"),
        ("cifar100", datasets.CIFAR100, "fine_labels", "fine_label_names"),
    ],
)
def test_cifar_is_read_from_the_cache(name, cls, label_key, meta_key, cache, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    files = {
        "first": {"data": images[:2].reshape(2, -1), label_key: [1, 0]},
        "second": {"data": images[2:3].reshape(1, -1), label_key: [1]},
        "last": {"data": images[3:].reshape(2, -1), label_key: [0, 1]},
        cls.meta["filename"]: {meta_key: ["cat", "dog"]},
    }
    folder = cache / cls.base_folder
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(pickle.dumps(content))
    monkeypatch.setattr(cls, "train_list", [["first", None], ["second", None]])
    monkeypatch.setattr(cls, "test_list", [["last", None]])
    monkeypatch.setitem(cls.meta, "md5", None)
    dataset = load_source(name, 32)
    np.testing.assert_array_equal(dataset.images, images.transpose(0, 2, 3, 1))
    assert dataset.labels.tolist() == [1, 0, 1, 0, 1]
    assert dataset.classes == ("cat", "dog")
    assert dataset.parts.tolist() == [TRAIN, TRAIN, TRAIN, TEST, TEST]


def test_fashion_mnist_is_read_from_the_cache_as_rgb(cache):
    folder = cache / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, greys in (("train", [10, 20, 30]), ("t10k", [40, 50])):
        n = len(greys)
        pixels = np.repeat(np.array(greys, dtype=np.uint8), 28 * 28).tobytes()
        header = struct.pack(">4I", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels)
        labels = struct.pack(">2I", 0x801, n) + bytes(range(n))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    dataset = load_source("fashion_mnist", 28)
    assert dataset.images.shape == (5, 28, 28, 3)
    assert colours(dataset) == [(grey,) * 3 for grey in (10, 20, 30, 40, 50)]
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1]
    assert dataset.classes[0] == "T-shirt/top"
    assert len(dataset.classes) == 10
    assert dataset.parts.tolist() == [TRAIN] * 3 + [TEST] * 2


# Invalid sources


@pytest.mark.parametrize("source", ["cifar-10", "Digits", "no/such/folder", ""])
def test_an_unknown_source_is_refused_with_those_there_are(source):
    message = refusal(source)
    assert repr(source) in message
    assert "digits, cifar10" in message


@pytest.mark.parametrize("inside", [None, "1.png", "cat/notes.txt"])
def test_a_folder_without_classes_of_images_is_refused(inside, tmp_path):
    if inside:
        (tmp_path / inside).parent.mkdir(exist_ok=True)
        (tmp_path / inside).write_bytes(png())
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "a subfolder of images" in message
