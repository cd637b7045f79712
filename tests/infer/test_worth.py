"""A bundle that is not shown to be better than chance says so wherever it is read with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import ichlite
from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.infer.worth import doubts, lower_end
from ichlite.samples import PHANTOM_BLEED

ROOT = Path(__file__).resolve().parents[2]
Manifest = dict[str, Any]
Change = Callable[[Manifest], object]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Path]:
    def make(change: Change) -> Path:
        folder = shutil.copytree(EMBEDDED, tmp_path / "bundle", dirs_exist_ok=True)
        path = folder / "manifest.json"
        manifest = json.loads((EMBEDDED / "manifest.json").read_text())
        del manifest["manifest_sha256"]
        change(manifest)
        path.write_text(json.dumps(manifest))
        return folder

    return make


def no_better(manifest: Manifest) -> None:
    """Give a manifest the operating points of a coin."""
    nested = manifest["decision"]["evidence"]["points"]["balanced"]["nested"]
    for name in ("sensitivity", "specificity"):
        nested[name].update(value=0.55, low=0.45, high=0.65)


def by_slice(roc_auc: float | None, positives: int, slices: int, **more: Any) -> Change:
    """Return what leaves a manifest with an evaluation on the test split alone."""

    def change(manifest: Manifest) -> None:
        del manifest["decision"]["evidence"]
        manifest["metrics"]["any"].update(roc_auc=roc_auc, positives=positives, **more)
        manifest["metrics"]["slices"] = slices

    return change


def no_figures(manifest: Manifest) -> None:
    """Take out all that a manifest says of the model's worth."""
    del manifest["decision"]["evidence"], manifest["metrics"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_better, "by scan, sensitivity 0.55 (95 % from 0.45) and specificity 0.55 (from 0.45)"),
        (
            by_slice(0.52, 300, 1000),
            "ROC AUC of any bleed 0.52 (95 % from 0.48) on 1,000 slices of",
        ),
        (by_slice(0.80, 3, 30), "ROC AUC of any bleed 0.80 (95 % from 0."),
        (by_slice(None, 0, 30), "no ROC AUC of any bleed on "),
        (by_slice(0.9, 300, 1000, roc_auc_95=[0.55, 0.99]), "0.90 (95 % from 0.55)"),
        (by_slice(0.9, 300, 1000, intervals={"roc_auc": [0.5, 1.0]}), "0.90 (95 % from 0.50)"),
        (no_figures, "its manifest has no figures"),
    ],
)
def test_a_model_that_may_be_a_coin_is_doubted(
    changed: Callable[[Change], Path], change: Change, words: str
) -> None:
    (line,) = doubts(load_bundle(changed(change)).manifest)
    assert line.startswith("model lesion_fcn-float16 0.1.0 is not shown to be better than chance: ")
    assert words in line


def test_a_model_with_evidence_is_not_doubted(changed: Callable[[Change], Path]) -> None:
    for bundle in (EMBEDDED, *(ROOT / "models" / f"lesion_fcn-{p}" for p in ("int8", "phantoms"))):
        assert doubts(load_bundle(bundle).manifest) == ()
    assert doubts(load_bundle(changed(by_slice(0.80, 300, 1000))).manifest) == ()


@pytest.mark.long
def test_whoever_reads_is_told_in_every_form(
    changed: Callable[[Change], Path], tmp_path: Path, ichlite: Callable[..., Any]
) -> None:
    bundle, page = changed(by_slice(0.52, 300, 1000)), tmp_path / "report.html"
    words = "is not shown to be better than chance"
    shown = ichlite("read", PHANTOM_BLEED.folder, "--bundle", bundle, "--html", page)
    assert shown.exit_code == 0
    assert words in " ".join(shown.out.split())
    assert words in page.read_text()
    document = json.loads(ichlite("read", PHANTOM_BLEED.folder, "--bundle", bundle, "--json").out)
    assert words in document["warnings"][0]
    assert words in document["studies"][0]["notes"][-1]
    facts = json.loads(ichlite("info", "--bundle", bundle, "--json").out)
    assert words in facts["bundle"]["warnings"][0]


def test_a_scan_alone_carries_the_doubt(changed: Callable[[Change], Path]) -> None:
    scan = ichlite.read_scan(PHANTOM_BLEED.folder, bundle=changed(no_figures))
    assert any("better than chance" in note for note in scan.notes)
    assert not any("chance" in note for note in ichlite.read_scan(PHANTOM_BLEED.folder).notes)


def test_the_lower_end_holds_what_draws_hold() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [60, 140])
    drawn = [roc_auc_score(labels, rng.normal(labels, 1)) for _ in range(400)]
    low = lower_end(float(np.mean(drawn)), 60, 140)
    assert abs(low - np.quantile(drawn, 0.025)) < 0.02
