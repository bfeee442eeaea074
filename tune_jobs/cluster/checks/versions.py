"""What head, workers and laptop must agree on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

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


def versions(config: Config) -> Iterator[str]:
    """Where a configuration, or this machine, differs from constraints.txt and cluster.yaml."""
    setup = commands(config, "setup_commands")
    (python,) = set(PYTHON.findall(CLUSTER_FILE.read_text()))
    found = sorted(set(PYTHON.findall(setup)))
    if found != [python]:
        yield (
            f"setup_commands take Python {', '.join(found) or 'of any version'}, which is not "
            f"cluster.yaml's to the patch, and Ray refuses nodes that differ: uv venv --python "
            f"{python}"
        )
    if "constraints.txt" not in setup:
        yield "setup_commands install without constraints.txt: add -c ~/bakeoff/constraints.txt"
    yield from pins(config)
    yield from images(config)
    for name, here in (("Ray", ray.__version__), ("torch", version("torch"))):
        there = pinned(name.lower())
        if public(here) != there:
            yield (
                f"{name} is {here} here and {there} in constraints.txt, which the cluster "
                "gets: pip install -e '.[cluster]' -c constraints.txt"
            )


def pins(config: Config) -> Iterator[str]:
    """Packages that a command installs in another version than constraints.txt has."""
    known = constraints()
    for where, part in parts(config):
        for key in COMMANDS:
            for name, given in PIN.findall(commands(part, key)):
                wanted = known.get(canonical(name))
                if wanted and public(given) not in wanted:
                    yield (
                        f"{where}{key} install {name} {given}, and constraints.txt has "
                        f"{' or '.join(sorted(wanted))}: leave the version to constraints.txt"
                    )


def images(config: Config) -> Iterator[str]:
    """Containers of another Ray."""
    for where, part in parts(config):
        for key in IMAGES:
            image = part.get("docker", {}).get(key)
            tag = re.search(r":([\w.-]+)(?:@.*)?$", image or "")
            if image and (not tag or tag[1].split("-")[0] != pinned("ray")):
                yield (
                    f"{where}docker.{key} {image} brings a Python and a Ray of its own, and its "
                    f"tag is not {pinned('ray')}: leave docker out, or take that tag"
                )


def parts(config: Config) -> Iterator[tuple[str, Config]]:
    """The configuration, and each of its node types, which may have commands of their own."""
    yield "", config
    for name, kind in config.get("available_node_types", {}).items():
        yield f"available_node_types.{name}.", kind


def public(given: str) -> str:
    """A version without what tells builds of it apart, as +cu130."""
    return given.split("+")[0]
