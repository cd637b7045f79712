"""What is measured: a model file and the runtime that is to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from ichlite.infer.bundle import MODEL_FILE, Bundle


@dataclass(frozen=True, slots=True)
class Contender:
    """A model file and the runtime that is to run it.

    Attributes:
        model, precision, runtime: As they are listed.
        path: What the runtime loads.
        params, flops: Of the architecture; None where not known.
    """

    model: str
    precision: str
    runtime: str
    path: Path
    params: int | None = None
    flops: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Model, precision and runtime."""
        return self.model, self.precision, self.runtime

    def listed(self) -> dict[str, str]:
        """Return the first columns of every list: model, precision and runtime."""
        return dict(zip(("model", "precision", "runtime"), self.key, strict=True))


def bundle_contender(bundle: Bundle, name: str, runtime: str) -> Contender:
    """Return a bundle, under the name it is to have in the list, for a runtime to run."""
    cost = bundle.manifest.cost
    return Contender(
        name,
        bundle.manifest.precision,
        runtime,
        bundle.path / MODEL_FILE,
        None if cost is UNSET else cost.params,
        None if cost is UNSET else cost.flops_256,
    )
