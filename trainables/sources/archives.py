"""Zip and tar archives, whose members are read in place."""

from __future__ import annotations

import io
import lzma
import posixpath
import struct
import tarfile
import threading
import zipfile
import zlib
from calendar import timegm
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from trainables.errors import InputError, first_line
from trainables.image_formats import KNOWN_SUFFIXES
from trainables.sources.names import suffix_of
from trainables.sources.stores import Member, Reader
from trainables.sources.trees import Tree, tree_of

READ_AHEAD = 2**20  # bytes; headers of small members then come with one request to a store
NOTES = (".cls", ".json")
"""Suffixes of members that hold labels, which listing reads on its way."""
NOTE_BYTES = 2**16
DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error,
    EOFError, ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError,
)  # fmt: skip
"""What zipfile and tarfile raise on damaged archives besides OSError. Each has errors of its own,
but let others through, e.g. for names that are no UTF-8, or offsets that no file has."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of a zip archive may be packed: zipfile unpacks others a whole block at a time."""
UNPACKED_BYTES, RATIO = 2**26, 100
"""Bytes above which a member may not unpack to more than so many times its size: no photograph
does, and a megabyte of packed zeros would fill a gigabyte of memory."""
COMPRESSED_TARS = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst")


class ZipMembers:
    """Members of a zip archive, read by name.

    Args:
        base: Reads the archive.
        archive: Name of the archive.
    """

    def __init__(self, base: Reader, archive: str):
        self.base = base
        self.archive = archive
        self._lock = threading.Lock()
        self._zip: zipfile.ZipFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "archive": self.archive}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def zip(self) -> zipfile.ZipFile:
        """The archive, opened by the first call in each process."""
        with self._lock:
            if self._zip is None:
                self._zip = zipfile.ZipFile(self.base.open(self.archive))
            return self._zip

    def path(self, name: str) -> str:
        """Return the path of the archive, and of the member in it."""
        return f"{self.base.path(self.archive)}/{name}".rstrip("/")

    def read(self, name: str) -> bytes:
        """Return the content of a member. Threads may read at once: ZipFile takes care of it."""
        try:
            info = self.zip.getinfo(name)
            if reason := _refusal(info):
                raise ValueError(reason)
            with self.zip.open(info) as file:
                # Not read(): a member may hold more than the size that the directory states.
                return file.read(info.file_size)
        except DAMAGE as error:
            raise OSError(f"{self.path(name)}: {first_line(error)}") from error

    def open(self, name: str) -> BinaryIO:
        """Open a member."""
        return io.BytesIO(self.read(name))


class TarMembers:
    """Members of uncompressed tar archives, read by offset.

    Args:
        base: Reads the archives.
        places: Archive, offset and size in bytes of each member, by name.
        notes: Content of small members that was read on the way, by name; not pickled.
    """

    def __init__(
        self, base: Reader, places: dict[str, tuple[str, int, int]], notes: dict[str, bytes]
    ):
        self.base = base
        self.places = places
        self.notes = notes

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "places": self.places, "notes": {}}

    def path(self, name: str) -> str:
        """Return the path of the archive, and of the member in it."""
        if name not in self.places:
            return self.base.path(name)
        archive = self.places[name][0]
        return f"{self.base.path(archive)}/{name.removeprefix(f'{archive}/')}"

    def read(self, name: str) -> bytes:
        """Return the content of a member."""
        if name in self.notes:
            return self.notes[name]
        archive, offset, size = self.places[name]
        if size < 0:
            raise OSError(f"{self.path(name)} is a link to a file that the archive does not hold")
        with self.base.open(archive) as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) < size:
            raise OSError(f"{self.path(name)} ends early: the archive is truncated")
        return content

    def open(self, name: str) -> BinaryIO:
        """Open a member."""
        return io.BytesIO(self.read(name))


def _clean(name: str) -> str:
    """Return a member's name without '.', '..' and leading '/', which only matter to extraction."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _parents(names: Sequence[str]) -> set[str]:
    """Return all folders that hold some files."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def zip_tree(base: Reader, archive: str) -> Tree:
    """List the members of a zip archive.

    Raises:
        InputError: The archive is damaged or encrypted.
    """
    reader = ZipMembers(base, archive)
    place = base.path(archive)
    try:
        infos = reader.zip.infolist()
    except (OSError, *DAMAGE) as error:
        raise InputError(
            f"{place} cannot be read as a zip archive ({first_line(error)}): it may be truncated; "
            "copy it again"
        ) from error
    files = [info for info in infos if not info.is_dir()]
    if any(info.flag_bits & 1 for info in files):
        raise InputError(f"{place} is encrypted: extract it with its password, and give the folder")
    for info in files:
        if suffix_of(info.filename) in KNOWN_SUFFIXES and (reason := _refusal(info)):
            raise InputError(
                f"{reader.path(info.filename)} {reason}: leave it out of the archive, or extract "
                "the archive and give the folder"
            )
    members = [Member(info.filename, info.file_size, _changed(info)) for info in files]
    folders = {info.filename.rstrip("/") for info in infos if info.is_dir()}
    return tree_of(place, reader, members, folders | _parents([each.name for each in members]))


def _refusal(info: zipfile.ZipInfo) -> str:
    """Return why a member of a zip archive is not unpacked; the empty text if it may be."""
    if info.compress_type not in METHODS:
        return f"is packed by method {info.compress_type}, and members must be stored or deflated"
    if info.file_size > max(UNPACKED_BYTES, RATIO * info.compress_size):
        return (
            f"unpacks from {info.compress_size:,} to {info.file_size:,} bytes, more than "
            f"{RATIO} times as much, as no image does"
        )
    return ""


def _changed(info: zipfile.ZipInfo) -> int:
    """Return the time of the last change in seconds; 0 for a date that is none, as 0-0-1980."""
    try:
        return timegm((*info.date_time, 0, 0, 0))
    except ValueError:
        return 0


def tar_tree(base: Reader, archives: Sequence[str], place: str) -> Tree:
    """List the members of one tar archive, or of several, whose names then go before theirs.

    Args:
        base: Reads the archives.
        archives: Names of the archives.
        place: Path or URI of the source, for messages.

    Raises:
        InputError: An archive is damaged or compressed.
    """
    members: list[Member] = []
    folders: set[str] = set()
    places: dict[str, tuple[str, int, int]] = {}
    links: dict[str, str] = {}
    notes: dict[str, bytes] = {}
    for archive in archives:
        prefix = f"{archive}/" if len(archives) > 1 or place != base.path(archive) else ""
        try:
            with (
                base.open(archive) as raw,
                io.BufferedReader(cast("Any", raw), READ_AHEAD) as buffered,
                tarfile.open(fileobj=cast("BinaryIO", buffered), mode="r:") as tar,
            ):
                end = 0
                for info in tar:
                    if tar.offset <= end:  # a negative size, by which tarfile never comes to an end
                        raise tarfile.ReadError(f"a member that ends before byte {end:,}")
                    end = tar.offset
                    name = prefix + _clean(info.name)
                    if info.issparse():  # whose size is not that of what the archive holds
                        raise tarfile.ReadError(f"{name!r} is sparse, as no image is")
                    if info.isfile():
                        members.append(Member(name, info.size, int(info.mtime)))
                        places[name] = (archive, info.offset_data, info.size)
                        if suffix_of(name) in NOTES and info.size <= NOTE_BYTES:
                            content = tar.extractfile(info)
                            notes[name] = content.read() if content else b""
                    elif info.isdir():
                        folders.add(name)
                    elif info.issym() or info.islnk():
                        folder = info.name.rpartition("/")[0] if info.issym() else ""
                        target = posixpath.normpath(posixpath.join(folder, info.linkname))
                        links[name] = prefix + _clean(target)
                buffered.seek(tar.offset)  # where tarfile stops, at the end or at a damaged header
                if buffered.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError(f"no member and no end at byte {tar.offset:,}")
        except (OSError, *DAMAGE) as error:
            raise InputError(
                f"{base.path(archive)} cannot be read as a tar archive ({first_line(error)}): it "
                "may be truncated or compressed; copy it again, or extract it and give the folder"
            ) from error
    for name, target in links.items():  # without a target, reading says so
        archive, offset, size = places.get(target, ("", 0, -1))
        members.append(Member(name, size, 0))
        places[name] = (archive or name.partition("/")[0], offset, size)
    folders |= _parents([each.name for each in members])
    return tree_of(place, TarMembers(base, places, notes), members, folders)


def refuse_compressed(path: str) -> None:
    """Refuse an archive that can only be read from its beginning.

    Raises:
        InputError: Always.
    """
    raise InputError(
        f"{path} is compressed, so that its images cannot be read one at a time: decompress it "
        "to a .tar, or extract it and give the folder"
    )
