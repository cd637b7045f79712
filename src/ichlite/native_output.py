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
from contextlib import contextmanager, suppress
from threading import RLock

STDOUT = 1
STDERR = 2


@contextmanager
def native_output_held(*descriptors: int, dropping: bytes = b"") -> Iterator[None]:
    """Hold back what is written to file descriptors, and pass on what is not dropped.

    Descriptors belong to the process. Holds may nest, and overlap in several threads: a line is
    lost if any hold drops it that is open when it is written, whoever writes it, and a descriptor
    is what it was once the last hold has ended.

    Args:
        descriptors: Such as `STDERR`. One that is closed (under some service managers) stays so.
        dropping: Lines that begin so are lost; with nothing given, all are. Errors still raise.

    Example:
        >>> with native_output_held(STDERR, dropping=b"INFO:"):
        ...     pass
    """
    joined: list[int] = []
    try:
        joined.extend(one for one in descriptors if _join(one, dropping))
        yield
    finally:
        for descriptor in joined:
            _leave(descriptor, dropping)


class _Redirection:
    """Redirection of one descriptor into a file, which all holds of it share.

    Attributes:
        dropping: Beginnings of lines to drop, one for each open hold.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropping: list[bytes] = []
        self._seen = 0
        with tempfile.TemporaryFile() as file:
            self._written = _copy(file.fileno())
        self._kept = _copy(descriptor)
        os.dup2(self._written, descriptor)

    def pass_on(self) -> None:
        """Pass on what came since the last time, without the lines that an open hold drops."""
        # The descriptor shares the file's position, which reading by `pread` leaves alone.
        size = os.fstat(self._written).st_size
        fresh = os.pread(self._written, size - self._seen, self._seen)
        self._seen += len(fresh)
        for line in fresh.splitlines(keepends=True):
            if not line.startswith(tuple(self.dropping)):
                os.write(self._kept, line)

    def end(self) -> None:
        """Make the descriptor what it was, and pass on the rest."""
        os.dup2(self._kept, self.descriptor)
        try:
            self.pass_on()
        finally:
            os.close(self._kept)
            os.close(self._written)


def _copy(descriptor: int) -> int:
    """Copy a descriptor to a number that is none of the standard streams', which may be closed."""
    low: list[int] = []
    while (copy := os.dup(descriptor)) <= STDERR:
        low.append(copy)
    for one in low:
        os.close(one)
    return copy


_LOCK = RLock()
_REDIRECTIONS: dict[int, _Redirection] = {}


def _join(descriptor: int, dropping: bytes) -> bool:
    """Begin or join the redirection of a descriptor; return whether it is open at all."""
    with _LOCK:
        try:
            _flush(descriptor)
            os.fstat(descriptor)
        except (OSError, ValueError, AttributeError):
            return False
        if descriptor in _REDIRECTIONS:
            _REDIRECTIONS[descriptor].pass_on()
        else:
            _REDIRECTIONS[descriptor] = _Redirection(descriptor)
        _REDIRECTIONS[descriptor].dropping.append(dropping)
    return True


def _flush(descriptor: int) -> None:
    """Write what Python itself still buffers for a descriptor, so that it is kept in its order."""
    (sys.stdout if descriptor == STDOUT else sys.stderr).flush()


def _leave(descriptor: int, dropping: bytes) -> None:
    """Leave the redirection of a descriptor, and end it if nobody else holds it."""
    with _LOCK:
        with suppress(OSError, ValueError, AttributeError):
            _flush(descriptor)
        redirection = _REDIRECTIONS[descriptor]
        if len(redirection.dropping) == 1:
            del _REDIRECTIONS[descriptor]
            redirection.end()
        else:
            try:
                redirection.pass_on()
            finally:
                redirection.dropping.remove(dropping)
