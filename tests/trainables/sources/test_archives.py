import io
import json
import pickle
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.trainables.sources.files import listed, refusal, rows, write

NAMES = ["pets/train/cat/1.jpg", "pets/train/dog/1.jpg", "pets/test/cat/1.jpg"]
JUNK = ["__MACOSX/pets/._1.jpg", "pets/.DS_Store", "pets/README.md"]


def make_zip(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


def make_tar(path, contents, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def of_their_names(names, prefix=""):
    return {prefix + name: name.encode() for name in names}


@pytest.fixture(params=["zip", "tar", "tar with ./"])
def archive(request, tmp_path):
    if request.param == "zip":
        return make_zip(tmp_path / "a.zip", of_their_names([*NAMES, *JUNK]))
    prefix = "./" if "./" in request.param else ""
    return make_tar(tmp_path / "a.tar", of_their_names([*NAMES, *JUNK], prefix))


def test_an_archive_is_read_like_the_folder_in_it(archive, tmp_path):
    listing = listed(archive)
    folder = listed(write(tmp_path, *NAMES, *JUNK) / "pets")
    assert [row[2] for row in rows(listing)] == NAMES
    assert [row[:2] for row in rows(listing)] == [row[:2] for row in rows(folder)]
    assert listing.ignored == {"__MACOSX/": 1, ".DS_Store": 1, ".md": 1}
    assert listing.images.origin(0) == f"{archive}/{NAMES[0]}"


def test_an_archive_without_its_suffix_is_known(archive, tmp_path):
    assert len(listed(archive.rename(tmp_path / "download")).images) == 3


def test_members_are_read_by_threads_and_after_pickling(archive):
    images = pickle.loads(pickle.dumps(listed(archive).images))
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(images.read, [2, 1, 0] * 50))
    assert contents == [name.encode() for name in reversed(NAMES)] * 50


def test_members_that_lead_out_of_an_archive_are_only_names(tmp_path):
    names = ["../../cat/1.jpg", "/dog/1.jpg"]
    source = make_tar(tmp_path / "a.tar", of_their_names(names))
    assert [row[1:] for row in rows(listed(source))] == [("cat", names[0]), ("dog", names[1])]


@pytest.mark.parametrize(
    ("suffix", "length"),
    [("zip", 0), ("zip", 100), ("zip", -50), ("tar", 0), ("tar", 100), ("tar", 700), ("tar", 1024)],
)
def test_a_truncated_archive_is_refused_by_name(suffix, length, tmp_path):
    make = make_zip if suffix == "zip" else make_tar
    source = make(tmp_path / f"a.{suffix}", of_their_names(NAMES))
    source.write_bytes(source.read_bytes()[:length])
    message = refusal(source)
    assert str(source) in message
    assert "copy it again" in message


def test_a_tar_with_a_damaged_header_is_refused(tmp_path):
    source = make_tar(tmp_path / "a.tar", of_their_names(NAMES))
    raw = bytearray(source.read_bytes())
    raw[1024:1100] = b"x" * 76
    source.write_bytes(raw)
    assert "no member and no end at byte 1,024" in refusal(source)


def test_a_damaged_member_cannot_be_read(tmp_path):
    content = bytes(range(256)) * 8
    source = make_zip(tmp_path / "a.zip", {"cat/1.jpg": content, "dog/1.jpg": b"x"})
    raw = bytearray(source.read_bytes())
    raw[45:60] = bytes(15)
    source.write_bytes(raw)
    listing = listed(source)
    with pytest.raises(OSError, match=r"cat/1\.jpg"):
        listing.images.read(0)
    assert listing.images.read(1) == b"x"


CENTRAL = b"PK\1\2"
"""First bytes of an entry of a zip archive's directory."""


def edited(archive, position, content, after, name=""):
    """Overwrite bytes of an archive, counted from the last place of some others, before a name."""
    raw = bytearray(archive.read_bytes())
    start = raw.rindex(after, 0, raw.rindex(name.encode()) if name else None) + position
    raw[start : start + len(content)] = content
    archive.write_bytes(raw)
    return archive


def test_a_member_of_a_zip_without_a_date_is_read(tmp_path):
    source = make_zip(tmp_path / "a.zip", of_their_names(NAMES))
    assert len(rows(listed(edited(source, 14, bytes(2), CENTRAL)))) == 3


@pytest.mark.parametrize(
    ("position", "content"),
    [(6, b"\xff"), (9, b"\x08" + bytes(36) + b"\xff")],
    ids=["version of the future", "name that is no UTF-8"],
)
def test_a_zip_whose_directory_is_damaged_is_refused(position, content, tmp_path):
    source = make_zip(tmp_path / "a.zip", of_their_names(NAMES))
    assert "copy it again" in refusal(edited(source, position, content, CENTRAL))


@pytest.mark.parametrize("method", [99, 14, 12])
def test_a_member_of_another_compression_is_refused(method, tmp_path):
    source = make_zip(tmp_path / "a.zip", {"cat/1.jpg": b"x" * 99, "dog/1.jpg": b"x" * 99})
    edited(source, 10, bytes([method, 0]), CENTRAL)
    message = refusal(source)
    assert f"dog/1.jpg is packed by method {method}" in message
    assert "extract the archive" in message


def test_a_member_that_would_fill_the_memory_is_not_unpacked(tmp_path):
    source = make_zip(tmp_path / "a.zip", of_their_names([*NAMES, "pets/masks.npy"]))
    edited(source, 24, b"\xff\xff\xff\xf0", CENTRAL)
    assert len(listed(source).images) == 3  # nothing reads the masks
    edited(source, 24, b"\xff\xff\xff\xf0", CENTRAL, NAMES[2])
    message = refusal(source)
    assert "pets/test/cat/1.jpg unpacks from" in message
    assert "more than 100 times as much" in message


def test_a_member_unpacks_to_no_more_than_its_stated_size(tmp_path):
    source = make_zip(tmp_path / "a.zip", {"cat/1.jpg": b"x", "dog/1.jpg": bytes(2**24)})
    edited(source, 24, (1000).to_bytes(4, "little"), CENTRAL)
    images = listed(source).images
    tracemalloc.start()
    with pytest.raises(OSError, match=r"dog/1\.jpg: .*CRC"):
        images.read(1)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def tar_header(**fields):
    info = tarfile.TarInfo("cat/1.jpg")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse_header(real_size):
    """A member without data that says to have holes of so many bytes."""
    raw = bytearray(tar_header(size=0, type=b"S"))
    raw[483:495] = b"\x80" + real_size.to_bytes(11, "big")
    raw[148:156] = b"%06o\0 " % (sum(raw) - sum(raw[148:156]) + 8 * 32)
    return bytes(raw)


@pytest.mark.parametrize(
    "content",
    [
        tar_header(size=-1024),
        tar_header(size=2**62),
        tar_header(size=-512, type=b"S"),
        sparse_header(real_size=2**60),
        tar_header(size=2**62, type=tarfile.GNUTYPE_LONGNAME),
        tar_header(size=-1024, type=tarfile.XHDTYPE),
        tar_header(size=0, type=tarfile.XHDTYPE) * 2000,
        tar_header(size=13, type=tarfile.XHDTYPE)
        + b"13 mtime=inf\n".ljust(512, b"\0")
        + tar_header(),
    ],
    ids=["size below 0", "huge size", "sparse", "huge sparse", "huge name", "header", "chain",
         "time"],
)  # fmt: skip
def test_a_tar_whose_headers_are_absurd_is_refused(content, tmp_path):
    source = make_tar(tmp_path / "a.tar", of_their_names(NAMES))
    source.write_bytes(source.read_bytes()[:1024] + content + bytes(1024))
    assert "copy it again" in refusal(source)


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz", "tar.xz", "tar.bz2"])
def test_a_compressed_tar_is_refused_with_the_remedy(suffix, tmp_path):
    mode = "w:" + {"tgz": "gz"}.get(suffix, suffix.removeprefix("tar."))
    message = refusal(make_tar(tmp_path / f"a.{suffix}", of_their_names(NAMES), mode))
    assert "decompress it" in message


def test_links_in_a_tar_lead_to_their_targets(tmp_path):
    source = make_tar(tmp_path / "a.tar", of_their_names(["cat/1.jpg", "dog/1.jpg"]))
    with tarfile.open(source, "a") as file:
        for name, kind, target in (
            ("dog/2.jpg", tarfile.SYMTYPE, "../cat/1.jpg"),
            ("dog/3.jpg", tarfile.LNKTYPE, "cat/1.jpg"),
            ("dog/4.jpg", tarfile.SYMTYPE, "nothing.jpg"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            file.addfile(info)
    images = listed(source).images
    assert [images.read(row) for row in range(4)] == [b"cat/1.jpg", b"dog/1.jpg"] + [
        b"cat/1.jpg"
    ] * 2
    with pytest.raises(OSError, match=r"dog/4\.jpg is a link"):
        images.read(4)


@pytest.mark.parametrize("name", ["train.zip", "train.tar.gz"])
def test_a_folder_of_archives_is_refused_with_their_names(name, tmp_path):
    assert f"holds no images but {name}" in refusal(write(tmp_path, name))


@pytest.mark.parametrize("name", ["a.bin", "a", "a.txt", "a.jpg"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"something")
    message = refusal(tmp_path / name)
    assert str(tmp_path / name) in message
    assert "folder" in message


# WebDataset shards


def shard(path, *labels, key="{}", as_json=False):
    contents = {}
    for i, label in enumerate(labels):
        name = key.format(f"{path.stem}-{i}")
        contents[f"{name}.jpg"] = name.encode()
        if as_json:
            contents[f"{name}.json"] = json.dumps({"label": label, "who": f"p{i}"}).encode()
        else:
            contents[f"{name}.cls"] = str(label).encode()
    return make_tar(path, contents)


def test_a_shard_has_the_labels_of_its_keys(tmp_path):
    listing = listed(shard(tmp_path / "a.tar", 1, 0, 1))
    assert rows(listing) == [("train", "1", "a-0"), ("train", "0", "a-1"), ("train", "1", "a-2")]
    assert listing.ignored == {}


def test_shards_have_splits_names_and_groups(tmp_path):
    (tmp_path / "classes.txt").write_text("owl\ncat\n")
    shard(tmp_path / "train-000000.tar", 1, as_json=True, key="x/{}")
    shard(tmp_path / "train-000001.tar", 0, as_json=True, key="y/{}")
    shard(tmp_path / "val-000000.tar", 1, as_json=True)
    listing = listed(tmp_path, group_column="who")
    assert rows(listing) == [
        ("train", "cat", "x/train-000000-0"), ("train", "owl", "y/train-000001-0"),
        ("validation", "cat", "val-000000-0"),
    ]  # fmt: skip
    assert listing.groups == ("p0",) * 3
    assert pickle.loads(pickle.dumps(listing.images)).read(2) == b"val-000000-0"


def test_one_key_in_two_shards_is_two_images(tmp_path):
    for name in ("train-0", "train-1"):
        make_tar(tmp_path / f"{name}.tar", {"1.jpg": name.encode(), "1.cls": b"0"})
    assert [row[2] for row in rows(listed(tmp_path))] == ["train-0", "train-1"]


def test_names_as_labels_and_a_named_field(tmp_path):
    assert listed(shard(tmp_path / "a.tar", "owl", "cat")).classes == ("cat", "owl")
    source = shard(tmp_path / "b.tar", "owl", "cat", as_json=True)
    assert listed(source, label_column="who").classes == ("p0", "p1")


@pytest.mark.parametrize("label", ["--3", "٣", "9" * 20])
def test_labels_in_a_shard_that_are_no_whole_numbers_are_names(label, tmp_path):
    assert set(listed(shard(tmp_path / "a.tar", "3", label)).classes) == {"3", label}


def test_an_image_without_a_label_in_a_shard_is_refused_by_key(tmp_path):
    contents = {"1.jpg": b"", "1.cls": b"0", "2.jpg": b""}
    assert "2.jpg has no label" in refusal(make_tar(tmp_path / "a.tar", contents))
