import os
import socket
import subprocess
import sys

import pytest

from trainables.errors import InputError
from tune_jobs.ray_runtime import session
from tune_jobs.ray_runtime.session import answering


def test_a_host_alone_is_asked_at_the_port_of_a_head(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        monkeypatch.setattr(session, "HEAD_PORT", port)
        assert answering("127.0.0.1") == f"127.0.0.1:{port}"
        assert answering(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"
    assert answering("auto") == "auto"


@pytest.mark.parametrize("address", ["127.0.0.1:x", f"127.0.0.1:{10**30}", "", ":", "::1"])
def test_an_address_without_an_answer_is_one_message(address):
    with pytest.raises(InputError, match="HOST:PORT"):
        answering(address)


def test_an_address_of_the_sixth_version_is_asked():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert answering(f"[::1]:{port}") == f"[::1]:{port}"


LOADED = """
import sys
import ray
from tune_jobs.ray_runtime.session import ray_session

def loaded():
    return "trainables.trainable" in sys.modules

with ray_session(None, preload=True):
    print(ray.get(ray.remote(loaded).remote()))
"""


@pytest.mark.skipif(
    session.has_gpu_devices() or os.cpu_count() > session.MOST_PRELOADED, reason="imports nothing"
)
def test_the_workers_of_a_local_ray_have_imported_what_trials_need():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"]
