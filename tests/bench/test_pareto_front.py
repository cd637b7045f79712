"""Pareto: fronts hold nothing that is beaten, and the rule picks what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs
from tests.compress.trained import trained_on_toys
from tests.made_runs import run_on
from tests.toy import make_store

from ichlite.bench.bench_report import pareto_markdown
from ichlite.bench.pareto_front import (
    COSTS,
    Point,
    bundles_in,
    facts_of,
    on_front,
    pareto_document,
    passing,
    ship,
)
from ichlite.bench.pareto_plot import AucScale, plot_pareto
from ichlite.compress.export import Export, export
from ichlite.compress.settings import MEAN, Gate
from ichlite.errors import BundleError
from ichlite.infer.bundle import load_bundle
from ichlite.labels import NAMES


def point(name: str, auc: float, ms: float, zstd: int = 100) -> Point:
    return Point(
        name=name, architecture="light_fcn", precision="int8", store_hash="a store",
        auc=dict.fromkeys((*NAMES, MEAN), auc), bytes=2 * zstd, zstd_bytes=zstd, flops=10,
        params=10, min_ms=ms, p50_ms=1.2 * ms,
    )  # fmt: skip


REFERENCE = point("reference", 0.95, 2.0, 900)


@given(
    st.lists(st.tuples(st.floats(0.5, 1), st.floats(0.1, 9)), min_size=1, max_size=12, unique=True)
)
def test_the_front_is_what_nothing_beats(pairs: list[tuple[float, float]]) -> None:
    points = [point(str(number), auc, ms) for number, (auc, ms) in enumerate(pairs)]
    front = on_front(points, "min_ms")
    assert front
    for one in points:
        beaten = any(
            (other.auc[MEAN] >= one.auc[MEAN] and other.min_ms < one.min_ms)
            or (other.auc[MEAN] > one.auc[MEAN] and other.min_ms <= one.min_ms)
            for other in points
        )  # fmt: skip
        assert (one.name in front) != beaten


def test_the_fastest_that_passes_is_shipped() -> None:
    points = [REFERENCE, point("good", 0.948, 1.0), point("bad", 0.94, 0.5)]
    assert [one.name for one in passing(points, REFERENCE, Gate())] == ["reference", "good"]
    assert ship(points, REFERENCE, Gate()).name == "good"
    smaller = point("smaller", 0.947, 1.04, zstd=50)
    assert ship([*points, smaller], REFERENCE, Gate()).name == "smaller"
    slower = point("slower", 0.947, 1.06, zstd=5)
    assert ship([*points, smaller, slower], REFERENCE, Gate()).name == "smaller"
    assert ship([REFERENCE, points[2]], REFERENCE, Gate()).name == "reference"


def test_one_subtype_is_enough_to_fail() -> None:
    blind = point("blind", 0.95, 0.5)
    blind = structs.replace(blind, auc={**blind.auc, "epidural": 0.92})
    assert passing([blind], REFERENCE, Gate()) == []


def test_the_report_says_what_is_shipped(tmp_path: Path) -> None:
    points = [REFERENCE, point("good", 0.948, 1.0), point("bad", 0.94, 0.5)]
    document = pareto_document(points, REFERENCE, Gate())
    assert document.shipped == "good"
    assert [one.passes for one in document.bundles] == [True, True, False]
    assert document.bundles[1].speedup == 2.0
    assert all(set(one.fronts) <= set(COSTS) for one in document.bundles)
    text = pareto_markdown(document)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert [cells[0] for cells in rows[2:5]] == ["bad", "**good**", "reference"]
    assert rows[3][1:8] == ["light_fcn", "int8", "0.9480", "+0.0020", "1.20", "1.00", "2.00"]
    assert rows[3][8:] == ["0.2", "0.1", "0", "10", "passes", "time, size, zstd size"]
    assert plot_pareto(document, tmp_path / "a.png").stat().st_size > 10_000


def test_what_lost_far_more_than_allowed_is_drawn_at_the_edge(tmp_path: Path) -> None:
    points = [
        REFERENCE,
        point("good", 0.948, 1.0),
        point("bad", 0.94, 0.5),
        point("lost", 0.7, 0.4),
    ]
    document = pareto_document(points, REFERENCE, Gate())
    scale = AucScale.of(document)
    assert (scale.least, scale.best) == (0.94, 0.95)
    assert [scale.height(auc) for auc in (0.95, 0.948, 0.94)] == [0.95, 0.948, 0.94]
    assert scale.limits[0] < scale.height(0.7) < 0.94
    assert plot_pareto(document, tmp_path / "a.png").stat().st_size > 10_000


def test_a_subtype_that_nobody_can_judge_is_named() -> None:
    def without_subdurals(one: Point) -> Point:
        return structs.replace(one, auc={**one.auc, "subdural": None})

    points = [without_subdurals(one) for one in (REFERENCE, point("good", 0.948, 1.0))]
    text = pareto_markdown(pareto_document(points, points[0], Gate()))
    assert "The gate says nothing of subdural" in text
    assert "says nothing" not in pareto_markdown(pareto_document([REFERENCE], REFERENCE, Gate()))


def test_a_bar_in_a_name_breaks_no_row() -> None:
    text = pareto_markdown(pareto_document([point("a|b", 0.9, 1.0)], REFERENCE, Gate(1, 1)))
    assert "| **a\\|b** | light_fcn |" in text


def test_what_is_still_being_written_is_no_bundle(tmp_path: Path) -> None:
    for name in ("one", ".two.x.part", "deep/three"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    assert bundles_in([tmp_path]) == [tmp_path / "deep" / "three", tmp_path / "one"]
    assert bundles_in([tmp_path / "one"]) == [tmp_path / "one"]


@pytest.mark.long
def test_the_command_measures_bundles_of_one_store(
    ichlite: Callable[..., Any], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", patients=12)
    model = trained_on_toys(store, steps=1)
    training = run_on(store)
    for precision in ("float32", "int8"):
        export(model, store, tmp_path / precision, training, Export(precision))
    words = ("pareto", tmp_path / "float32", tmp_path / "int8", "--runs", 3)
    done = ichlite(*words, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.err
    document = json.loads(done.out)
    assert document["reference"] == "light_fcn-float32"
    assert [one["p50_ms"] >= one["min_ms"] > 0 for one in document["bundles"]] == [True, True]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "pareto.json", "pareto.md", "pareto.png",
    }  # fmt: skip
    unknown = ichlite(*words, "--reference", "none")
    assert unknown.exit_code == 2
    assert "--reference names no bundle of this comparison; found none; expected" in unknown.err
    assert ichlite("pareto", tmp_path / "int8", tmp_path / "int8").exit_code == 2
    other = json.loads((tmp_path / "int8" / "manifest.json").read_text())
    other["training"]["data"]["store_hash"] = "another"
    del other["manifest_sha256"]
    (tmp_path / "int8" / "manifest.json").write_text(json.dumps(other))
    refused = ichlite(*words)
    assert refused.exit_code == 2
    assert "different data" in refused.err


@pytest.mark.parametrize("name", ["pareto", "compress"])
def test_help_names_an_example(ichlite: Callable[..., Any], name: str) -> None:
    done = ichlite(name, "--help")
    assert done.exit_code == 0
    assert f"Example: ichlite {name}" in done.out


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
