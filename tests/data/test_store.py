"""The prepared store: whole or absent, consistent or refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ichlite.data.rows import COLUMNS, StoreRow, write_index
from ichlite.data.store import Store
from ichlite.data.store_parts import CELLS, cells_of, part_path, write_part
from ichlite.data.writer import StoreWriter
from ichlite.errors import StoreError, UsageError


def row(k: int, split: str = "train", **changes: object) -> StoreRow:
    values: dict[str, object] = {
        "image": f"image-{k}",
        "patient": f"patient-{k}",
        "study": "s",
        "series": f"t-{k}",
        "position_mm": 5.0 * k,
        "labels": (0, 1, 0, 0, k % 2),
        "lesion": (10.5, 20.5) if k % 2 else None,
        "split": split,
    }
    return StoreRow(**(values | changes))  # type: ignore[arg-type]


def images(n: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(n)
    return rng.integers(-1024, 3072, (n, 256, 256)).astype(np.int16)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of six images: four for training, one each to validate and test."""
    splits = ["train", "train", "validation", "train", "test", "train"]
    with StoreWriter(tmp_path / "store", kind="phantom", seed=3) as writer:
        writer.add(images(2), [row(k, splits[k]) for k in range(2)])
        writer.add(images(4), [row(k, splits[k]) for k in range(2, 6)])
    return tmp_path / "store"


def test_what_is_opened_is_what_was_added(store: Path) -> None:
    opened = Store.open(store)
    opened.verify()
    everything = np.concatenate([images(2), images(4)])
    np.testing.assert_array_equal(opened.hu[:], everything)
    np.testing.assert_array_equal(opened.hu[np.array([4, 0])], everything[[4, 0]])
    np.testing.assert_array_equal(opened.hu[3], everything[3])
    assert opened.labels.tolist() == [[0, 1, 0, 0, k % 2] for k in range(6)]
    assert opened.any.tolist() == [1] * 6
    assert opened.position_mm.tolist() == [0, 5, 10, 15, 20, 25]
    assert np.isnan(opened.lesion[0]).all()
    assert opened.lesion[1].tolist() == [10.5, 20.5]
    assert opened.meta["images"] == len(opened) == 6
    assert opened.meta["patients"] == 6
    assert opened.meta["seed"] == 3


def test_rows_of_a_split_come_in_order(store: Path) -> None:
    opened = Store.open(store)
    assert opened.image[opened.rows("train")].tolist() == [f"image-{k}" for k in (0, 1, 3, 5)]
    assert opened.rows("test").tolist() == [4]
    assert opened.rows("unused").tolist() == []
    with pytest.raises(StoreError, match="train, validation, test"):
        opened.rows("dev")


def test_slices_go_to_another_process(store: Path) -> None:
    opened = Store.open(store)
    first = opened.hu[0]
    again = pickle.loads(pickle.dumps(opened.hu))
    np.testing.assert_array_equal(again[0], first)


def test_parts_hold_a_fixed_number_of_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("store_parts", "writer"):
        monkeypatch.setattr(f"ichlite.data.{module}.PART_IMAGES", 4)
    monkeypatch.setattr("ichlite.data.store_parts.OPEN_FILES", 2)
    with StoreWriter(tmp_path / "store", kind="toy") as writer:
        writer.add(images(10), [row(k) for k in range(10)])
    opened = Store.open(tmp_path / "store")
    assert len(list((tmp_path / "store" / "parts").iterdir())) == 3
    for k in (9, 0, 4, 8, 1):
        np.testing.assert_array_equal(opened.hu[k], images(10)[k])


@pytest.mark.parametrize("shared", ["patient", "pixels"])
def test_a_doctored_split_is_refused(shared: str, tmp_path: Path) -> None:
    """Even when whoever moved the image also mended the hash."""
    path = tmp_path / "store"
    pixels = images(2)
    if shared == "pixels":
        pixels[1] = pixels[0]
    owner = {"patient": "one"} if shared == "patient" else {}
    with StoreWriter(path, kind="toy") as writer:
        writer.add(pixels, [row(0, **owner), row(1, **owner)])
    assert len(Store.open(path)) == 2
    lines = (path / "index.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    cells[1][COLUMNS.index("split")] = "test"
    meta = json.loads((path / "store.json").read_text())
    meta["hash"] = write_index(path, cells)
    (path / "store.json").write_text(json.dumps(meta))
    with pytest.raises(StoreError, match="the split leaks"):
        Store.open(path)


def test_air_on_two_sides_is_no_leak(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", kind="toy") as writer:
        writer.add(np.full((2, 256, 256), -1024, np.int16), [row(0), row(1, "test")])
    assert Store.open(tmp_path / "store").hu.pixel_sha256 == ["constant -1024"] * 2


@settings(max_examples=20, deadline=None)
@given(
    name=st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t),
    position=st.none() | st.floats(-500, 500),
)
def test_any_name_survives(
    name: str, position: float | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    path = tmp_path_factory.mktemp("any") / "store"
    with StoreWriter(path, kind="csv") as writer:
        writer.add(images(1), [row(1, patient=name, position_mm=position)])
    opened = Store.open(path)
    assert opened.patient.tolist() == [name.rstrip("\0")]
    assert np.isnan(opened.position_mm[0]) == (position is None)


def test_an_empty_store_opens(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "none", kind="phantom"):
        pass
    opened = Store.open(tmp_path / "none")
    assert opened.hu.shape == (0, 256, 256)
    assert opened.labels.shape == (0, 5)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with StoreWriter(tmp_path / "store", kind="phantom") as writer:
            writer.add(images(1), [row(0)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_part_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store.part").mkdir()
    (tmp_path / "store.part" / "index.csv").write_bytes(b"half")
    with StoreWriter(tmp_path / "store", kind="phantom") as writer:
        writer.add(images(1), [row(0)])
    assert len(Store.open(tmp_path / "store")) == 1


def test_a_full_folder_is_left_alone(store: Path) -> None:
    with pytest.raises(UsageError, match="not empty"), StoreWriter(store, kind="phantom"):
        pass
    assert len(Store.open(store)) == 6


@pytest.mark.parametrize(
    ("hu", "rows", "message"),
    [
        (np.zeros((1, 128, 128), np.int16), [row(0)], "found int16"),
        (np.zeros((1, 256, 256), np.float32), [row(0)], "found float32"),
        (np.zeros((2, 256, 256), np.int16), [row(0)], r"expected int16 \(1"),
        (np.zeros((1, 256, 256), np.int16), [row(0, labels=(1, 0))], "found 2 labels"),
        (np.zeros((1, 256, 256), np.int16), [row(0, "dev")], "split 'dev'"),
    ],
)
def test_what_does_not_fit_is_refused(
    hu: NDArray[np.int16], rows: list[StoreRow], message: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(StoreError, match=message),
        StoreWriter(tmp_path / "store", kind="phantom") as writer,
    ):
        writer.add(hu, rows)


def test_a_missing_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="ichlite phantom"):
        Store.open(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["not json", "[]", '{"schema": "other/1"}'])
def test_another_description_is_refused(text: str, store: Path) -> None:
    (store / "store.json").write_text(text)
    with pytest.raises(StoreError):
        Store.open(store)


def test_a_truncated_part_is_refused_when_read(store: Path) -> None:
    part = part_path(store / "parts", 0)
    part.write_bytes(part.read_bytes()[:4000])
    with pytest.raises(StoreError, match="cannot be read"):
        Store.open(store).hu[0]


def test_a_lost_part_is_refused_when_read(store: Path) -> None:
    part_path(store / "parts", 0).unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        Store.open(store).hu[np.array([0])]


def test_a_lost_row_is_refused(store: Path) -> None:
    lines = (store / "index.csv").read_text().splitlines(keepends=True)
    (store / "index.csv").write_text("".join(lines[:-1]))
    with pytest.raises(StoreError, match="changed since"):
        Store.open(store)


def test_other_columns_are_refused(store: Path) -> None:
    text = (store / "index.csv").read_text()
    (store / "index.csv").write_text(text.replace("subdural", "SDH"))
    with pytest.raises(StoreError, match="other columns"):
        Store.open(store)


def test_damage_to_a_slice_is_found_when_it_is_read(store: Path) -> None:
    part = part_path(store / "parts", 0)
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(bytes(data))
    opened = Store.open(store)
    with pytest.raises(StoreError, match="cannot be read"):
        opened.hu[:]


def test_other_pixels_are_found_by_verify(store: Path) -> None:
    other = np.concatenate([images(2), images(4)])
    other[5, 0, 0] ^= 1
    write_part(part_path(store / "parts", 0), other)
    with pytest.raises(StoreError, match="changed since the store was written"):
        Store.open(store).verify()
    with pytest.raises(StoreError, match="changed since the store was written"):
        Store.open(store).hu[np.array([5])]
    assert Store.open(store).hu[4] is not None


def test_the_files_are_what_the_contract_says(store: Path) -> None:
    header = (store / "index.csv").read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
    assert header == (
        "slot,image,patient,study,series,position_mm,any,epidural,intraparenchymal,"
        "intraventricular,subarachnoid,subdural,lesion_row,lesion_column,split,source,"
        "source_sha256,pixel_sha256"
    )
    meta = json.loads((store / "store.json").read_text())
    assert meta["schema"] == "ichlite-store/2"
    assert meta["hash"] == hashlib.sha256((store / "index.csv").read_bytes()).hexdigest()


def test_lesion_cells_come_back_and_say_where_they_are_known(tmp_path: Path) -> None:
    cells = np.zeros((3, CELLS, CELLS), np.uint8)
    cells[0, 4, 5] = 0b10001
    outlined = row(0, labels=(1, 0, 0, 0, 1), lesion=(36.0, 44.0))
    bleeding = row(1, labels=(0, 1, 0, 0, 0), lesion=None)
    quiet = row(2, labels=(0, 0, 0, 0, 0), lesion=None)
    with StoreWriter(tmp_path / "store", kind="phantom") as writer:
        writer.add(images(3), [outlined, bleeding, quiet], cells)
    store = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(store.lesion_cells[np.arange(3)], cells)
    np.testing.assert_array_equal(store.lesion_cells[0], cells[0])
    assert store.cells_known.tolist() == [True, False, True]


def test_a_store_without_outlines_knows_the_cells_of_quiet_slices_alone(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", kind="toy") as writer:
        writer.add(
            images(2),
            [
                row(0, labels=(1, 0, 0, 0, 0), lesion=(1.0, 2.0)),
                row(1, labels=(0,) * 5, lesion=None),
            ],
        )
    store = Store.open(tmp_path / "store")
    assert not store.lesion_cells[np.arange(2)].any()
    assert store.cells_known.tolist() == [False, True]


@given(st.integers(0, 63), st.integers(0, 63), st.integers(0, 4))
def test_a_labelled_bleed_always_sets_a_cell_and_no_other_kind(
    row: int, column: int, kind: int
) -> None:
    covered = np.zeros((5, 64, 64), bool)
    covered[kind, row, column] = covered[(kind + 1) % 5, 0, 0] = True
    present = np.zeros(5, np.uint8)
    present[kind] = 1
    cells = cells_of(covered, present)
    assert cells[row // 2, column // 2] == 1 << kind
    assert np.count_nonzero(cells) == 1


FILLS_THE_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from ichlite.data.store_parts import write_part
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_part(Path(sys.argv[1]), np.random.default_rng(0).integers(0, 99, (9, 256, 256), np.int16))
except OSError as fault:
    print(fault.filename)
"""


def test_a_disk_that_takes_no_more_is_an_error_and_no_fault_of_memory(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FILLS_THE_DISK, str(tmp_path / "00000.h5")]
    run = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == f"{tmp_path / '00000.h5'}\n"
    assert list(tmp_path.iterdir()) == []
