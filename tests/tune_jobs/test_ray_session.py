import socket

from tune_jobs import ray_session
from tune_jobs.ray_session import answering


def test_a_host_alone_is_asked_at_the_port_of_a_head(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        monkeypatch.setattr(ray_session, "HEAD_PORT", port)
        assert answering("127.0.0.1") == f"127.0.0.1:{port}"
        assert answering(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"
    assert answering("auto") == "auto"
