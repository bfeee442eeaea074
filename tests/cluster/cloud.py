"""AWS emulated by moto: a host is powered on while the instance with its address runs."""

import collections
import contextlib
import ctypes
import io
import socket
import threading
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import boto3
import moto
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.cluster.hosts import LAPTOP, Hosts
from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, read_config

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_ENDPOINT_URL": f"http://{LAPTOP}:5000",
    # Nothing answers there, and each request would wait for seconds.
    "AWS_EC2_METADATA_DISABLED": "true",
}
MOST = {"max_workers": 2, "idle_timeout_minutes": 0.3}
"""As many workers as there are hosts for, and a short idle timeout."""
CLONE_NEWNET = 0x40000000


class Cloud(Hosts):
    """AWS for the laptop's commands; boto3 in this process sees the same account."""

    def __init__(self):
        super().__init__()
        del self.settings["RAY_UP_enable_autoscaler_v2"]
        self.settings |= CREDENTIALS
        self.stack = contextlib.ExitStack()
        self.off = threading.Event()
        self.asked = collections.defaultdict(set)
        """Client address -> EC2 actions that it requested."""

    def up(self):
        """Set up an account as docs/clusters.md describes, and `ray up` in it."""
        # Each instance has an address of its own, also one that replaces a lost or idle one.
        self("network", 4 * MOST["max_workers"])
        self.stack.enter_context(moto.mock_aws())
        listening = inside(f"{self.folder.name}-cli", lambda: socket.create_server(("", 5000)))
        server = make_server(
            "", 5000, self.app(), threaded=True, fd=listening.fileno(), request_handler=Silent
        )
        self.serve(server.serve_forever, server.shutdown)
        config = read_config(CLUSTER_FILE) | MOST
        region = config["provider"]["region"]
        self.ec2, self.s3 = (boto3.client(name, region) for name in ("ec2", "s3"))
        self.account(config)
        self.serve(self.switch, self.off.set)
        config["auth"]["ssh_user"] = "root"
        config["provider"]["use_internal_ips"] = True
        self.ray_up(config, **CREDENTIALS)

    def app(self):
        """Return moto's WSGI application, wrapped to record the actions requested."""
        answer = DomainDispatcherApplication(create_backend_app)

        def noting(environ, start_response):
            if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
                body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                form = dict(parse_qsl(body.decode()))
                if form["Action"] == "RunInstances":
                    # AWS starts as many as it has, moto only MinCount.
                    form["MinCount"] = form["MaxCount"]
                body = urlencode(form).encode()
                environ["wsgi.input"] = io.BytesIO(body)
                environ["CONTENT_LENGTH"] = str(len(body))
                self.asked[environ["REMOTE_ADDR"]].add(form["Action"])
            return answer(environ, start_response)

        return noting

    def serve(self, target, stop):
        """Run a function in the background until the cloud is taken down."""
        thread = threading.Thread(target=target)
        thread.start()
        self.stack.callback(thread.join)
        self.stack.callback(stop)

    def account(self, config):
        """Create a subnet with the hosts' addresses, a bucket and the instance profiles."""
        for subnet in self.ec2.describe_subnets()["Subnets"]:
            self.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        vpc = self.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        zone = config["provider"]["availability_zone"].split(",")[0]
        self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/24", AvailabilityZone=zone)
        where = {"LocationConstraint": config["provider"]["region"]}
        self.s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=where)
        iam = boto3.client("iam")
        for name in ("head", "worker"):
            role, policy = f"bakeoff-{name}", ROOT / "docs" / "aws" / f"{name}-policy.json"
            iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
            text = policy.read_text().replace("BUCKET", "bucket")
            iam.put_role_policy(RoleName=role, PolicyName="bakeoff", PolicyDocument=text)
            iam.create_instance_profile(InstanceProfileName=role)
            iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)

    def instances(self, state="running"):
        """Return the instances in a state."""
        reservations = self.ec2.describe_instances()["Reservations"]
        found = [instance for each in reservations for instance in each["Instances"]]
        return [instance for instance in found if instance["State"]["Name"] == state]

    def of_type(self, name):
        """Return the running instances of a node type of cluster.yaml."""
        return [
            instance
            for instance in self.instances()
            if {"Key": "ray-user-node-type", "Value": name} in instance["Tags"]
        ]

    def terminate(self, instance):
        """Terminate an instance, as a spot interruption does."""
        self.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])

    def switch(self):
        """Power hosts on and off as instances come and go."""
        on = {}
        while not self.off.wait(0.5):
            running = {i["InstanceId"]: i["PrivateIpAddress"] for i in self.instances()}
            for instance in on.keys() - running.keys():
                self("kill", host(on.pop(instance)))
            for instance in running.keys() - on.keys():
                on[instance] = running[instance]
                self.let_in()
                self("boot", host(on[instance]))

    def let_in(self):
        """Authorize the account's SSH keys on the hosts, as AWS does on instances."""
        pairs = self.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        keys = "".join(f"{pair['PublicKey']}\n" for pair in pairs)
        (self.folder / "authorized_keys").write_text(keys)

    def fetch(self, prefix, to):
        """Download the objects below a prefix of the bucket into a folder."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket="bucket", Prefix=prefix
        ):
            keys = [found["Key"] for found in page.get("Contents", [])]
            for key in keys:
                if not key.endswith("/"):  # a placeholder for a folder
                    file = to / key.removeprefix(prefix).lstrip("/")
                    file.parent.mkdir(parents=True, exist_ok=True)
                    self.s3.download_file("bucket", key, str(file))
        return to

    def down(self):
        """Power all hosts off, and discard the account."""
        self.stack.close()
        super().down()


class Silent(WSGIRequestHandler):
    """A request handler that logs nothing."""

    def log(self, *args):
        """Log nothing."""


def host(address):
    """Return the name of the host with an address."""
    return "h" + address.rsplit(".", 1)[1]


def inside(namespace, make):
    """Return the result of a function that is called inside a network namespace."""
    made = []

    def enter():
        with Path("/run/netns", namespace).open() as file:
            assert ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET) == 0
        made.append(make())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]
