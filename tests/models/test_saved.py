"""Loading: what is no Keras model is said to be none, in one line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from ichlite.errors import InputError
from ichlite.models import light_fcn
from ichlite.models.saved import load


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    light_fcn(expansions=(8,), width=8, head_width=8).save(path)
    assert load(path).count_params() > 0
    content = bytearray(path.read_bytes())
    for place in range(100, len(content), 997):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with suppress(InputError):  # a byte that nobody looks at may have changed
            load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is no Keras model"):
        load(path)
