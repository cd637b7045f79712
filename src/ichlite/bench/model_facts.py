"""Read a bundle's precision, cost and test split from its manifest, and check them.

Reading needs none of this, so `load_bundle` does not ask for it; a bundle from elsewhere, or of an
older ichlite, may lack it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ichlite.compress.gate import MEAN
from ichlite.errors import BundleError
from ichlite.infer.bundle import Bundle
from ichlite.infer.bundle_manifest import number, section, text_at
from ichlite.labels import NAMES

_MOST = 1e15


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
    """Bundle → what it says of itself.

    Raises:
        BundleError: Something is missing, undefined or of another type.
    """
    manifest: Any = bundle.manifest
    try:
        cost, metrics = section(manifest, "cost"), section(manifest, "metrics")
        classes = section(metrics, "per_class")
        costs = [
            int(number(f"cost.{key}", cost[key], 0, _MOST))
            for key in ("bytes", "zstd_bytes", "flops_256", "params")
        ]
        subtypes = {name: section(classes, name)["roc_auc"] for name in NAMES}
        return Facts(
            text_at(manifest, "model"),
            text_at(manifest, "precision"),
            text_at(section(section(manifest, "training"), "data"), "store_hash"),
            {
                **{
                    name: None if auc is None else number(f"ROC AUC of {name}", auc, 0, 1)
                    for name, auc in subtypes.items()
                },
                MEAN: number("mean test ROC AUC", section(metrics, MEAN)["roc_auc"], 0, 1),
            },
            *costs,
        )
    except KeyError as missing:
        why = f"no {missing.args[0]} in its manifest"
    except ValueError as wrong:
        why = str(wrong)
    raise BundleError(
        f"bundle {bundle.path} cannot be compared",
        found=why,
        remedy="make it again with `ichlite compress`",
    )
