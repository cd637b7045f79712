"""A block of code that calls native libraries in; the same without their start-up chatter out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
CHATTER = b"INFO:"


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what native code writes to stderr; afterwards pass on all but `INFO:` lines.

    LiteRT announces its XNNPACK delegate straight to file descriptor 2, with no setting against
    it; a command that answers bad input with one line must not have another before it. Held back
    for as long as it takes to load one model.

    Example:
        >>> with without_chatter():
        ...     pass
    """
    try:
        sys.stderr.flush()
        kept = os.dup(STDERR)
    except (OSError, ValueError, AttributeError):
        # No stderr at all, as under some service managers: nothing to hold back.
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not line.startswith(CHATTER):
                    os.write(STDERR, line)
