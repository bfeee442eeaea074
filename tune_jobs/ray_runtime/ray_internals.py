"""All uses of private names of Ray, each with its reason; those of Ray Tune are beside it.

They were checked against the sources of ray 2.60.0. Check them again before raising the upper
bound in pyproject.toml.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from ray._private import node, ray_constants, services
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import (  # type: ignore[attr-defined]  # compiled
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    AuthenticationMode,
    AuthenticationTokenLoader,
    Config,
    get_authentication_mode,
    persist_port,
)

from tune_jobs.ray_runtime.environment import environment

LOOPBACK = "127.0.0.1"
AGENT = "--dashboard_agent_command="
WAIT = f"{AGENT}cat"
"""The command `cat` ends when the raylet does, which holds the other end of its standard input."""
AGENTS_READ_PIPES = "RAY_enable_pipe_based_agent_to_parent_health_check"
"""Environment variable that gives agents that end."""


@contextlib.contextmanager
def replaced(module: ModuleType, **values: Any) -> Iterator[None]:
    """Give names of a module of Ray other values for a while."""
    kept = {name: getattr(module, name) for name in values}
    try:
        vars(module).update(values)
        yield
    finally:
        vars(module).update(kept)


class _LeanNode(Node):
    """A node that other machines cannot reach, without processes that a job has no use for.

    Those processes are the autoscaler's monitor, the log monitor, the agent that serves metrics and
    the dashboard's requests, and, where no dashboard is asked for, the process that would report
    usage statistics. Each takes half a second of a core at the start, the agent one, and together a
    second at the end; ray.init() has no options for them.
    """

    folder: ClassVar[str | None] = None
    """Folder of the session; None for Ray's own, which all users of the machine share."""

    def __init__(self, ray_params: RayParams, **arguments: Any):
        # What a node of this address starts listens there alone, as on macOS and Windows.
        ray_params.update(
            no_monitor=True, include_log_monitor=False, node_ip_address=LOOPBACK,
            temp_dir=self.folder or ray_params.temp_dir,
        )  # fmt: skip
        super().__init__(ray_params, **arguments)

    def start_api_server(self, **arguments: Any) -> None:
        """Start no dashboard."""

    def start_raylet(self, *arguments: Any, **options: Any) -> None:
        """Start the raylet with a process that waits for its end in place of the metrics agent.

        The raylet waits for the ports of its agent, and ends with it. -1 is no port, as the agent
        of a Ray without its extra `default` has none.
        """
        for port in (
            METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME,
        ):  # fmt: skip
            persist_port(self._session_dir, self._node_id, port, -1)
        start = services.start_ray_process

        def start_without_agent(command: list[str], *rest: Any, **named: Any) -> Any:
            words = [WAIT if word.startswith(AGENT) else word for word in command]
            return start(words, *rest, **named)

        variables = environment({AGENTS_READ_PIPES: "1"})
        with variables, replaced(services, start_ray_process=start_without_agent):
            super().start_raylet(*arguments, **options)


@contextlib.contextmanager
def lean_node(folder: Path | None = None) -> Iterator[None]:
    """Have ray.init() start a local Ray of few processes that listens on the loopback interface.

    Args:
        folder: folder of its logs and sockets; None for Ray's own.
    """
    _LeanNode.folder = None if folder is None else str(folder)
    with replaced(node, Node=_LeanNode), loopback_as_given():
        yield


def loopback_as_given() -> AbstractContextManager[None]:
    """Have ray.init() use an address such as 127.0.0.1:PORT as it is.

    On Linux Ray replaces it by the address of a network interface, at which a Ray that listens on
    the loopback interface alone does not answer (ray#59110).
    """
    return replaced(ray_constants, ENABLE_RAY_CLUSTER=False)


@contextlib.contextmanager
def token_authentication(file: Path) -> Iterator[None]:
    """Have a local Ray, and what connects to it, authenticate by the token in a file."""
    with contextlib.ExitStack() as stack:
        stack.callback(_read_authentication)  # after the variables are restored
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)}
        stack.enter_context(environment({**variables, "RAY_AUTH_TOKEN": None}))
        _read_authentication()
        yield


def asks_for_token() -> bool:
    """Return whether the Ray of this process authenticates what connects to it."""
    return bool(get_authentication_mode() != AuthenticationMode.DISABLED)


def _read_authentication() -> None:
    """Have Ray read its variables again, as it keeps what they were when it was imported."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def check_autoscaler_config(config: dict[str, Any]) -> None:
    """Validate a cluster configuration as `ray up` does; raises the exceptions of Ray."""
    from ray.autoscaler._private.util import (
        prepare_config,
        validate_config,
    )  # takes a second to import

    validate_config(prepare_config(config))
