"""Compute the size of a model file, as it is and as an archive would hold it.

Shared and zero weights do not make a `.tflite` file smaller; they show when it is packed.
"""

from __future__ import annotations

import gzip

GZIP_LEVEL, ZSTD_LEVEL = 9, 19


def sizes(content: bytes) -> dict[str, int | None]:
    """File content → `bytes`, `gzip_bytes` (level 9), `zstd_bytes` (level 19).

    The last is None where the package `zstandard` is not installed: it comes with `[train]`.

    Example:
        >>> sizes(bytes(1000))["bytes"]
        1000
    """
    return {
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, GZIP_LEVEL, mtime=0)),
        "zstd_bytes": _zstd_bytes(content),
    }


def _zstd_bytes(content: bytes) -> int | None:
    try:
        import zstandard
    except ModuleNotFoundError:
        return None
    return len(zstandard.ZstdCompressor(ZSTD_LEVEL).compress(content))
