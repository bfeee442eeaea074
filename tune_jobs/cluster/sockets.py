"""What the processes of Ray listen on, on the machine that this runs on."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Iterator

import psutil
import ray  # noqa: F401  brings psutil, which is no dependency of ours

SERVERS = ("raylet", "gcs_server")
"""Names of Ray's own programs; its other processes are Python's."""


def reachable_sockets() -> list[str]:
    """Return what Ray listens on at public addresses of this machine, e.g. `raylet at 54.1.2.3:80`.

    A socket on all interfaces counts if one of them has a public address. Addresses of private
    networks, which a cluster is on, do not count; who is on these is for the network to decide.
    """
    public = [address for address in interface_addresses() if is_public(address)]
    return sorted(
        f"{name} at {where}:{port}"
        for name, address, port in listening_sockets()
        for where in beyond(address, public)
    )


def beyond(address: str, public: Iterable[str]) -> list[str]:
    """Return the public addresses at which a socket can be reached.

    Args:
        address: address that the socket is bound to.
        public: public addresses of the machine.
    """
    if as_ip(address).is_unspecified:
        return list(public)
    return [address] if is_public(address) else []


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet."""
    return as_ip(address).is_global


def as_ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address, without the interface of one of version 6; a mapped one is of version 4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def interface_addresses() -> list[str]:
    """Return the addresses of the network interfaces of this machine."""
    families = socket.AF_INET, socket.AF_INET6
    found = [each for group in psutil.net_if_addrs().values() for each in group]
    return [each.address for each in found if each.family in families]


def listening_sockets() -> Iterator[tuple[str, str, int]]:
    """Yield the process, address and port of each socket that Ray's processes listen on."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
            words = process.cmdline()
            if process.name() not in SERVERS and not is_of_ray(words):
                continue
            for each in process.net_connections("inet"):
                if each.status == psutil.CONN_LISTEN:
                    yield process.name(), each.laddr.ip, each.laddr.port


def is_of_ray(words: list[str]) -> bool:
    """Return whether a command line is that of a Python process of Ray."""
    return bool(words) and (
        words[0].startswith("ray::") or any("/ray/dashboard/" in word for word in words)
    )
