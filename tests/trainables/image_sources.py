"""Images, parquet files and image folders that tests of data sources load."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.images import load_source
from trainables.errors import InputError

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
COLOURS = [RED, GREEN, BLUE, GREY]


def png(colour=RED):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def structs(contents):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([None if c is None else {"bytes": c, "path": "a.png"} for c in contents], kind)


def write_parquet(path, class_names=None, **columns):
    table = pa.table(columns)
    if class_names:
        feature = {"names": class_names, "_type": "ClassLabel"}
        features = {name: feature for name in columns if "label" in name}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return str(path)


def write_image(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (4, 4), RED)).save(path, **options)
    return path


def colours(dataset):
    """The colour of each image, which must be of one colour."""
    assert (dataset.images == dataset.images[:, :1, :1]).all()
    return [tuple(image[0, 0].tolist()) for image in dataset.images]


def refusal(source, **options):
    with pytest.raises(InputError) as error:
        load_source(source, 4, **options)
    return str(error.value)
