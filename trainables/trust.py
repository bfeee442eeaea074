"""Which modules the networks of runs and models may be imported from.

A model folder, a run or a shortlist may come from anyone, and names its network. Importing one of
`package.module:function` runs code, so it is imported only if a person named its module on the
command line, or did so on this machine before and the module is unchanged.

Imports no large package.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from trainables.errors import InputError

EVERY = "*"
"""In place of a module: all of them, as in a worker, which builds what its driver has built."""
_trusted: set[str] = set()


def trust(modules: Iterable[str]) -> None:
    """Let networks be imported from modules in this process.

    Args:
        modules: names of modules, or of networks of them (package.module:function).
    """
    _trusted.update(module_of(name) for name in modules)


def is_own(model: str) -> bool:
    """Return whether the name of a model is one of a person's own, `package.module:function`."""
    return ":" in model and not model.startswith("timm:")


def module_of(name: str) -> str:
    """Return the module in the name of a network, or of a module."""
    return name.partition(":")[0]


def check_trusted(model: str) -> None:
    """Raise InputError unless the module of a network may be imported."""
    module = module_of(model)
    if not _trusted & {module, EVERY} and not is_remembered(module):
        raise InputError(
            f"network {model!r} is code of the module {module!r}, which you have not used on this "
            f"machine as it is now: if you know who wrote it, add --trust {module} (in Python: "
            f"trainables.trust.trust([{module!r}]))"
        )


def remember(model: str) -> None:
    """Trust a module from now on, as long as its files stay as they are, if a person named it."""
    module = module_of(model)
    if module not in _trusted or (digest := digest_of(module)) is None:
        return
    known = _remembered()
    if digest not in known.get(module, []):
        known.setdefault(module, []).append(digest)
        # Without a folder that can be written, the module is named again next time.
        with contextlib.suppress(OSError):
            memory().parent.mkdir(parents=True, exist_ok=True)
            written = memory().with_suffix(f".{os.getpid()}")
            written.write_text(json.dumps(known))
            written.replace(memory())


def is_remembered(module: str) -> bool:
    """Return whether a module was trusted on this machine before, and has not changed since."""
    return digest_of(module) in _remembered().get(module, [])


def memory() -> Path:
    """Return the file with the hashes of the modules that this user has trusted."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(folder, "bakeoff", "trusted.json")


def _remembered() -> dict[str, list[str]]:
    try:
        known = json.loads(memory().read_text())
    except (OSError, RuntimeError, ValueError):  # there is none, or no home
        return {}
    return known if isinstance(known, dict) else {}


def digest_of(module: str) -> str | None:
    """Return the SHA-256 of the files of a module and of its packages, without importing them.

    None if it has none, as those that are part of Python.
    """
    digest = hashlib.sha256()
    folders: list[str] | None = [*sys.path, str(Path.cwd())]
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), folders) if folders else None
        if spec is None:
            return None
        if spec.origin is not None:
            try:
                digest.update(Path(spec.origin).read_bytes())
            except OSError:
                return None
        elif end == len(parts):
            return None  # a folder without code
        locations = spec.submodule_search_locations
        folders = None if locations is None else list(locations)
    return digest.hexdigest()
