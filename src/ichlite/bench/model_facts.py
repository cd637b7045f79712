"""Read a bundle's precision, cost and test split from its manifest, and check them.

Reading needs none of this, so `load_bundle` does not ask for it; a bundle from elsewhere, or of an
older ichlite, may lack it.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET

from ichlite.compress.gate import MEAN
from ichlite.errors import BundleError
from ichlite.infer.bundle import Bundle
from ichlite.labels import NAMES


@dataclass(frozen=True, slots=True)
class Facts:
    """What a bundle says of itself.

    Attributes:
        architecture, precision, store_hash: Texts.
        auc: Test ROC AUC of each subtype and `mean`; a subtype's is None where undefined.
        bytes, zstd_bytes, flops, params: Of the model.
    """

    architecture: str
    precision: str
    store_hash: str
    auc: dict[str, float | None]
    bytes: int
    zstd_bytes: int
    flops: int
    params: int


def facts_of(bundle: Bundle) -> Facts:
    """Return what a bundle says of itself.

    Raises:
        BundleError: Something is missing or undefined.
    """
    manifest = bundle.manifest
    cost, metrics, training = manifest.cost, manifest.metrics, manifest.training
    if cost is UNSET or cost.zstd_bytes is None:
        missing = "no cost, or no zstd_bytes in it"
    elif metrics is UNSET or metrics.mean.roc_auc is None:
        missing = "no metrics, or no mean test ROC AUC among them"
    elif training is UNSET:
        missing = "no training"
    else:
        auc = {name: metrics.per_class[name].roc_auc for name in NAMES}
        return Facts(
            manifest.model,
            manifest.precision,
            training.data.store_hash,
            {**auc, MEAN: metrics.mean.roc_auc},
            cost.bytes,
            cost.zstd_bytes,
            cost.flops_256,
            cost.params,
        )
    raise BundleError(
        f"bundle {bundle.path} cannot be compared",
        found=f"{missing} in its manifest",
        remedy="make it again with `ichlite compress`",
    )
