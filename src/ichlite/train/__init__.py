"""Train models on prepared stores, as `ichlite train` does.

```python
from ichlite.train import Recipe, fit, open_store

run = fit(Recipe(loss="ldam", epochs=5), open_store("phantoms"), "runs/ldam")
```

`keras.models.load_model(run.folder / "best.keras")` needs nothing of ichlite, whatever the network.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from ichlite.errors import MissingExtra, UsageError
from ichlite.train.recipe import Recipe

if TYPE_CHECKING:
    from ichlite.train.dataset import StoreDataset, open_store
    from ichlite.train.losses import build_loss
    from ichlite.train.training_loop import Progress, Run, fit

__all__ = ["Progress", "Recipe", "Run", "StoreDataset", "build_loss", "fit", "open_store"]

BACKENDS = ("tensorflow", "jax")
_HOME = {
    "StoreDataset": "dataset",
    "open_store": "dataset",
    "build_loss": "losses",
    "Progress": "training_loop",
    "Run": "training_loop",
    "fit": "training_loop",
}


def check_backend() -> None:
    """Check that ichlite can train with the Keras backend that `KERAS_BACKEND` names.

    It may be `tensorflow` (the default) or `jax`. To be called before Keras is imported.

    Raises:
        UsageError: It is another backend, or JAX is not installed.
        MissingExtra: TensorFlow is not installed.
    """
    from importlib.util import find_spec

    backend = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if backend not in BACKENDS:
        raise UsageError(
            f"ichlite does not run on KERAS_BACKEND={backend}",
            expected=" or ".join(BACKENDS),
            remedy="unset KERAS_BACKEND for TensorFlow, or export KERAS_BACKEND=jax",
        )
    if find_spec(backend) is None and backend == BACKENDS[0]:
        raise MissingExtra("train", backend)
    if find_spec(backend) is None:
        raise UsageError(
            f"KERAS_BACKEND={backend}, which is not installed",
            remedy="unset KERAS_BACKEND for TensorFlow, or install it with: pip install jax",
        )


def __getattr__(name: str) -> object:
    """Load what needs Keras on first use: commands import this package for their options."""
    if name not in _HOME:
        raise AttributeError(f"module 'ichlite.train' has no attribute {name!r}")
    check_backend()
    try:
        found = getattr(import_module(f"ichlite.train.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(str(MissingExtra("train", str(error.name))), name=error.name) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name the public parts, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})
