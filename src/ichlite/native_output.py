"""Silence what native libraries write past Python to stdout and stderr.

LiteRT announces its delegate, TensorFlow and its converter log, straight to file descriptors 1 and
2, with no setting against it. A command's stdout holds one JSON document and its stderr one line on
bad input, so this is held back while a model is loaded or converted.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

STDOUT = 1
STDERR = 2


@contextmanager
def native_output_held(*descriptors: int, dropping: bytes = b"") -> Iterator[None]:
    """Hold back what is written to file descriptors; afterwards pass on what is not dropped.

    Args:
        descriptors: Such as `STDERR`. One that is closed (under some service managers) stays so.
        dropping: Lines that begin so are lost; with nothing given, all are. Errors still raise.

    Example:
        >>> with native_output_held(STDERR, dropping=b"INFO:"):
        ...     pass
    """
    with ExitStack() as stack:
        for descriptor in descriptors:
            stack.enter_context(_one_held(descriptor, dropping))
        yield


@contextmanager
def _one_held(descriptor: int, dropping: bytes) -> Iterator[None]:
    stream = sys.stdout if descriptor == STDOUT else sys.stderr
    try:
        stream.flush()
        kept = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), descriptor)
        try:
            yield
        finally:
            stream.flush()
            os.dup2(kept, descriptor)
            os.close(kept)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not line.startswith(dropping):
                    os.write(descriptor, line)
