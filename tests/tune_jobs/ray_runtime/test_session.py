import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest
from ray._private.services import canonicalize_bootstrap_address

from trainables.errors import InputError
from tune_jobs.ray_runtime import session
from tune_jobs.ray_runtime.ray_internals import loopback_as_given
from tune_jobs.ray_runtime.session import SETTINGS, answering


@contextlib.contextmanager
def server(*answers, host="127.0.0.1", family=socket.AF_INET):
    """Serve a connection with each answer, and return the port."""
    with socket.create_server((host, 0), family=family) as listening:

        def serve():
            for answer in answers:
                with listening.accept()[0] as connected:
                    connected.recv(100)
                    connected.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def test_a_host_alone_is_asked_at_the_port_of_a_head(monkeypatch):
    with server(SETTINGS, SETTINGS) as port:
        monkeypatch.setattr(session, "HEAD_PORT", str(port))
        assert answering("127.0.0.1") == f"127.0.0.1:{port}"
        assert answering(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"
    assert answering("auto") == "auto"


@pytest.mark.parametrize("address", ["127.0.0.1:x", f"127.0.0.1:{10**30}", "", ":", "::1"])
def test_an_address_without_an_answer_is_one_message(address):
    with pytest.raises(InputError, match="HOST:PORT"):
        answering(address)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b""])
def test_another_server_is_told_from_a_cluster(answer):
    with server(answer) as port, pytest.raises(InputError, match="is no Ray cluster"):
        answering(f"127.0.0.1:{port}")


def test_an_address_of_the_sixth_version_is_asked():
    with server(SETTINGS, host="::1", family=socket.AF_INET6) as port:
        assert answering(f"[::1]:{port}") == f"[::1]:{port}"


def test_a_ray_on_the_loopback_interface_is_asked_there():
    """Ray's driver connects to what this function of Ray returns."""
    with loopback_as_given():
        assert canonicalize_bootstrap_address("127.0.0.1:6379") == "127.0.0.1:6379"


STARTED = """
import json, os, stat, sys
from pathlib import Path
import psutil
import ray
from tune_jobs.ray_runtime.session import ray_session

def loaded():
    return "trainables.trainable" in sys.modules

def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)

os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
os.environ["RAY_AUTH_TOKEN"] = "of a cluster"
with ray_session(None, preload=True):
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    me = psutil.Process()
    tree = [me, *me.children(recursive=True)]
    sockets = [each.laddr for one in tree for each in one.net_connections("inet")
               if each.status == psutil.CONN_LISTEN or each.type == 2]
    print(json.dumps({
        "loaded": ray.get(ray.remote(loaded).remote()),
        "processes": [one.name() for one in tree],
        "commands": [" ".join(one.cmdline()) for one in tree],
        "addresses": sorted({each.ip for each in sockets}),
        "ports": sorted({each.port for each in sockets}),
        "secret": token.read_text(),
        "modes": [mode(token), mode(token.parent)],
        "temporary": str(token.parent),
    }), flush=True)
    WAIT
assert os.environ["RAY_AUTH_TOKEN"] == "of a cluster" and "RAY_AUTH_TOKEN_PATH" not in os.environ
assert not token.parent.exists()
"""


@pytest.fixture(scope="module")
def started():
    """What a process saw of the local Ray that it started."""
    code = STARTED.replace("WAIT", "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(
    session.has_gpu_devices() or os.cpu_count() > session.MOST_PRELOADED, reason="imports nothing"
)
def test_the_workers_of_a_local_ray_have_imported_what_trials_need(started):
    assert started["loaded"]


def test_nothing_of_a_local_ray_listens_beyond_the_loopback_interface(started):
    assert {"raylet", "gcs_server"} <= set(started["processes"])
    assert len(started["ports"]) > 3
    assert set(started["addresses"]) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert not [words for words in started["commands"] if "dashboard" in words.split(" --")[0]]


def test_the_token_of_a_local_ray_is_read_by_its_user_alone(started):
    assert started["modes"] == [0o600, 0o700]
    assert len(started["secret"]) == 64
    assert not [words for words in started["commands"] if started["secret"] in words]


CONNECT = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), timeout=5).close()
        print("open")
    except ConnectionRefusedError:
        print("refused")
"""


@pytest.fixture
def neighbours():
    """Two machines on a network, as namespaces: a function that gives a command on one of them."""
    names = [f"bakeoff-{os.getpid()}-{end}" for end in "ab"]

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    for name in names:
        ip("netns", "add", name)
    try:
        ip("-n", names[0], "link", "add", "eth0", "type", "veth",
           "peer", "name", "eth0", "netns", names[1])  # fmt: skip
        for number, name in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"10.78.0.{number}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "route", "add", "default", "dev", "eth0")
        yield lambda number, *words: ["ip", "netns", "exec", names[number], sys.executable, *words]
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.cluster
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("ip") is None, reason="needs root and ip, for namespaces"
)
def test_another_machine_cannot_connect_to_a_local_ray(neighbours):
    # A server on all interfaces shows that the machine itself can be reached.
    code = STARTED.replace("WAIT", "import socket; server = socket.create_server(('', 0)); "
                           "print(server.getsockname()[1], flush=True); input()")  # fmt: skip
    ray = subprocess.Popen(neighbours(0, "-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True)  # fmt: skip
    try:
        ports = json.loads(ray.stdout.readline())["ports"]
        open_port = int(ray.stdout.readline())
        command = neighbours(1, "-c", CONNECT, "10.78.0.1", *map(str, [open_port, *ports]))
        answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    finally:
        ray.communicate("\n")
    assert answers == ["open"] + ["refused"] * len(ports)
    assert len(ports) > 3
