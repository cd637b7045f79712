"""CT-ICH as JPEG pictures: labels meet the right pictures, and what is odd is said by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ct_ich_files import head_grey, line, write_picture, write_table

from ichlite.data.audit import Finding
from ichlite.data.prepare_store import prepare_store
from ichlite.data.readers.ct_ich_jpeg import PATIENTS, TABLES, WINDOW_HU, read
from ichlite.data.readers.index import Index
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.labels import NAMES

ALWAYS = {"windowed_pictures", "nominal_positions"}
"""What is noted of every set of this release."""


def picture(root: Path, patient: int, name: str) -> Path:
    return root / PATIENTS / f"{patient:03d}" / "brain" / f"{name}.jpg"


def write_set(root: Path, *slices: tuple[int, int, Sequence[str]]) -> None:
    """A set of these (PatientNumber, SliceNumber, subtypes), each slice of its own brightness."""
    for patient, number, _ in slices:
        grey = head_grey(brain=90 + patient % 10 * 10 + number)
        write_picture(picture(root, patient, str(number)), grey)
    write_table(root / TABLES[0], *(line(p, n, *subtypes) for p, n, subtypes in slices))


def read_set(root: Path) -> Index:
    return read(root, lambda *_: None)


def odd(index: Index) -> list[Finding]:
    """What is noted beside what is noted of every set."""
    return [one for one in index.findings if one.kind not in ALWAYS]


def said(index: Index) -> list[tuple[str, str]]:
    return sorted((one.kind, one.item) for one in odd(index))


def test_labels_meet_their_pictures_from_feet_to_head(tmp_path: Path) -> None:
    slices = [(50, number, ()) for number in range(1, 11)]
    write_set(tmp_path, *slices, (51, 1, ("Epidural", "Subdural")), (51, 2, ("Intraventricular",)))
    steps: list[tuple[int, int]] = []
    index = read(tmp_path, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    assert (index.kind, index.label_level, index.hu_range) == ("ct-ich", "slice", WINDOW_HU)
    assert {one.kind for one in index.findings} == ALWAYS
    assert [one.image for one in index.images[:10]] == [f"050-{n:03d}" for n in range(1, 11)]
    assert [one.position_mm for one in index.images[:10]] == [5.0 * n for n in range(1, 11)]
    assert index.images[9].source == "Patients_CT/050/brain/10.jpg#hu=-20:100"
    bleeds = [{n for n, label in zip(NAMES, one.labels, strict=True) if label}
              for one in index.images[10:]]  # fmt: skip
    assert bleeds == [{"epidural", "subdural"}, {"intraventricular"}]
    assert [one.any for one in index.images] == [0] * 10 + [1, 1]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("below", ["", "computed-tomography-images-1.0.0"])
def test_either_table_and_the_folder_of_unzipping_will_do(
    table: str, below: str, tmp_path: Path
) -> None:
    write_picture(picture(tmp_path / below, 50, "1"), head_grey())
    write_table(tmp_path / below / table, line(50, 1), mark="")
    assert [one.image for one in read_set(tmp_path).images] == ["050-001"]


def test_a_store_says_which_hu_are_known(tmp_path: Path) -> None:
    write_set(tmp_path / "set", *((50 + p, n, ("Subdural",) * (p == 1)) for p in range(3)
                                  for n in (1, 2)), (49, 1, ("Epidural",)))  # fmt: skip
    made = prepare_store("ct-ich", tmp_path / "set", tmp_path / "out")
    store = Store.open(tmp_path / "out")
    assert store.hu_range == (-20, 100)
    joined = replace(store, meta={"stores": [store.meta, {"hu_range": [0, 3000]}, {}]})
    assert joined.hu_range == (0, 100), "what all of them know"
    assert "| hu_range | -20 to 100 HU |" in (tmp_path / "out" / "audit.md").read_text()
    assert "nominal_positions: 1" in (tmp_path / "out" / "audit.md").read_text()
    assert made.description["audit"]["noted"]["unchecked_slice_labels"] == 1
    hu = np.asarray(store.hu[store.image.tolist().index("051-002")])
    assert (hu[0, 0], abs(int(hu[128, 128]) - round(102 * 120 / 255 - 20)) <= 1) == (-1000, True)
    assert store.split[store.patient == "049"].tolist() == ["unused"]
    assert sorted(set(store.split.tolist())) == ["test", "train", "unused", "validation"]
    again = prepare_store("ct-ich", tmp_path / "set", tmp_path / "out", preset="test")
    assert again.done == 0
    store = Store.open(tmp_path / "out")
    assert store.hu_range == (-20, 100)
    assert sorted(set(store.split.tolist())) == ["test", "unused"]


def test_pictures_and_rows_without_each_other(tmp_path: Path) -> None:
    write_set(tmp_path, *((50, n, ()) for n in range(1, 5)), (52, 1, ()))
    picture(tmp_path, 50, "2").unlink()
    write_picture(picture(tmp_path, 50, "9"), head_grey())
    write_picture(picture(tmp_path, 51, "1"), head_grey())
    write_table(tmp_path / TABLES[0], *(line(50, n) for n in (1, 2, 3, 4, 7)), line(53, 1))
    index = read_set(tmp_path)
    assert [one.image for one in index.images] == ["050-001", "050-003", "050-004"]
    assert said(index) == [
        ("image_without_label", "Patients_CT/050/brain/9.jpg"),
        ("image_without_label", "Patients_CT/051/brain/1.jpg"),
        ("image_without_label", "Patients_CT/052/brain/1.jpg"),
        ("label_without_image", "050-002"),
        ("label_without_image", "050-007"),
        ("label_without_image", "053"),
    ]


def test_other_files_are_named_and_left(tmp_path: Path) -> None:
    write_set(tmp_path, (50, 1, ()))
    write_picture(picture(tmp_path, 50, "01"), head_grey())
    write_picture(tmp_path / PATIENTS / "50" / "brain" / "1.jpg", head_grey())
    write_picture(tmp_path / PATIENTS / "050" / "bone" / "1.jpg", head_grey())
    picture(tmp_path, 50, "notes").write_text("")
    (tmp_path / PATIENTS / "readme.txt").write_text("")
    (tmp_path / PATIENTS / "050" / "brain" / "2.jpg").mkdir()
    index = read_set(tmp_path)
    assert [one.source for one in index.images] == ["Patients_CT/050/brain/01.jpg#hu=-20:100"]
    assert said(index) == [
        ("duplicate_image_name", "Patients_CT/050/brain/1.jpg"),
        ("duplicate_image_name", "Patients_CT/50"),
        ("not_an_image", "Patients_CT/050/brain/2.jpg"),
        ("not_an_image", "Patients_CT/050/brain/notes.jpg"),
        ("not_an_image", "Patients_CT/readme.txt"),
        ("unused_pictures", "Patients_CT/050/bone"),
    ]


def test_sizes_and_colours_are_named(tmp_path: Path) -> None:
    write_set(tmp_path, *((50, n, ()) for n in (1, 2, 3)))
    write_picture(picture(tmp_path, 50, "2"), head_grey(96, rows=128))
    write_picture(picture(tmp_path, 50, "3"), head_grey(), "RGB")
    index = read_set(tmp_path)
    assert len(index.images) == 3
    assert said(index) == [
        ("colour_picture", "Patients_CT/050/brain/3.jpg"),
        ("mixed_sizes", "050"),
        ("not_square", "Patients_CT/050/brain/2.jpg"),
    ]
    assert [one.detail for one in odd(index) if one.kind == "mixed_sizes"] == [
        "128x128 (2), 96x128 (1)"
    ]


def test_damaged_pictures_are_left_out_when_pixels_are_read(tmp_path: Path) -> None:
    write_set(tmp_path / "set", *((50, n, ()) for n in (1, 2, 3)))
    picture(tmp_path / "set", 50, "1").write_bytes(b"no picture")
    whole = picture(tmp_path / "set", 50, "2").read_bytes()
    picture(tmp_path / "set", 50, "2").write_bytes(whole[: len(whole) // 2])
    made = prepare_store("ct-ich", tmp_path / "set", tmp_path / "out")
    assert made.description["audit"]["quarantined"] == {"undecodable_pixels": 2}
    assert Store.open(tmp_path / "out").image.tolist() == ["050-003"]


def test_masks_say_where_the_largest_bleed_is_or_how_they_contradict(tmp_path: Path) -> None:
    write_set(tmp_path, (50, 1, ("Epidural",)), (50, 2, ()), (50, 3, ("Subdural",)),
              (50, 4, ("Subdural",)), (50, 5, ("Subdural",)), (50, 6, ("Epidural",)))  # fmt: skip
    mask = np.zeros((128, 128), np.uint8)
    mask[40:45, 60:71] = 255
    mask[100:103, 20] = 255  # smaller
    write_picture(picture(tmp_path, 50, "1_HGE_Seg"), mask)
    write_picture(picture(tmp_path, 50, "2_HGE_Seg"), mask)
    write_picture(picture(tmp_path, 50, "3_HGE_Seg"), 0 * mask)
    write_picture(picture(tmp_path, 50, "4_HGE_Seg"), mask[:64])
    picture(tmp_path, 50, "5_HGE_Seg").write_bytes(b"no mask")
    index = read_set(tmp_path)
    first, *others = [one.lesion for one in index.images]
    assert first == pytest.approx((42 * 2 + 0.5, 65 * 2 + 0.5), abs=2)
    assert others == [None] * 5
    assert [(one.kind, one.item, one.detail.split(";")[0]) for one in odd(index)] == [
        ("mask_disagrees", "050-002", "a bleed in the mask alone"),
        ("mask_disagrees", "050-003", "no bleed in the mask"),
        ("unusable_mask", "050-004", "the mask does not fit its picture"),
        ("unusable_mask", "050-005", "5_HGE_Seg.jpg cannot be read as a JPEG picture"),
        ("mask_disagrees", "050-006", "a bleed without a mask"),
    ]


def published(bleeds: Sequence[bool]) -> list[int]:
    """Numbers of the files as published: one is skipped after each slice that bleeds."""
    numbers, number = [], 1
    for bleed in bleeds:
        numbers.append(number)
        number += 2 if bleed else 1
    return numbers


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_numbers_that_skip_after_each_bleed_are_counted_through(bleeds: list[bool]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        root = Path(folder)
        numbers = published(bleeds)
        for number in numbers:
            write_picture(picture(root, 50, str(number)), head_grey(32))
        rows = [line(50, k + 1, *["Epidural"] * bleed) for k, bleed in enumerate(bleeds)]
        write_table(root / TABLES[0], *rows)
        index = read_set(root)
        assert [one.any for one in index.images] == bleeds
        files = [int(Path(one.source.partition("#")[0]).stem) for one in index.images]
        assert files == numbers
        renumbered = numbers != list(range(1, len(bleeds) + 1))
        assert said(index) == [("renumbered_slices", "050")] * renumbered


def test_a_skip_that_no_bleed_explains_costs_the_patient(tmp_path: Path) -> None:
    for number in (1, 3, 4):
        write_picture(picture(tmp_path, 50, str(number)), head_grey())
    write_picture(picture(tmp_path, 51, "1"), head_grey())
    rows = [line(50, 1), line(50, 2, "Epidural"), line(50, 3)]
    write_table(tmp_path / TABLES[0], *rows, line(51, 1))
    index = read_set(tmp_path)
    assert [one.image for one in index.images] == ["051-001"]
    assert said(index) == [("slice_count_mismatch", "050")]
    assert [one.detail for one in odd(index)] == ["3 pictures numbered up to 4, 3 rows"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"has no label table; expected {' or '.join(TABLES)};"):
        read_set(tmp_path)
    write_table(tmp_path / TABLES[0], line(50, 1))
    with pytest.raises(InputError, match=f"no such folder; expected one folder {PATIENTS}"):
        read_set(tmp_path)
    (tmp_path / PATIENTS / "050").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has no labelled image.*brain/1\.jpg"):
        read_set(tmp_path)
    (tmp_path / "copy" / PATIENTS).mkdir(parents=True)
    with pytest.raises(InputError, match=f"found {PATIENTS}, copy/{PATIENTS}"):
        read_set(tmp_path)


def test_the_real_pictures(shared_data: Path) -> None:
    index = read_set(shared_data / "ct-ich")
    assert len(index.images) == 2501
    assert len({one.patient for one in index.images}) == 82
    assert sum(one.any for one in index.images) == 318
    assert {one.patient for one in index.images if one.split == "unused"} == {"049"}
    assert said(index) == [("unchecked_slice_labels", "049")]
