"""Make a process keep the memory it was given, so that large arrays cost no page faults.

A training step takes and gives back gigabytes of feature maps, a slice that is read a megabyte.
glibc's allocator hands each back to the system, which clears it and maps it anew: half a training
step's processor time, a twentieth of a slice's. One arena that is never trimmed saves it
(docs/log.md, "Memory that is kept"). Where the allocator is not glibc's nothing is done; whoever
set it up by environment variables is left alone.
"""

from __future__ import annotations

import ctypes
import os

_SETTINGS = {
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 2**28),
    "M_MMAP_MAX": (-4, 0),
    "M_ARENA_MAX": (-8, 1),
}
"""Names in glibc's malloc.h, their numbers, and the values that keep memory."""
_CHOSEN_BY_HAND = (
    "GLIBC_TUNABLES",
    "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
)


def keep_memory() -> bool:
    """Ask the allocator to keep what is freed.

    To be called before the first thread is started: an arena that is there already stays.

    Returns:
        Whether the allocator was asked and agreed.
    """
    if any(name in os.environ for name in _CHOSEN_BY_HAND):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, Windows, musl
        return False
    agreed = [bool(mallopt(*setting)) for setting in _SETTINGS.values()]
    return all(agreed)
