"""Helpers for jobs and servers in separate processes."""

import socket
import time


def wait_until(holds, what, process=None, timeout=120):
    """Poll until `holds()` is true or the process has ended; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := holds()):
        if process is not None and process.poll() is not None:
            return result
        assert time.monotonic() < deadline, f"no {what} within {timeout} s"
        time.sleep(0.1)
    return result


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
