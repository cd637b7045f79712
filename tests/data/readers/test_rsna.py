"""RSNA labels: read exactly, repeats dropped, contradictions reported, other files refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ichlite.data.readers.rsna import read_labels
from ichlite.errors import InputError
from ichlite.labels import CLASSES


def lines(image: str, labels: tuple[int, ...]) -> list[str]:
    return [f"{image}_{name},{label}" for name, label in zip(CLASSES, labels, strict=True)]


def write(path: Path, body: list[str]) -> Path:
    path.write_text("\n".join(["ID,Label", *body]) + "\n")
    return path


def test_lines_of_any_order_become_one_row_an_image(tmp_path: Path) -> None:
    body = lines("ID_b", (1, 0, 0, 1, 0, 0)) + lines("ID_a", (0,) * 6)
    found = read_labels(write(tmp_path / "labels.csv", body[::-1]))
    assert found.labels == {"ID_b": (1, 0, 0, 1, 0, 0), "ID_a": (0,) * 6}
    assert found.findings == ()


def test_repeats_are_dropped_and_contradictions_reported(tmp_path: Path) -> None:
    body = lines("ID_a", (0,) * 6) * 2 + lines("ID_b", (0,) * 6) + ["ID_b_subdural,1"]
    found = read_labels(write(tmp_path / "labels.csv", [*body, "ID_c_any,1"]))
    assert set(found.labels) == {"ID_a"}
    kinds = [(one.kind, one.item) for one in found.findings]
    assert kinds.count(("duplicate_label_rows", "ID_a")) == 6
    assert ("conflicting_labels", "ID_b") in kinds
    assert ("incomplete_labels", "ID_c") in kinds


def test_gzip_is_read_too(tmp_path: Path) -> None:
    plain = write(tmp_path / "labels.csv", lines("ID_a", (0,) * 6))
    packed = tmp_path / "labels.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_labels(packed) == read_labels(plain)


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "ID,Label\nID_a_any\n", "ID,Label\nID_a_any,2\n", "ID,Label\nID_a_chronic,0\n"],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=r"labels\.csv"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_the_real_table(shared_data: Path) -> None:
    found = read_labels(shared_data / "rsna-dev" / "stage_2_train.csv")
    assert len(found.labels) == 422
    assert found.findings == ()
    assert all(row[0] == max(row[1:]) for row in found.labels.values())
