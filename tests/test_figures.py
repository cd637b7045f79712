"""The figures of the README and of docs/figures.md are those of the files in the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import UNSET

from ichlite.contracts.bundle import OPERATING_POINTS
from ichlite.infer.bundle import load_bundle

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIGURES = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")


def row(page: str, start: str) -> list[str]:
    """Return the cells of the one row that starts so."""
    (found,) = [line for line in page.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def of_points() -> dict[str, list[str]]:
    """Operating point → sensitivity, its interval, specificity, its interval, in words."""
    evidence = load_bundle().manifest.decision.evidence
    assert evidence is not UNSET
    found = {}
    for name in OPERATING_POINTS:
        nested = evidence.points[name].nested
        found[name] = [
            words
            for share in (nested.sensitivity, nested.specificity)
            for words in (
                f"{100 * share.value:.0f} %",
                f"{100 * share.low:.0f}-{100 * share.high:.0f}",
            )
        ]
    return found


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_operating_points_are_those_of_the_manifest(point: str) -> None:
    assert row(FIGURES, f"`{point}`")[1:] == of_points()[point]


def test_the_readme_says_what_the_default_point_does() -> None:
    sensitivity, specificity = row(README, "Sensitivity")[1:], row(README, "Specificity")[1:]
    assert [*sensitivity, *specificity] == of_points()["balanced"]


@pytest.mark.parametrize(
    ("page", "start", "model"),
    [
        (README, "The model file", "src/ichlite/assets/bundle"),
        (FIGURES, "embedded model, float16, bytes", "src/ichlite/assets/bundle"),
        (FIGURES, "its int8 file, bytes", "models/lesion_fcn-int8"),
    ],
)
def test_bytes_are_those_of_the_file(page: str, start: str, model: str) -> None:
    bytes_ = (ROOT / model / "model.tflite").stat().st_size
    assert row(page, start)[1] == f"{bytes_:,}"


def test_costs_are_those_of_the_manifests() -> None:
    embedded = load_bundle().manifest.cost
    int8 = load_bundle(ROOT / "models" / "lesion_fcn-int8").manifest.cost
    assert embedded is not UNSET
    assert int8 is not UNSET
    assert row(FIGURES, "its parameters")[1] == f"{embedded.params:,}"
    assert row(FIGURES, "its FLOPs")[1] == f"{embedded.flops_256 / 1e6:.1f}"
    assert row(FIGURES, "the int8 file packed by zstd")[1] == f"{int8.zstd_bytes:,}"


def test_each_figure_of_a_table_stands_alone_in_its_cell() -> None:
    for line in (README + FIGURES).splitlines():
        for cell in line.strip("|").split("|") if line.startswith("|") else ():
            assert not re.fullmatch(r"\s*[\d.,]+ ?%?; .*", cell), cell
