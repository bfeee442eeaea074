"""What kind of source a path or URI is."""

from __future__ import annotations

import posixpath

from trainables.errors import InputError
from trainables.image_formats import KNOWN_SUFFIXES
from trainables.source_options import NAMED_SOURCES, SourceOptions
from trainables.sources.archives import COMPRESSED_TARS, refuse_compressed, tar_tree, zip_tree
from trainables.sources.assembly import check_options, refuse_columns
from trainables.sources.image_folder import list_image_folder
from trainables.sources.listing import Listing
from trainables.sources.named import list_named
from trainables.sources.names import first_of, in_order, suffix_of
from trainables.sources.parquet import holds_images, open_parquet
from trainables.sources.parquet_files import list_parquet
from trainables.sources.shards import is_webdataset, list_shards
from trainables.sources.stores import Store, locate
from trainables.sources.table_columns import LABEL_COLUMNS
from trainables.sources.table_files import TABLE_SUFFIXES, read_table
from trainables.sources.tables import METADATA, list_metadata, list_table
from trainables.sources.trees import Tree, tree_of, tree_of_store

MAGIC = {b"PAR1": ".parquet", b"PK\3\4": ".zip", b"PK\5\6": ".zip"}
"""Suffix that a file should have, by its first bytes."""


def list_images(options: SourceOptions) -> Listing:
    """List the labelled images of a source, without reading their pixels.

    Args:
        options: The source, its columns and groups.

    Raises:
        InputError: The source is unknown, unreadable, not labelled, or has two readings.
    """
    check_options(options)
    if options.data in NAMED_SOURCES:
        refuse_columns(options, "a named dataset")
        if options.group_by is not None:
            raise InputError(
                f"--group-by {options.group_by!r}: {options.data} is a named dataset, whose images "
                "have no paths: leave --group-by out"
            )
        return list_named(options.data)
    found = locate(options.data)
    if found is None:
        raise InputError(
            f"{options.data!r} is neither a file nor a folder nor one of "
            f"{', '.join(NAMED_SOURCES)}: check the spelling"
        )
    store, name = found
    if name is None:
        return _list_folder(tree_of_store(store), options)
    return _list_file(store, name, options)


def _list_file(store: Store, name: str, options: SourceOptions) -> Listing:
    """List the images of a table, a parquet file or an archive."""
    path = store.path(name)
    suffix = suffix_of(name)
    if suffix in TABLE_SUFFIXES:
        return list_table(store, name, options)
    if suffix in COMPRESSED_TARS:
        refuse_compressed(path)
    with store.open(name) as file:
        head = file.read(512)
    magic = MAGIC.get(head[:4], ".tar" if head[257:262] == b"ustar" else "")
    if suffix not in (".parquet", ".zip", ".tar"):
        if suffix in KNOWN_SUFFIXES:
            raise InputError(
                f"{path} is one image: give the folder that holds a subfolder of images for each "
                "class"
            )
        suffix = magic
    if suffix == ".parquet":
        files = tree_of(path, store, store.files_in(""), ())
        schema = open_parquet(store, name).schema_arrow
        column = options.image_column
        images = [field.name for field in schema if holds_images(field.type)]
        embedded = column in images if column in schema.names else bool(images)
        if embedded or not _names_files(store, name, options):
            return list_parquet(files, [name], options)
        return list_table(store, name, options)
    if suffix == ".zip":
        return _list_archive(zip_tree(store, name), options)
    if suffix == ".tar":
        tree = tar_tree(store, [name], path)
        if is_webdataset(tree):
            base = tree_of(path, store, store.files_in(""), ())
            return list_shards(base, [name], options, tree)
        return _list_archive(tree, options)
    raise InputError(
        f"{path} is none of the files that can be read: give a table "
        f"({', '.join(TABLE_SUFFIXES)}), a .parquet file, a .zip or .tar archive, or a folder"
    )


def _names_files(store: Store, name: str, options: SourceOptions) -> bool:
    """Whether a parquet file has a column of texts that name image files."""
    columns = read_table(store, name).columns
    values = columns.values() if options.image_column is None else [
        columns.get(options.image_column, [])
    ]  # fmt: skip
    return any(v and suffix_of(str(v[0])) in KNOWN_SUFFIXES for v in values)


def _list_archive(tree: Tree, options: SourceOptions) -> Listing:
    """List the images of an archive of an image folder."""
    held = tree.with_suffix(".parquet", ".tar", ".zip")
    if held and not tree.with_suffix(*KNOWN_SUFFIXES):
        raise InputError(
            f"{tree.place} holds {first_of(in_order(held))}: extract it, and give the folder"
        )
    return _list_files(tree, options)


def _list_folder(tree: Tree, options: SourceOptions) -> Listing:
    """List the images of a folder of parquet files, shards or images."""
    images = tree.with_suffix(*KNOWN_SUFFIXES)
    parquet = [
        name for name in tree.with_suffix(".parquet") if posixpath.basename(name) not in METADATA
    ]
    if parquet and images:
        schema = open_parquet(tree.reader, parquet[0]).schema_arrow
        if any(holds_images(field.type) for field in schema):
            return _parquet_beside_images(tree, parquet, images, options)
    elif parquet:
        listing = list_parquet(tree, parquet, options)
        _count_others(listing, tree, (".parquet",))
        return listing
    if images:
        return _list_files(tree, options)
    shards = tree.with_suffix(".tar")
    if shards:
        listing = list_shards(tree, shards, options)
        _count_others(listing, tree, (".tar",))
        return listing
    packed = in_order(tree.with_suffix(".zip", *COMPRESSED_TARS))
    if packed:
        raise InputError(
            f"{tree.place} holds no images but {first_of(packed)}: extract them there, or give one "
            "of them"
        )
    tables = in_order(tree.with_suffix(*TABLE_SUFFIXES))
    if tables:
        raise InputError(
            f"{tree.place} holds no images but {first_of(tables)}: give the table as --data, e.g. "
            f"--data {tree.reader.path(tables[0])}"
        )
    return _list_files(tree, options)


def _parquet_beside_images(
    tree: Tree, parquet: list[str], images: list[str], options: SourceOptions
) -> Listing:
    """List parquet files whose images are files beside them, and refuse any other images."""
    listing = list_parquet(tree, parquet, options)
    used = set(getattr(listing.images, "elsewhere", {}).values())
    unused = [name for name in images if name not in used]
    if unused:
        raise InputError(
            f"{tree.place} has two readings, the images in {first_of(in_order(parquet)[:3])}, or "
            f"{len(unused):,} image files, e.g. {in_order(unused)[0]}: move one of them elsewhere"
        )
    return listing


def _count_others(listing: Listing, tree: Tree, kinds: tuple[str, ...]) -> None:
    """Count the files besides those of some suffixes as ignored."""
    for kind, count in tree.not_images().items():
        if kind not in kinds:
            listing.ignored[kind] = listing.ignored.get(kind, 0) + count


def _list_files(tree: Tree, options: SourceOptions) -> Listing:
    """List image files by a table beside them, or by their folders."""
    tables = [name for name in tree.files if posixpath.basename(name) in METADATA]
    if tables and _has_labels(tree, tables, options):
        return list_metadata(tree, tables, options)
    refuse_columns(options, "a folder of images")
    return list_image_folder(tree, options)


def _has_labels(tree: Tree, tables: list[str], options: SourceOptions) -> bool:
    """Whether tables are to be read: the class folders hold the labels if the tables have none."""
    if options.label_column is not None:
        return True
    usual = set(LABEL_COLUMNS)
    return any(usual & {c.lower() for c in read_table(tree.reader, t).columns} for t in tables)
