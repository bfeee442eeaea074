"""Checks that head, workers and this machine get the same versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

import ray

from tune_jobs.cluster.checks.ec2 import commands
from tune_jobs.cluster.config import (
    CLUSTER_FILE,
    Config,
    canonical,
    constraints,
    pinned,
)
from tune_jobs.cluster.schema import COMMANDS

PYTHON = re.compile(r"--python[ =](\d[\d.]*)")
PIN = re.compile(r"\b([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([\w.*+!-]+)")
IMAGES = ("image", "head_image", "worker_image")
"""Keys of `docker` that name a container image."""


def versions(config: Config) -> Iterator[str]:
    """Check the versions of a configuration and this machine against cluster.yaml's constraints."""
    setup = commands(config, "setup_commands")
    (python,) = set(PYTHON.findall(CLUSTER_FILE.read_text()))
    found = sorted(set(PYTHON.findall(setup)))
    if found != [python]:
        yield (
            f"setup_commands install Python {', '.join(found) or 'of any version'}, not {python} "
            "as cluster.yaml does, and Ray rejects nodes whose patch versions differ: use uv venv "
            f"--python {python}"
        )
    if "constraints.txt" not in setup:
        yield (
            "setup_commands install without constraints.txt, so that versions may differ from this "
            "machine's: add -c ~/bakeoff/constraints.txt"
        )
    yield from pins(config)
    yield from images(config)
    for name, here in (("Ray", ray.__version__), ("torch", metadata.version("torch"))):
        there = pinned(name.lower())
        if public(here) != there:
            yield (
                f"{name} is {here} on this machine, but the cluster installs {there} of "
                "constraints.txt: run pip install -e '.[cluster]' -c constraints.txt"
            )


def pins(config: Config) -> Iterator[str]:
    """Check that no command pins a package to another version than constraints.txt."""
    known = constraints()
    for where, section in sections(config):
        for key in COMMANDS:
            for name, given in PIN.findall(commands(section, key)):
                wanted = known.get(canonical(name))
                if wanted and public(given) not in wanted:
                    yield (
                        f"{where}{key} install {name} {given}, but constraints.txt pins "
                        f"{' or '.join(sorted(wanted))}: remove the version from the command"
                    )


def images(config: Config) -> Iterator[str]:
    """Check that container images are tagged with the Ray version of constraints.txt."""
    for where, section in sections(config):
        for key in IMAGES:
            image = section.get("docker", {}).get(key)
            tag = re.search(r":([\w.-]+)(?:@.*)?$", image or "")
            if image and (not tag or tag[1].split("-")[0] != pinned("ray")):
                yield (
                    f"{where}docker.{key} is {image}, which has its own Python and Ray but is not "
                    f"tagged {pinned('ray')}: remove docker, or use an image with that tag"
                )


def sections(config: Config) -> Iterator[tuple[str, Config]]:
    """Yield (key prefix, section) of the top level and each node type, which both have commands."""
    yield "", config
    for name, kind in config.get("available_node_types", {}).items():
        yield f"available_node_types.{name}.", kind


def public(given: str) -> str:
    """Return a version without its local label, such as +cu130."""
    return given.split("+")[0]
