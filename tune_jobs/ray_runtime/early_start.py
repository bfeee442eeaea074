"""Start Ray while the modules of a job are imported: both take seconds and mostly wait."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator

JOB_MODULES = ("tune_jobs.tuning.job", "sklearn.datasets", "sklearn.model_selection")
"""Modules that every job needs, and that take long to import."""


@contextlib.contextmanager
def ray_while_importing(address: str | None, *modules: str, preload: bool) -> Iterator[None]:
    """Enter `ray_session` while another thread imports JOB_MODULES and other modules.

    Ray is started by the main thread: its processes end with the thread that started them.

    Args:
        address: address of a cluster; None starts a local Ray.
        modules: names of the other modules.
        preload: as in `ray_session`.

    Raises:
        InputError: no cluster answers at the address.
    """
    importing = threading.Thread(target=_import_all, args=(*JOB_MODULES, *modules))
    importing.start()
    from tune_jobs.ray_runtime.session import ray_session  # imports ray

    with ray_session(address, preload=preload):
        importing.join()
        yield


def _import_all(*modules: str) -> None:
    for module in modules:
        # An error is raised again where the job imports the module, in the main thread.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
