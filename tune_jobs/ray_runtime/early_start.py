"""Start Ray while the modules of a job are imported: both take seconds and mostly wait."""

from __future__ import annotations

import contextlib
import importlib
import signal
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
    with contextlib.ExitStack() as stack:
        with held_signals() as came:
            importing = threading.Thread(target=_import_all, args=(*JOB_MODULES, *modules))
            importing.start()
            from tune_jobs.ray_runtime.session import ray_session  # imports ray

            if not came:
                stack.enter_context(ray_session(address, preload=preload))
            importing.join()
        yield


@contextlib.contextmanager
def held_signals() -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM take effect at the end of the context, in which modules are imported.

    Gives the list to which their numbers are added as they come.

    An exception while an import waits for another thread's may leave the lock of imports taken, on
    which the process then waits for ever; and some modules go on after any exception.
    """
    if threading.current_thread() is not threading.main_thread():  # the signals go elsewhere
        yield []
        return
    came: list[int] = []
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A signal that is ignored stays so, and the default of SIGTERM ends the process at once.
    before = {number: handler for number, handler in found.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _import_all(*modules: str) -> None:
    for module in modules:
        # An error is raised again where the job imports the module, in the main thread.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
