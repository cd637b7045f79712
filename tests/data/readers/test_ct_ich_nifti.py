"""CT-ICH: labels meet the right slices, or the patient is left out with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.ct_ich_files import line, write_table
from tests.nifti_files import SPACING_MM, write_volume

from ichlite.data.audit import Finding
from ichlite.data.readers.ct_ich import TABLE, read_volumes
from ichlite.data.readers.index import Index
from ichlite.data.readers.nifti import read_nifti_slice
from ichlite.errors import InputError
from ichlite.labels import NAMES

SIDE = 64


def bright(slices: int) -> NDArray[np.int16]:
    """A volume whose slice k, from the feet, is all 10 k HU."""
    return np.repeat(np.arange(slices) * 10, SIDE * SIDE).reshape(-1, SIDE, SIDE).astype(np.int16)


def read_set(root: Path) -> Index:
    return read_volumes(root, lambda *_: None)


def of_kind(index: Index, kind: str) -> list[Finding]:
    return [one for one in index.findings if one.kind == kind]


def test_labels_meet_their_slices(tmp_path: Path) -> None:
    write_volume(tmp_path / "ct_scans" / "049.nii", bright(3))
    write_volume(tmp_path / "ct_scans" / "050.nii.gz", bright(2))
    write_table(
        tmp_path / TABLE,
        line(49, 1), line(49, 3, "Epidural", "Subdural"), line(49, 2, "Intraventricular"),
        line(50, 1), line(50, 2, "Subarachnoid"),
    )  # fmt: skip
    steps: list[tuple[int, int]] = []
    index = read_volumes(tmp_path, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    assert (index.kind, index.label_level, index.findings) == ("ct-ich", "slice", ())
    assert [(one.image, one.source) for one in index.images] == [
        ("049-001", "ct_scans/049.nii#0"),
        ("049-002", "ct_scans/049.nii#1"),
        ("049-003", "ct_scans/049.nii#2"),
        ("050-001", "ct_scans/050.nii.gz#0"),
        ("050-002", "ct_scans/050.nii.gz#1"),
    ]
    said = [
        {n for n, label in zip(NAMES, one.labels, strict=True) if label} for one in index.images
    ]
    bleeds = [set(), {"intraventricular"}, {"epidural", "subdural"}, set(), {"subarachnoid"}]
    assert said == bleeds
    assert [one.any for one in index.images] == [0, 1, 1, 0, 1]
    assert {one.patient for one in index.images} == {"049", "050"}
    positions = [one.position_mm for one in index.images[:3]]
    assert np.diff(np.array(positions)).tolist() == [SPACING_MM] * 2


def test_slice_numbers_count_along_the_file_also_from_head_to_feet(tmp_path: Path) -> None:
    volume = write_volume(tmp_path / "ct_scans" / "049.nii", bright(3), "LPI")
    write_table(tmp_path / TABLE, line(49, 1, "Epidural"), line(49, 2), line(49, 3))
    images = read_set(tmp_path).images
    assert [one.image for one in images] == ["049-003", "049-002", "049-001"]
    assert [one.any for one in images] == [0, 0, 1]
    assert images[2].source == "ct_scans/049.nii#2"
    stored_first = read_nifti_slice(volume, 2)
    assert (stored_first == 20).all()  # the first in the file is the highest


@pytest.mark.parametrize("axes", ["LPS", "RAS", "RAI", "LAS"])
def test_the_mask_says_where_the_largest_bleed_is(axes: str, tmp_path: Path) -> None:
    masks = np.zeros((3, SIDE, SIDE), np.uint8)
    masks[1, 40:45, 8:13] = 255
    masks[1, 5, 60] = 255  # smaller
    numbers = (1, 2, 3) if axes.endswith("S") else (3, 2, 1)
    write_volume(tmp_path / "ct_scans" / "049.nii", bright(3), axes)
    write_volume(tmp_path / "masks" / "049.nii.gz", masks, axes)
    write_table(
        tmp_path / TABLE,
        line(49, numbers[0]),
        line(49, numbers[1], "Subdural"),
        line(49, numbers[2]),
    )  # fmt: skip
    images = read_set(tmp_path).images
    scale = 256 / SIDE
    assert [one.lesion for one in images] == [
        None,
        ((42.5 * scale) - 0.5, (10.5 * scale) - 0.5),
        None,
    ]


def test_masks_that_contradict_or_do_not_fit_are_noted(tmp_path: Path) -> None:
    masks = np.zeros((2, SIDE, SIDE), np.uint8)
    masks[0, 30:34, 30:34] = 1
    for number in (49, 50, 51):
        write_volume(tmp_path / "ct_scans" / f"0{number}.nii", bright(2))
    write_volume(tmp_path / "masks" / "049.nii", masks)
    write_volume(tmp_path / "masks" / "050.nii", masks[:1])
    (tmp_path / "masks" / "051.nii").write_bytes(b"no volume")
    rows = [line(n, 1) + "\r\n" + line(n, 2, "Epidural") for n in (49, 50, 51)]
    write_table(tmp_path / TABLE, *rows)
    index = read_set(tmp_path)
    assert len(index.images) == 6
    assert all(one.lesion is None for one in index.images)
    assert [(one.item, one.detail) for one in of_kind(index, "mask_disagrees")] == [
        ("049-001", "a bleed in the mask alone"),
        ("049-002", "no bleed in the mask"),
    ]
    assert [one.item for one in of_kind(index, "unusable_mask")] == ["050", "051"]


@pytest.mark.parametrize(
    "numbers", [(1, 2), (1, 2, 3, 4), (2, 3, 4), (1, 2, 4), (0, 1, 2), ("NaN", 2, 3)]
)
def test_a_patient_whose_slices_are_not_the_tables_is_left_out(
    numbers: tuple[object, ...], tmp_path: Path
) -> None:
    for number in (49, 50):
        write_volume(tmp_path / "ct_scans" / f"0{number}.nii", bright(3))
    write_table(
        tmp_path / TABLE, *(line(50, n) for n in (1, 2, 3)), *(line(49, n) for n in numbers)
    )
    index = read_set(tmp_path)
    assert {one.patient for one in index.images} == {"050"}
    mismatch = of_kind(index, "slice_count_mismatch")
    assert [one.item for one in mismatch] == ["049"]
    assert mismatch[0].detail.startswith("3 slices, ")
    assert mismatch[0].action == "quarantined"


def test_faulty_rows_cost_their_slices_alone(tmp_path: Path) -> None:
    write_volume(tmp_path / "ct_scans" / "049.nii", bright(5))
    write_table(
        tmp_path / TABLE,
        line(49, 1), line(49, 1),
        line(49, 2), line(49, 2, "Subdural"),
        line(49, 3).replace(",0,", ",NaN,", 1),
        line("49.0", "4.0", "Epidural").replace(",1,0,", ",1.0,0.0,"),
        line(49, 5, "Epidural", clean=1),
        "NaN" + ",NaN" * 8, "," * 8, line("NaN", 7), line("x", 7),
    )  # fmt: skip
    index = read_set(tmp_path)
    assert [one.image for one in index.images] == ["049-001", "049-004", "049-005"]
    assert [one.any for one in index.images] == [0, 1, 1]
    assert [one.item for one in of_kind(index, "duplicate_label_rows")] == ["049-001"]
    assert [one.item for one in of_kind(index, "conflicting_labels")] == ["049-002"]
    assert [one.item for one in of_kind(index, "incomplete_labels")] == ["049-003"]
    assert [one.item for one in of_kind(index, "any_disagrees")] == ["049-005"]
    unknown = of_kind(index, "missing_patient")
    assert [one.detail for one in unknown] == ["PatientNumber 'NaN'", "PatientNumber 'x'"]
    assert len(index.findings) == 6


def test_a_bleed_without_a_subtype_is_any_bleed(tmp_path: Path) -> None:
    write_volume(tmp_path / "ct_scans" / "049.nii", bright(1))
    write_table(tmp_path / TABLE, line(49, 1, clean=0))
    index = read_set(tmp_path)
    assert (index.images[0].labels, index.images[0].any) == ((0,) * 5, 1)
    assert [one.detail for one in of_kind(index, "any_disagrees")] == ["any 1, highest subtype 0"]


def test_files_and_labels_without_each_other(tmp_path: Path) -> None:
    scans = tmp_path / "ct_scans"
    write_volume(scans / "049.nii", bright(1))
    write_volume(scans / "049.nii.gz", bright(1))
    write_volume(scans / "131.nii", bright(1))
    (scans / "050.nii").write_bytes(b"no volume")
    (scans / "notes\n.txt").write_text("")
    write_table(tmp_path / TABLE, line(49, 1), line(50, 1), line(59, 1))
    index = read_set(tmp_path)
    assert [one.source for one in index.images] == ["ct_scans/049.nii#0"]
    assert sorted((one.kind, one.item) for one in index.findings) == [
        ("duplicate_image_name", "ct_scans/049.nii.gz"),
        ("image_without_label", "ct_scans/131.nii"),
        ("label_without_image", "059"),
        ("not_an_image", "ct_scans/notes\n.txt"),
        ("undecodable_pixels", "050"),
    ]


def test_a_volume_that_does_not_say_how_it_lies_is_noted(tmp_path: Path) -> None:
    from nibabel.nifti1 import Nifti1Image

    (tmp_path / "ct_scans").mkdir()
    Nifti1Image(bright(2).transpose(2, 1, 0), None).to_filename(tmp_path / "ct_scans" / "049.nii")
    write_table(tmp_path / TABLE, line(49, 1), line(49, 2))
    index = read_set(tmp_path)
    assert len(index.images) == 2
    assert [one.item for one in of_kind(index, "unknown_orientation")] == ["049"]


def test_the_folder_that_unzipping_makes_is_looked_into(tmp_path: Path) -> None:
    top = tmp_path / "computed-tomography-images-1.3.1"
    write_volume(top / "ct_scans" / "049.nii", bright(1))
    write_table(top / TABLE, line(49, 1), mark="")
    index = read_set(tmp_path)
    assert index.root == tmp_path
    assert [one.source for one in index.images] == [f"{top.name}/ct_scans/049.nii#0"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no label table.*{TABLE}"):
        read_set(tmp_path)
    (tmp_path / TABLE).write_text("PatientNumber,SliceNumber\n")
    with pytest.raises(InputError, match="no column Epidural"):
        read_set(tmp_path)
    write_table(tmp_path / TABLE, line(49, 1))
    with pytest.raises(InputError, match=r"has no labelled image; .*expected .*ct_scans/049\.nii"):
        read_set(tmp_path)
