"""Fingerprints find who trained, by name or pixels, and nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.made_runs import made_run
from tests.toy import make_store

from ichlite.contracts.codec import document_text, read_document
from ichlite.contracts.run import RunManifest
from ichlite.data.fingerprint import (
    MOST_IN_BUNDLE,
    Fingerprint,
    fingerprint,
    for_bundle,
    of_run,
    read_fingerprint,
)
from ichlite.data.join import join_stores
from ichlite.data.store import Store
from ichlite.errors import InputError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=10)


def of_kind(store: Store, kind: str) -> Store:
    return replace(store, meta=MappingProxyType({**store.meta, "kind": kind}))


def seen(store: Store, other: Store) -> tuple[str, ...]:
    kinds = [str(other.meta["kind"])] * len(other)
    return fingerprint(store).seen(kinds, other.patient, other.pixel_sha256)


def test_the_same_pixels_are_found_in_a_store_of_any_kind(store: Store) -> None:
    trained = sorted({*store.patient[store.split == "train"].tolist()})
    assert seen(store, store) == tuple(trained)
    assert seen(store, of_kind(store, "csv")) == tuple(trained)
    rows = store.rows("test")
    kinds = ["toy"] * len(rows)
    assert fingerprint(store).seen(kinds, store.patient[rows], store.pixel_sha256[rows]) == ()


def test_other_phantoms_of_the_same_names_are_others(store: Store, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=10, seed=1)
    assert {*other.patient} == {*store.patient}
    assert seen(store, other) == ()


def test_names_count_where_a_data_set_gives_them(store: Store, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=10, seed=1)
    trained = sorted({*store.patient[store.split == "train"].tolist()})
    assert seen(of_kind(store, "rsna"), of_kind(other, "rsna")) == tuple(trained)
    assert seen(of_kind(store, "rsna"), of_kind(other, "cq500")) == ()
    assert seen(of_kind(store, "implant"), of_kind(other, "ct-ich")) == tuple(trained)


def test_several_stores_are_one_fingerprint(store: Store, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=5, seed=1)
    # Both stores call their patients, and series, alike.
    columns = {name: np.char.add("q", getattr(other, name)) for name in ("patient", "series")}
    both = fingerprint(join_stores([store, of_kind(replace(other, **columns), "ct-ich")]))
    assert both.patients == 6 + 3
    assert len(both.names) == 3
    assert len(both.series) == 9


def test_it_goes_through_json_and_a_change_is_seen(store: Store) -> None:
    found = fingerprint(of_kind(store, "rsna"))
    document = read_document(RunManifest, document_text(made_run(found.packed())))
    assert read_fingerprint(document) == found
    assert read_fingerprint(made_run()) is None
    for key, value in (("names", "!"), ("series", "AAAAAAAA"), ("patients", 7), ("sha256", "")):
        changed = made_run(structs.replace(found.packed(), **{key: value}))
        with pytest.raises(InputError, match="fingerprint of the training manifest was changed"):
            read_fingerprint(changed)


@given(st.frozensets(st.integers(0, 2**48 - 1), max_size=20), st.integers(0, 9))
def test_any_hashes_pack(hashes: frozenset[int], patients: int) -> None:
    found = Fingerprint(patients, hashes, frozenset())
    assert read_fingerprint(made_run(found.packed())) == found


def test_who_trained_the_start_trained_the_run(store: Store, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=5, seed=1)
    start = tmp_path / "start" / "best.keras"
    start.parent.mkdir()
    alone = of_run(other)
    assert of_run(other, start) == alone
    manifest = made_run(of_run(store).packed())
    (start.parent / "train.json").write_text(document_text(manifest))
    both = of_run(other, start)
    assert both.series == alone.series | fingerprint(store).series
    assert both.patients == 6 + 3
    (start.parent / "train.json").write_text("{")
    assert of_run(other, start) == alone


def test_a_bundle_of_many_patients_holds_their_hash_alone() -> None:
    numbers = frozenset(np.arange(MOST_IN_BUNDLE + 1).tolist())
    small = made_run(Fingerprint(MOST_IN_BUNDLE, numbers, numbers).packed())
    assert for_bundle(small) is small
    many = Fingerprint(MOST_IN_BUNDLE + 1, numbers, numbers).packed()
    kept = for_bundle(made_run(many)).fingerprint
    assert kept.names is kept.series is None
    assert kept.sha256 == many.sha256
    assert read_fingerprint(made_run(kept)) is None
    assert for_bundle(made_run()) == made_run()
    assert len(document_text(small)) < 40_000
