"""What Ray starts as a worker process: asks `forked_workers` for a fork, and ends when it ends.

It imports little, as it is started for every worker.
"""

import os
import pickle
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["BAKEOFF_FORKS"])
    folder = os.getcwd()  # noqa: PTH109  pathlib takes time to import
    message = pickle.dumps((sys.argv[1:], dict(os.environ), folder))
    socket.send_fds(server, [message], [0, 1, 2])
    server.recv(1)
