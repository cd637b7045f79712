"""Nothing in, nothing out: silence for libraries that write to file descriptors 1 and 2 themselves.

TensorFlow and its converter log past Python's streams and take no for no answer; a command's
stdout must hold one JSON document alone, and its stderr lines for people.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def muted() -> Iterator[None]:
    """Within: what is written to file descriptors 1 and 2 is dropped; errors still raise."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        with tempfile.TemporaryFile() as sink:
            for descriptor in kept:
                os.dup2(sink.fileno(), descriptor)
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in kept.items():
            os.dup2(copy, descriptor)
            os.close(copy)
