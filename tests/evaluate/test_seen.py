"""Who trained is told from who is evaluated; nobody is warned of phantoms that are others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from tests.made_runs import made_run
from tests.toy import make_store

from ichlite.data.fingerprint import fingerprint
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.seen import Evaluated, seen_patients, seen_warnings


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=10)


def of(store: Store, split: str) -> Evaluated:
    return Evaluated.of_store(store, store.rows(split), split)


def test_the_train_split_is_warned_of_and_the_others_are_not(store: Store) -> None:
    training = made_run(fingerprint(store).packed())
    assert seen_warnings("m", training, of(store, "test")) == ()
    assert seen_warnings("m", training, of(store, "validation")) == ()
    (line,) = seen_warnings("m", training, of(store, "train"))
    assert line.startswith("6 of 6 patients in the data trained m (p00, p01, p02, …)")
    assert seen_patients(training, of(store, "train"))[0] == "p00"


def test_other_phantoms_are_not_warned_of(store: Store, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=10, seed=5)
    rows = np.arange(len(other))
    training = made_run(fingerprint(store).packed())
    assert seen_warnings("m", training, Evaluated.of_store(other, rows, "test")) == ()


def test_a_manifest_of_before_fingerprints_tells_by_its_store(store: Store) -> None:
    training = made_run(store_hash=store.hash)
    assert seen_warnings("m", training, of(store, "test")) == ()
    (line,) = seen_warnings("m", training, of(store, "train"))
    assert line == "the train split of this store trained m"
    elsewhere = replace(of(store, "test"), store_hash="0", split=None)
    (line,) = seen_warnings("m", training, elsewhere)
    assert line.startswith("nothing says which patients trained m")
    phantoms = made_run(kind="phantom")
    assert seen_warnings("m", phantoms, elsewhere) == ()
    (line,) = seen_warnings("m", None, of(store, "test"))
    assert "not checked" in line


def test_a_model_of_all_patients_of_a_data_set_is_warned_of_without_a_fingerprint() -> None:
    evaluated = Evaluated(("ct-ich",), ("051",), ("pixels",))
    stores = ("phantom", "ct-ich")
    (line,) = seen_warnings("m", made_run(stores=stores, all_patients=True), evaluated)
    assert line.startswith("all patients of a store of ct-ich trained m")
    (line,) = seen_warnings("m", made_run(stores=stores), evaluated)
    assert "not checked" in line


def test_a_changed_fingerprint_is_an_error(store: Store) -> None:
    said = structs.replace(fingerprint(store).packed(), series="")
    with pytest.raises(InputError, match="fingerprint of the training manifest was changed"):
        seen_warnings("m", made_run(said), of(store, "train"))
