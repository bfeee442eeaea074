import io
import pickle
import zipfile
from pathlib import Path

import boto3
import pytest

from tests.amazon_storage import amazon_bucket
from tests.trainables.image_sources import structs, write_parquet
from tests.trainables.sources.files import listed, refusal, rows


@pytest.fixture(scope="module")
def bucket():
    """A bucket of Amazon's store on this machine."""
    with pytest.MonkeyPatch.context() as patch, amazon_bucket(patch):
        client = boto3.client("s3")
        yield lambda name, content: client.put_object(Bucket="bucket", Key=name, Body=content)


def test_a_folder_of_a_store_is_read_like_one_on_a_disk(bucket):
    names = ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg"]
    for name in [*names, ".DS_Store"]:
        bucket(f"photos/{name}", name.encode())
    for uri in ("s3://bucket/photos", "s3://bucket/photos/"):
        listing = listed(uri)
        assert rows(listing) == [
            ("train", "cat", names[0]), ("train", "dog", names[1]), ("test", "cat", names[2]),
        ]  # fmt: skip
        assert listing.ignored == {".DS_Store": 1}
        assert listing.images.origin(0) == "s3://bucket/photos/train/cat/1.jpg"
    copy = pickle.loads(pickle.dumps(listing.images))
    assert copy.read(1) == b"train/dog/1.jpg"
    bucket("photos/train/cat/1.jpg", b"longer than before")
    assert listed("s3://bucket/photos").images.version() != copy.version()


def test_parquet_files_of_a_store_are_read(bucket, tmp_path):
    for name in ("train", "test"):
        file = write_parquet(tmp_path / name, image=structs([name.encode()]), label=["a"])
        bucket(f"hub/data/{name}-00000-of-00001.parquet", Path(file).read_bytes())
    assert rows(listed("s3://bucket/hub")) == [("train", "a", "train"), ("test", "a", "test")]
    one = listed("s3://bucket/hub/data/test-00000-of-00001.parquet")
    assert rows(one) == [("train", "a", "test")]


def test_tables_and_archives_of_a_store_are_read(bucket):
    bucket("lists/images/1.jpg", b"1")
    bucket("lists/a.csv", b"file,label\nimages/1.jpg,cat\n")
    assert rows(listed("s3://bucket/lists/a.csv")) == [("train", "cat", "1")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("cat/1.jpg", "dog/1.jpg"):
            file.writestr(name, name)
    bucket("packed/a.zip", buffer.getvalue())
    assert [row[2] for row in rows(listed("s3://bucket/packed/a.zip"))] == [
        "cat/1.jpg",
        "dog/1.jpg",
    ]


def test_what_a_store_has_not_is_refused(bucket):
    assert "'s3://bucket/nothing' is neither a file nor a folder" in refusal("s3://bucket/nothing")
    assert "s3://no-such-bucket/x" in refusal("s3://no-such-bucket/x")


def test_an_unknown_scheme_is_refused():
    message = refusal("ftp://somewhere/photos")
    assert "ftp://somewhere/photos" in message
    assert "s3://…" in message
