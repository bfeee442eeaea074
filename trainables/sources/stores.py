"""Files of a folder on a disk or in an object store: listing and reading them by name."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.fs

from trainables.errors import InputError, first_line
from trainables.sources.names import junk_kind
from trainables.storage import open_folder


class Member(NamedTuple):
    """A file of a source."""

    name: str
    """Path below the source, joined by '/'."""
    size: int
    """Size in bytes; −1 if the file is a broken link."""
    mtime: int
    """Time of the last change, in units of its store."""


class Reader(Protocol):
    """Reads files of a source by name, in several threads at once. Small when pickled."""

    def path(self, name: str) -> str:
        """Return where a file is, for messages."""

    def read(self, name: str) -> bytes:
        """Return the content of a file, or raise OSError."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to read any part of it, or raise OSError."""


class Store(Reader, Protocol):
    """A folder on a disk or in an object store."""

    def walk(self) -> tuple[list[Member], list[str]]:
        """List all files, and the names of all folders."""

    def files_in(self, folder: str) -> list[Member]:
        """List the files directly in a folder, which need not exist."""


class Disk:
    """A folder on a disk.

    Args:
        root: Path of the folder.
    """

    def __init__(self, root: str):
        self.root = root

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return posixpath.normpath(posixpath.join(self.root, name)) if name else self.root

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return Path(self.root, name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        return Path(self.root, name).open("rb")

    def walk(self) -> tuple[list[Member], list[str]]:
        """List all files and folders. Links are followed, but not to a folder that holds them."""
        files: list[Member] = []
        folders: list[str] = []
        about = Path(self.root).stat()
        stack = [("", frozenset({(about.st_dev, about.st_ino)}))]
        while stack:
            folder, above = stack.pop()
            try:
                with os.scandir(posixpath.join(self.root, folder)) as entries:
                    for entry in entries:
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        if not entry.is_dir():
                            files.append(_member(name, entry))
                            continue
                        about = entry.stat()
                        own = (about.st_dev, about.st_ino)
                        if own not in above:
                            folders.append(name)
                            stack.append((name, above | {own}))
            except PermissionError as error:
                raise InputError(
                    f"{error.filename} cannot be listed ({error.strerror}): allow yourself to read "
                    "it, or move it elsewhere"
                ) from error
        return files, folders

    def files_in(self, folder: str) -> list[Member]:
        """List the files directly in a folder."""
        try:
            with os.scandir(posixpath.join(self.root, folder)) as entries:
                return [_member(posixpath.join(folder, e.name), e) for e in entries if e.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _member(name: str, entry: os.DirEntry[str]) -> Member:
    """Describe a file of a folder; what is junk is not looked at."""
    if junk_kind(name):
        return Member(name, 0, 0)
    try:
        about = entry.stat()
    except OSError:  # a broken link, which reading it will name
        return Member(name, -1, 0)
    return Member(name, about.st_size, about.st_mtime_ns)


class ObjectStore:
    """A folder in an object store.

    Args:
        uri: s3://… or gs://….
    """

    def __init__(self, uri: str):
        self.uri = uri
        self._opened: tuple[pyarrow.fs.FileSystem, str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"uri": self.uri, "_opened": None}

    def _place(self, name: str) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return the file system, and the path of a file in it."""
        if self._opened is None:
            self._opened = open_folder(self.uri)
        fs, base = self._opened
        return fs, f"{base}/{name}" if name else base

    def path(self, name: str) -> str:
        """Return the URI of a file, without options of the store."""
        base = self.uri.partition("?")[0].rstrip("/")
        return f"{base}/{name}" if name else base

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        fs, path = self._place(name)
        try:
            file: BinaryIO = fs.open_input_file(path)
        except pa.ArrowException as error:
            raise OSError(f"{self.path(name)}: {first_line(error)}") from error
        return file

    def walk(self) -> tuple[list[Member], list[str]]:
        """List all files and folders, in one request a thousand files."""
        return self._list("", recursive=True)

    def files_in(self, folder: str) -> list[Member]:
        """List the files directly in a folder."""
        return self._list(folder, recursive=False)[0]

    def _list(self, folder: str, *, recursive: bool) -> tuple[list[Member], list[str]]:
        try:
            fs, path = self._place(folder)
            infos = fs.get_file_info(
                pyarrow.fs.FileSelector(path, allow_not_found=True, recursive=recursive)
            )
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{self.path(folder)} cannot be listed ({first_line(error)}): check the address, "
                "your credentials and the network"
            ) from error
        start = len(self._place("")[1].rstrip("/")) + 1
        files, folders = [], []
        for info in infos:
            name = info.path[start:]
            if info.type == pyarrow.fs.FileType.Directory:
                folders.append(name.rstrip("/"))
            elif not name.endswith("/"):  # a marker of a folder
                files.append(Member(name, info.size or 0, info.mtime_ns or 0))
        return files, folders


def locate(data: str) -> tuple[Store, str | None] | None:
    """Find a file or folder.

    Args:
        data: Path, or URI of an object store.

    Returns:
        Folder and None; or the folder of a file, and the file's name; None if there is neither.

    Raises:
        InputError: The store does not answer, or its scheme is unknown.
    """
    if "://" not in data:
        path = Path(data).expanduser()
        if data and path.is_dir():
            return Disk(str(path)), None
        if data and path.is_file():
            return Disk(str(path.parent)), path.name
        return None
    bare, _, query = data.partition("?")
    bare = bare.rstrip("/")
    try:
        fs, path_in_store = open_folder(data)
        kind = fs.get_file_info(path_in_store.rstrip("/")).type
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{data} cannot be read ({first_line(error)}): give a path or an address s3://… or "
            "gs://…, and check your credentials and the network"
        ) from error
    options = f"?{query}" if query else ""
    if kind == pyarrow.fs.FileType.Directory:
        return ObjectStore(bare + options), None
    if kind == pyarrow.fs.FileType.File:
        folder, _, name = bare.rpartition("/")
        return ObjectStore(folder + options), name
    return None
