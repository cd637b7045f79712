"""What a bundle says of itself: all of it there, or one line about what is not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from ichlite.bench.model_facts import facts_of
from ichlite.compress.gate import MEAN
from ichlite.errors import BundleError
from ichlite.infer.bundle import load_bundle
from ichlite.labels import NAMES


def test_the_embedded_bundle_says_it_all() -> None:
    facts = facts_of(load_bundle())
    assert facts.architecture == "lesion_fcn"
    assert set(facts.auc) == {*NAMES, MEAN}
    assert 0.5 < (facts.auc[MEAN] or 0) < 1
    assert 0 < facts.zstd_bytes < facts.bytes


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("training",), None, "no training"),
        (("training",), "none", "training is no object"),
        (("metrics", "per_class"), None, "no per_class"),
        (("metrics", "per_class", "epidural", "roc_auc"), "high", "ROC AUC of epidural"),
        (("metrics", "mean", "roc_auc"), float("nan"), "mean test ROC AUC"),
        (("cost", "zstd_bytes"), None, "no zstd_bytes"),
        (("cost", "bytes"), "many", "cost.bytes"),
        (("cost",), [], "cost is no object"),
        (("model",), None, "no model"),
    ],
)
def test_what_is_missing_or_wrong_is_named(path: tuple[str, ...], value: Any, line: str) -> None:
    bundle = load_bundle()
    manifest = copy.deepcopy(dict(bundle.manifest))
    inner: Any = manifest
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    with pytest.raises(BundleError, match=line):
        facts_of(replace(bundle, manifest=manifest))


def test_a_subtype_without_positives_is_undefined_not_wrong() -> None:
    bundle = load_bundle()
    manifest = copy.deepcopy(dict(bundle.manifest))
    manifest["metrics"]["per_class"]["epidural"]["roc_auc"] = None
    assert facts_of(replace(bundle, manifest=manifest)).auc["epidural"] is None
