"""Open what a path names: a file, or a member of a zip archive."""

from __future__ import annotations

import os
from io import FileIO

from ichlite.ct.archives import Member, keep_member


def open_source(path: str) -> FileIO | Member:
    """Open a file, or a member of a zip archive, for reading from a place that is gone to first.

    Raises:
        UnreadableFile: The member may not be read, or is damaged.
        OSError: It cannot be opened.
    """
    try:
        return FileIO(path)
    except NotADirectoryError:  # something follows the name of a file
        return keep_member(path)


def size_of(source: FileIO | Member) -> int:
    """Return the bytes of an open file or member."""
    return source.size if isinstance(source, Member) else os.fstat(source.fileno()).st_size
