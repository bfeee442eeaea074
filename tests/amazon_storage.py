"""Amazon's object store on this machine."""

import contextlib

import boto3
from moto.server import ThreadedMotoServer


@contextlib.contextmanager
def amazon_bucket(patch):
    """Serve a bucket named "bucket", and lead pyarrow and boto3 to it; yield host and port."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield f"{host}:{port}"
    server.stop()
