"""Find intracranial haemorrhage in head CT, and make the models that do it.

Research use only. Not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ichlite.infer.bundle import Bundle, load_bundle
    from ichlite.infer.pipeline import read_paths, read_scan

__all__ = ["Bundle", "load_bundle", "models", "read_paths", "read_scan", "train"]

_HOME = {
    "Bundle": "ichlite.infer.bundle",
    "load_bundle": "ichlite.infer.bundle",
    "read_paths": "ichlite.infer.pipeline",
    "read_scan": "ichlite.infer.pipeline",
}
_SUBPACKAGES = ("models", "train")


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import ichlite` stays light (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _SUBPACKAGES:
        if find_spec("keras") is None:
            from ichlite.errors import MissingExtra

            raise ImportError(str(MissingExtra("train", "keras")), name="keras")
        return import_module(f"ichlite.{name}")
    raise AttributeError(f"module 'ichlite' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name the public parts, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})
