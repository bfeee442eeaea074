"""Worker processes of a local Ray as forks of one process, which has imported what trials need.

Otherwise each worker imports Ray twice and torch once, which takes three seconds of a core: more
than most trials of the tests. A fork takes one, as Ray itself is imported in it: it reads the
environment of its worker then.
"""

import contextlib
import functools
import importlib
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ADDRESS = "BAKEOFF_FORKS"
"""Environment variable with the path of the socket at which ask_for_worker.py asks for a fork."""
MODULES = ("pandas", "pyarrow.dataset", "sklearn.datasets", "torch._dynamo", "trainables.costs",
           "trainables.loop", "trainables.trial_images")  # fmt: skip
"""What trials import, without Ray."""
HERE = Path(__file__).parent


@contextlib.contextmanager
def fork_server() -> Iterator[None]:
    """Start the process that is forked, for the Rays that are started meanwhile."""
    from ray._private.parameter import RayParams

    original = RayParams.__init__
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as asked:
        os.environ[ADDRESS] = str(Path(folder, "forks"))
        asked.bind(os.environ[ADDRESS])
        asked.listen(64)
        command = [sys.executable, "-m", "tests.forked_workers", str(asked.fileno())]
        server = subprocess.Popen(command, pass_fds=[asked.fileno()], cwd=HERE.parent)
        RayParams.__init__ = functools.partialmethod(
            original, setup_worker_path=str(HERE / "ask_for_worker.py")
        )
        try:
            yield
        finally:
            RayParams.__init__ = original
            del os.environ[ADDRESS]
            server.terminate()
            server.wait()


def serve(asked):
    """Import what trials need, and become a worker in a fork for each connection."""
    for module in MODULES:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    while True:
        connection, _ = asked.accept()
        if os.fork() == 0:
            os.setpgrp()  # Ray ends the process group of a worker
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become_worker(connection)
        connection.close()


def become_worker(connection):
    """Run Ray's script as the process that asks would; the connection closes at the end."""
    message, files, _, _ = socket.recv_fds(connection, 2**20, 3)
    words, environment, folder = pickle.loads(message)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from ray._private.runtime_env.context import RuntimeEnvContext
    from ray._private.workers.setup_worker import parser

    setup, arguments = parser.parse_known_args(words)
    context = RuntimeEnvContext.deserialize(setup.serialized_runtime_env_context or "{}")
    os.environ.update(context.env_vars)
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
