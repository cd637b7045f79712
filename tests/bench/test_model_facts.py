"""What a bundle says of itself: all of it there, or one line about what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import UNSET, structs

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
    ("part", "line"),
    [("training", "no training"), ("metrics", "no metrics"), ("cost", "no cost")],
)
def test_what_is_missing_is_named(part: str, line: str) -> None:
    bundle = load_bundle()
    manifest = structs.replace(bundle.manifest, **{part: UNSET})
    with pytest.raises(BundleError, match=line):
        facts_of(replace(bundle, manifest=manifest))


def test_a_subtype_without_positives_is_undefined_not_wrong() -> None:
    bundle = load_bundle()
    metrics = bundle.manifest.metrics
    assert metrics is not UNSET
    row = structs.replace(metrics.per_class["epidural"], roc_auc=None)
    metrics = structs.replace(metrics, per_class={**metrics.per_class, "epidural": row})
    manifest = structs.replace(bundle.manifest, metrics=metrics)
    assert facts_of(replace(bundle, manifest=manifest)).auc["epidural"] is None
