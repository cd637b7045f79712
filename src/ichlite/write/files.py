"""Text and a path in; a whole file, or none, out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ichlite.errors import IchliteError

BROKEN = "backslashreplace"
"""How bytes of file names that are no UTF-8 are written."""


def write_text(path: Path, text: str) -> None:
    """Take a path and text; write the file whole, or leave what was there as it was.

    The text goes into a temporary file beside the target, which is renamed when complete, so that
    nobody ever sees half a report, and a full disk or an interrupt leaves no trace.

    Args:
        path: Where to; its folder must exist.
        text: Written as UTF-8.

    Raises:
        IchliteError: The folder does not exist, the disk is full, or writing is not allowed.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors=BROKEN, newline="") as file:
                file.write(text)
            # mkstemp gives 0600; a report is as readable as any other new file.
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise IchliteError(f"cannot write {path}", found=error.strerror) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
