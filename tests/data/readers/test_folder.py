"""A plain folder with a CSV, and the phantoms' own: paths, levels, splits, lesions, faults."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dicom_files import UID_ROOT, write_ct_slice

from ichlite.ct.header import read_header
from ichlite.ct.tensor import read_slice
from ichlite.data.audit import Finding
from ichlite.data.readers.folder import read, read_phantom, settle_splits
from ichlite.data.readers.folder_table import COLUMNS, path_within
from ichlite.data.readers.index import Index
from ichlite.data.rows import StoreRow
from ichlite.errors import InputError
from ichlite.labels import NAMES
from ichlite.phantom import studies
from ichlite.phantom.bleed_plan import BleedPlan
from ichlite.phantom.generate import Order, patient_name, split_of
from ichlite.phantom.subject import Subject
from ichlite.phantom.view import draw_view
from ichlite.records import SliceHeader

Reader = Callable[[Path], Index]


def write_slice(root: Path, path: str, *, side: int = 32, **overrides: object) -> Path:
    number = sum(map(ord, path)) + 1
    elements: dict[str, object] = {
        "SOPInstanceUID": f"{UID_ROOT}7.{number}",
        "ImagePositionPatient": [0, 0, number],
    }
    return write_ct_slice(root / path, np.zeros((side, side), np.int16), **(elements | overrides))


def write_scan(root: Path, path: str, n: int = 10, *, series: str = "1", **more: object) -> None:
    for k in range(n):
        write_slice(
            root,
            f"{path}/{series}-{k}.dcm",
            SOPInstanceUID=f"{UID_ROOT}8.{series}.{k + 1}",
            SeriesInstanceUID=f"{UID_ROOT}8.{series}",
            ImagePositionPatient=[0, 0, 5.0 * k],
            **more,
        )


def row(path: str, patient: str = "p", *bleeds: str, **more: object) -> dict[str, object]:
    return {"path": path, "patient": patient} | {n: int(n in bleeds) for n in NAMES} | more


def write_table(root: Path, *rows: Mapping[str, object], name: str = "labels.csv") -> Path:
    columns = list(dict.fromkeys([*COLUMNS, *(key for one in rows for key in one)]))
    with (root / name).open("w", newline="", encoding="utf-8-sig") as file:
        lines = csv.DictWriter(file, columns)
        lines.writeheader()
        lines.writerows(rows)
    return root / name


def read_set(root: Path) -> Index:
    return read(root, lambda *_: None)


def kinds(index: Index) -> list[tuple[str, str]]:
    return sorted((one.kind, one.item) for one in index.findings)


def test_paths_to_files_are_labels_of_slices(tmp_path: Path) -> None:
    for k, path in enumerate(("a/2.dcm", "a/1.dcm", "b.dcm")):
        write_slice(tmp_path, path, ImagePositionPatient=[0, 0, 5.0 - 5 * k])
    write_table(
        tmp_path,
        row("a/1.dcm", "one", "subdural"), row("./a//2.dcm", "one"),
        row("b.dcm", "two", "epidural"),
    )  # fmt: skip
    index = read_set(tmp_path)
    assert (index.kind, index.label_level, index.findings) == ("csv", "slice", ())
    assert [(one.image, one.patient, one.labels, one.any) for one in index.images] == [
        ("a/1.dcm", "one", (0, 0, 0, 0, 1), 1),
        ("a/2.dcm", "one", (0, 0, 0, 0, 0), 0),
        ("b.dcm", "two", (1, 0, 0, 0, 0), 1),
    ]
    assert [one.position_mm for one in index.images] == [0.0, 5.0, -5.0]
    assert [one.source for one in index.images] == [one.image for one in index.images]
    assert {(one.study, one.series, one.split, one.lesion) for one in index.images} == {
        (UID_ROOT + "1", UID_ROOT + "1.1", None, None)
    }


def test_optional_columns_win_over_headers(tmp_path: Path) -> None:
    for name in ("1.dcm", "2.dcm"):
        write_slice(tmp_path, name, side=512)
    said = {"study": "s", "series": "t", "image": "i", "split": "test", "any": 1}
    place = {"lesion_row": "100.5", "lesion_column": "200.5"}
    write_table(tmp_path, row("1.dcm", **said, **place), row("2.dcm", "q", any=0))
    index = read_set(tmp_path)
    one, other = index.images
    assert (one.study, one.series, one.image, one.split) == ("s", "p/t", "i", "test")
    assert (one.any, one.labels, one.lesion) == (1, (0,) * 5, (50.0, 100.0))
    assert (other.study, other.image, other.split, other.lesion) == (
        UID_ROOT + "1", "2.dcm", None, None,
    )  # fmt: skip
    assert kinds(index) == [("any_disagrees", "1.dcm")]


def test_paths_to_folders_are_labels_of_scans(tmp_path: Path) -> None:
    write_scan(tmp_path, "x/a", 12)
    write_scan(tmp_path, "x/a/more", 12, series="2", ContrastBolusAgent="Iohexol")
    write_scan(tmp_path, "x/b", 10, series="3")
    write_scan(tmp_path, "y", 3, series="4")
    write_slice(tmp_path, "top.dcm")
    write_table(
        tmp_path, row("x/a/", "one", "subdural", split="train"), row("x/b", "two"), row("z", "two")
    )
    index = read_set(tmp_path)
    assert (index.label_level, len(index.images)) == ("scan", 22)
    assert {(one.patient, one.any, one.split) for one in index.images} == {
        ("one", 1, "train"),
        ("two", 0, None),
    }
    assert [one.source for one in index.images[:2]] == ["x/a/1-0.dcm", "x/a/1-1.dcm"]
    assert kinds(index) == [
        ("contrast_series", f"x/a/more ({UID_ROOT}8.2)"),
        ("image_without_label", "."),
        ("image_without_label", "y"),
        ("label_without_image", "z"),
    ]


def test_a_labelled_folder_without_a_usable_series_is_said_once(tmp_path: Path) -> None:
    write_scan(tmp_path, "a", 12)
    write_scan(tmp_path, "b", 4, series="2")
    write_table(tmp_path, row("a"), row("b", "q"))
    index = read_set(tmp_path)
    assert {one.patient for one in index.images} == {"p"}
    assert ("no_usable_series", "b") in kinds(index)
    assert "label_without_image" not in {one.kind for one in index.findings}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row("a"), row("one.dcm")],
            r"labels of slices and .*file one\.dcm, folder a; expected",
        ),
        ([row("a"), row("a/b")], r"labels folder a and folder a/b inside of it"),
        ([row("."), row("a/b")], r"labels folder \. and folder a/b inside of it"),
        ([row("a", image="i")], r"a is a folder, so it cannot have an image name"),
        ([row("a", lesion_row=1, lesion_column=1)], r"a is a folder"),
        (
            [row("one.dcm", split="val")],
            r"line 2 names an unknown split, 'val'; expected one of train",
        ),
        ([row("one.dcm", lesion_row=1)], r"line 2 gives no lesion position"),
        ([row("one.dcm", lesion_row="x", lesion_column=1)], r"line 2 gives no lesion position"),
        (
            [row("one.dcm", lesion_row=32, lesion_column=1)],
            r"lesion of one\.dcm lies outside the image; found row 32, column 1; expected within",
        ),
        ([row("none.dcm")], r"no labelled image"),
    ],
)
def test_tables_that_make_no_sense_are_refused(
    rows: list[dict[str, object]], message: str, tmp_path: Path
) -> None:
    write_slice(tmp_path, "one.dcm")
    write_scan(tmp_path, "a/b", 10)
    write_table(tmp_path, *rows)
    with pytest.raises(InputError, match=message):
        read_set(tmp_path)


def test_the_table_is_labels_csv_or_the_only_one(tmp_path: Path) -> None:
    write_slice(tmp_path, "1.dcm")
    with pytest.raises(InputError, match=r"no label table.*no \*\.csv"):
        read_set(tmp_path)
    mine = write_table(tmp_path, row("1.dcm", "mine"), name="mine.csv")
    assert read_set(tmp_path).images[0].patient == "mine"
    assert read_set(tmp_path).findings == ()
    write_table(tmp_path, row("1.dcm", "second"), name="other.csv")
    with pytest.raises(InputError, match=r"found mine\.csv, other\.csv"):
        read_set(tmp_path)
    write_table(tmp_path, row("1.dcm", "third"))
    index = read_set(tmp_path)
    assert index.images[0].patient == "third"
    assert kinds(index) == [("not_an_image", "mine.csv"), ("not_an_image", "other.csv")]
    mine.write_text("path,patient\n")
    (tmp_path / "labels.csv").write_text("path,patient\n")
    with pytest.raises(
        InputError, match=r"labels\.csv is not a label table: .* no column epidural"
    ):
        read_set(tmp_path)


def test_faulty_rows_are_findings(tmp_path: Path) -> None:
    for n in range(1, 9):
        write_slice(tmp_path, f"{n}.dcm")
    (tmp_path / "text.dcm").write_text("no image")
    write_table(
        tmp_path,
        row("1.dcm"), row("1.dcm"), row("./1.dcm"),
        row("2.dcm"), row("2.dcm", "p", "subdural"),
        row("3.dcm"), row("3.dcm", "somebody else"),
        row("4.dcm", epidural=""),
        row("5.dcm", ""), row("5.dcm", "NaN"),
        row("../6.dcm"), row("/etc/passwd"), row("a/../../6.dcm"), row("C:\\6.dcm"), row("", "p"),
        row("text.dcm"), row("gone.dcm"),
        row("8.dcm", subdural=2),
    )  # fmt: skip
    index = read_set(tmp_path)
    assert [one.source for one in index.images] == ["1.dcm"]
    assert kinds(index) == [
        ("conflicting_labels", "2.dcm"),
        ("conflicting_labels", "3.dcm"),
        ("duplicate_label_rows", "1.dcm"),
        ("duplicate_label_rows", "1.dcm"),
        ("image_without_label", "6.dcm"),
        ("image_without_label", "7.dcm"),
        ("incomplete_labels", "4.dcm"),
        ("incomplete_labels", "8.dcm"),
        ("label_without_image", "gone.dcm"),
        ("missing_patient", "5.dcm"),
        ("missing_patient", "5.dcm"),
        ("not_an_image", "text.dcm"),
        *(("path_outside_root", f"labels.csv line {n}") for n in (12, 13, 14, 15, 16)),
    ]


def test_faulty_files_are_said_once(tmp_path: Path) -> None:
    write_slice(tmp_path, "good.dcm")
    short = write_slice(tmp_path, "short.dcm")
    short.write_bytes(short.read_bytes()[:-100])
    write_slice(tmp_path, "new\nline.dcm")
    write_table(tmp_path, row("good.dcm"), row("short.dcm"), row("new\nline.dcm"))
    index = read_set(tmp_path)
    assert [one.source for one in index.images] == ["good.dcm", "new\nline.dcm"]
    assert kinds(index) == [
        ("short_pixel_data", "short.dcm"),
        ("unusual_file_name", "new\nline.dcm"),
    ]


def test_a_name_that_two_images_claim_is_neithers(tmp_path: Path) -> None:
    for n in range(3):
        write_slice(tmp_path, f"{n}.dcm")
    write_table(tmp_path, *(row(f"{n}.dcm", image="same" if n else "own") for n in range(3)))
    index = read_set(tmp_path)
    assert [one.image for one in index.images] == ["own"]
    assert kinds(index) == [("duplicate_image_name", "1.dcm"), ("duplicate_image_name", "2.dcm")]


def test_a_patient_in_two_given_splits_trains(tmp_path: Path) -> None:
    given_splits = {"1": "test", "2": "train", "3": "", "4": "test", "5": "", "6": ""}
    for n in given_splits:
        write_slice(tmp_path, f"{n}.dcm")
    patients = dict(zip(given_splits, ("p", "p", "p", "q", "q", "r"), strict=True))
    write_table(
        tmp_path, *(row(f"{n}.dcm", patients[n], split=split) for n, split in given_splits.items())
    )
    index = read_set(tmp_path)
    assert [one.split for one in index.images] == ["train"] * 3 + ["test"] * 2 + [None]
    assert index.findings == (Finding("patient_in_two_splits", "p", "test, train"),)
    assert index.findings[0].action == "noted"


@given(
    st.lists(
        st.tuples(st.sampled_from("pqr"), st.sampled_from(["train", "validation", "test", None]))
    )
)
def test_no_patient_is_on_two_sides(given_splits: list[tuple[str, str | None]]) -> None:
    images = [
        StoreRow(str(n), patient, "s", "t", None, (0,) * 5, split=split)
        for n, (patient, split) in enumerate(given_splits)
    ]
    settled, findings = settle_splits(images)
    sides: dict[str, set[str | None]] = {}
    for one in settled:
        sides.setdefault(one.patient, set()).add(one.split)
    assert all(len(side) == 1 for side in sides.values())
    torn = {p for p in sides if len({s for q, s in given_splits if q == p} - {None}) > 1}
    assert {one.item for one in findings} == torn
    assert all(sides[patient] == {"train"} for patient in torn)
    kept = [one for one in settled if one.patient not in torn]
    assert all(s in (None, one.split) for one, (_, s) in _paired(kept, images, given_splits))


def _paired(
    kept: list[StoreRow], images: list[StoreRow], said: list[tuple[str, str | None]]
) -> list[tuple[StoreRow, tuple[str, str | None]]]:
    by_name = {one.image: pair for one, pair in zip(images, said, strict=True)}
    return [(one, by_name[one.image]) for one in kept]


@given(st.text(alphabet="ab./\\:", max_size=12))
def test_a_path_never_leaves_the_folder(cell: str) -> None:
    path = path_within(cell)
    if path is not None:
        inside = Path("/root-of-the-set")
        assert (inside / path).resolve().is_relative_to(inside)
        assert not path.startswith(("/", "./"))


def small_subject(side: int = 128, slices: int = 12) -> Subject:
    """A scanned subject that is air, with a square of blood in every second slice."""
    hu = np.full((slices, side, side), -1000, np.int16)
    labels = np.zeros((slices, len(NAMES)), np.uint8)
    lesion = np.full((slices, 2), np.nan, np.float32)
    for k in range(0, slices, 2):
        hu[k, 20 + k : 25 + k, 90:95] = 70
        labels[k, k % len(NAMES)] = 1
        lesion[k] = (22 + k, 92)
    view = draw_view(np.random.default_rng(0), side)
    positions = (view.first_mm + view.spacing_mm * np.arange(slices)).astype(np.float32)
    cells = np.zeros((slices, 32, 32), np.uint8)
    return Subject(3, hu, labels, lesion, cells, positions, view, BleedPlan())


def test_what_ichlite_phantom_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = small_subject()
    monkeypatch.setattr(studies, "subjects_of", lambda *_: iter([subject]))
    root = tmp_path / "phantoms"
    studies.write_studies(root, Order(1, 5))
    index = read_phantom(root, lambda *_: None)
    assert (index.kind, index.label_level, index.findings) == ("phantom", "slice", ())
    assert [one.labels for one in index.images] == [tuple(v) for v in subject.labels.tolist()]
    assert [one.any for one in index.images] == subject.labels.max(1).tolist()
    assert {one.patient for one in index.images} == {patient_name(5, 3)}
    assert {one.split for one in index.images} == {split_of(5, 3)}
    positions = [one.position_mm for one in index.images]
    assert positions == pytest.approx(subject.position_mm.tolist(), abs=2e-3)
    assert len({one.image for one in index.images}) == len(subject.hu)
    for k, one in enumerate(index.images):
        if k % 2:
            assert one.lesion is None
            continue
        header = read_header(str(root / one.source))
        assert isinstance(header, SliceHeader)
        blood = np.argwhere(read_slice(header)[0] == 70)
        assert one.lesion == pytest.approx(blood.mean(axis=0).tolist())


def test_a_plain_table_is_no_phantom(tmp_path: Path) -> None:
    write_slice(tmp_path, "1.dcm")
    write_table(tmp_path, row("1.dcm"))
    with pytest.raises(InputError, match="no column file"):
        read_phantom(tmp_path, lambda *_: None)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"labels\.csv cannot be read"):
        read_phantom(tmp_path, lambda *_: None)
