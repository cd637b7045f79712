"""Find intracranial haemorrhage in head CT, and make the models that do it.

Research use only. Not a medical device.

Use a model: `read_paths`, `read_scan`, `load_bundle`. Make one: `ichlite.models`, `ichlite.train`,
which need the extra `[train]` and are loaded when they are first named.
"""

from __future__ import annotations

from ichlite.contracts import VERSION

__version__ = VERSION

TYPE_CHECKING = False
"""As in typing, which takes longer to load than all of this. The command starts here, and only once
`cli.main` runs, Ctrl-C is answered in a line."""

if TYPE_CHECKING:
    from ichlite import models as models
    from ichlite import train as train
    from ichlite.errors import (
        BundleError,
        HounsfieldError,
        IchliteError,
        InputError,
        MissingExtra,
        NotCT,
        SeriesError,
        StoreError,
        UnknownName,
        UnreadableFile,
        UsageError,
    )
    from ichlite.infer.bundle import Bundle, load_bundle
    from ichlite.infer.pipeline import read_paths, read_scan
    from ichlite.infer.results import Analysed, NotAnalysed, ReadResult, ScanResult

__all__ = [
    "Analysed",
    "Bundle",
    "BundleError",
    "HounsfieldError",
    "IchliteError",
    "InputError",
    "MissingExtra",
    "NotAnalysed",
    "NotCT",
    "ReadResult",
    "ScanResult",
    "SeriesError",
    "StoreError",
    "UnknownName",
    "UnreadableFile",
    "UsageError",
    "load_bundle",
    "read_paths",
    "read_scan",
]

_HOME = {
    "Bundle": "ichlite.infer.bundle",
    "load_bundle": "ichlite.infer.bundle",
    "read_paths": "ichlite.infer.pipeline",
    "read_scan": "ichlite.infer.pipeline",
    "Analysed": "ichlite.infer.results",
    "NotAnalysed": "ichlite.infer.results",
    "ReadResult": "ichlite.infer.results",
    "ScanResult": "ichlite.infer.results",
}
"""Where the public names stand that are none of `ichlite.errors`."""

_SUBPACKAGES = ("models", "train")
"""Not in `__all__`: they need keras, and `from ichlite import *` must work without it."""


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import ichlite` stays light (PEP 562)."""
    from importlib import import_module

    if name in __all__:
        return getattr(import_module(_HOME.get(name, "ichlite.errors")), name)
    if name in _SUBPACKAGES:
        if not _has_keras():
            from ichlite.errors import MissingExtra

            raise ImportError(str(MissingExtra("train", "keras")), name="keras")
        return import_module(f"ichlite.{name}")
    raise AttributeError(f"module 'ichlite' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that can be had here, also those that are not loaded yet."""
    return sorted({*globals(), *__all__, *(_SUBPACKAGES if _has_keras() else ())})


def _has_keras() -> bool:
    from importlib.util import find_spec

    return find_spec("keras") is not None
