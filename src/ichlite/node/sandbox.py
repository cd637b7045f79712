"""Confine a process that works on untrusted files: memory, time, no network, one folder to write.

What the kernel does not offer is returned by name, so that the node can say it. All of it must come
before threads are started, which is before numpy is imported.

Source:
    Linux `landlock(7)`, `unshare(2)`, `prctl(2)`, `setrlimit(2)`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls, of the same number on all architectures."""
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES, _DEATH_SIGNAL = 38, 1
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000

_WRITE_RIGHTS = 0b1_1111_1111_0010
"""Write and make files, folders, links, devices; remove; not: execute, read (bits 0, 2, 3)."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_NET_BIND, _NET_CONNECT = 1 << 0, 1 << 1

MOST_OPEN_FILES = 512
LARGEST_FILE_BYTES = 1 << 30


def confine(folder: Path, memory_mb: int, seconds: float) -> tuple[str, ...]:
    """Permanently restrict this process: one folder to write, no network, limited memory and time.

    Args:
        folder: The only folder in which the process may still write.
        memory_mb: Largest address space, MiB.
        seconds: Largest processor time, seconds.

    Returns:
        One line for each protection that this kernel does not support; empty when all apply.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # no reading outlives its node
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    missing = []
    if not _without_network(libc):
        missing.append("the network is not shut off: no user namespaces")
    if not _write_below(libc, folder):
        missing.append("writing elsewhere is not forbidden: no Landlock")
    for limit, most in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, max(1, int(seconds))),
        (resource.RLIMIT_NOFILE, MOST_OPEN_FILES),
        (resource.RLIMIT_FSIZE, LARGEST_FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    return tuple(missing)


def _without_network(libc: ctypes.CDLL) -> bool:
    """Move into a network namespace of its own, in which there is not even a loopback."""
    return any(libc.unshare(flags) == 0 for flags in (_NEW_NETWORK, _NEW_USER | _NEW_NETWORK))


def _write_below(libc: ctypes.CDLL, folder: Path) -> bool:
    """Forbid to write anywhere but below a folder."""
    call = libc.syscall
    version = call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    rights = _WRITE_RIGHTS | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    ports = _NET_BIND | _NET_CONNECT if version >= 4 else 0
    handled = struct.pack("QQ", rights, ports) if version >= 4 else struct.pack("Q", rights)
    rules = call(_CREATE_RULESET, handled, len(handled), 0)
    if rules < 0:
        return False
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    nothing = os.open(os.devnull, os.O_PATH)
    try:
        allowed = [(place, rights), (nothing, 1 << 1 | (_TRUNCATE if version >= 3 else 0))]
        added = all(
            call(_ADD_RULE, rules, _RULE_PATH_BENEATH, struct.pack("=Qi", right, where), 0) == 0
            for where, right in allowed
        )
        return added and call(_RESTRICT_SELF, rules, 0) == 0
    finally:
        for descriptor in (rules, place, nothing):
            os.close(descriptor)
