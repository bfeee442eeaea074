"""Google's object store with an empty bucket, at a port of this machine, in a process of its own.

pyarrow holds Python's lock while it waits for the store, so it would wait for itself.
"""

import sys

from gcp_storage_emulator.server import create_server
from gcp_storage_emulator.storage import Storage

listed = Storage._apply_list_delimiter


def listed_with_folders(self, candidates, prefix, delimiter, match_glob):
    """With includeTrailingDelimiter, which pyarrow always asks for, and the emulator knows not."""
    objects, prefixes = listed(self, candidates, prefix, delimiter, match_glob)
    return objects + [marker for name, marker in candidates if name in prefixes], prefixes


if __name__ == "__main__":
    Storage._apply_list_delimiter = listed_with_folders
    create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket").run()
