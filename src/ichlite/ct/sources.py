"""Open what a path names: a file, or a member of a zip archive."""

from __future__ import annotations

import os
from io import FileIO

from ichlite.ct.archives import Member, keep_member


def open_source(path: str) -> FileIO | Member:
    """Open a file, or a member of a zip archive, for reading; `seek` before the first `read`.

    Args:
        path: Path of a file, or `<archive>/<member name>`.

    Raises:
        UnreadableFile: The member must not be read, or is damaged.
        OSError: The file or archive cannot be opened.
    """
    try:
        return FileIO(path)
    except NotADirectoryError:  # something follows the name of a file
        return keep_member(path)


def size_of(source: FileIO | Member) -> int:
    """Return the length, in bytes, of an open file or member of a zip archive."""
    return source.size if isinstance(source, Member) else os.fstat(source.fileno()).st_size
