"""What the tests of compression share: a store of toys, and a model trained on it, made once."""

from __future__ import annotations

import keras
import pytest
from tests.compress.trained import trained_on_toys
from tests.toy import make_store

from ichlite.data.store import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=25)


@pytest.fixture(scope="session")
def model(store: Store) -> keras.Model:
    return trained_on_toys(store)
