"""CQ500: majority of three readers, one plain series a scan, everything else said."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dicom_files import UID_ROOT, write_ct_slice

from ichlite.data.audit import Finding
from ichlite.data.readers.cq500 import READERS, SIGNS, TABLE, read, read_majorities
from ichlite.data.readers.index import Index
from ichlite.errors import InputError
from ichlite.labels import NAMES

OTHERS = (
    "BleedLocation-Left", "BleedLocation-Right", "ChronicBleed", "Fracture", "CalvarialFracture",
    "OtherFracture", "MassEffect", "MidlineShift",
)  # fmt: skip
IN_FILE = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")
HEADER = ["name", "Category", *(f"{r}:{sign}" for r in READERS for sign in (*IN_FILE, *OTHERS))]


def reads(name: str, *votes: str) -> str:
    """A line of reads.csv: `votes` are the signs that each reader sees, as `ICH SDH`."""
    cells = [name, "B1"]
    for seen in (*votes, "", "", "")[:3]:
        cells += [str(int(sign in seen.split())) for sign in (*IN_FILE, *OTHERS)]
    return ",".join(cells)


def write_reads(root: Path, *lines: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    table = root / TABLE
    table.write_bytes(("\ufeff" + "\r\n".join([",".join(HEADER), *lines, ""])).encode())
    return table


def write_series(
    root: Path, scan: int, name: str, n: int = 10, *, top: str = "", **overrides: object
) -> Path:
    """A series as unzipping CQ500 gives it; returns its folder."""
    folder = root / top / f"CQ500CT{scan} CQ500CT{scan}" / "Unknown Study" / name
    number = sum(map(ord, name))
    for k in range(n):
        elements: dict[str, object] = {
            "PatientID": f"CQ500CT{scan}",
            "StudyInstanceUID": f"{UID_ROOT}{scan + 1}",
            "SeriesInstanceUID": f"{UID_ROOT}{scan + 1}.{number}",
            "SOPInstanceUID": f"{UID_ROOT}{scan + 1}.{number}.{k + 1}",
            "ImagePositionPatient": [-120.0, -120.0, 5.0 * k],
            "SeriesDescription": name.removeprefix("CT "),
        }
        pixels = np.zeros((16, 16), np.int16)
        write_ct_slice(folder / f"CT{k:06d}.dcm", pixels, **(elements | overrides))
    return folder


def read_set(root: Path) -> Index:
    return read(root, lambda *_: None)


def of_kind(index: Index, kind: str) -> list[Finding]:
    return [one for one in index.findings if one.kind == kind]


def test_one_plain_series_a_scan_with_the_majority(tmp_path: Path) -> None:
    write_series(tmp_path, 0, "CT Plain", 12)
    write_series(tmp_path, 0, "CT POST CONTRAST", 12)
    write_series(tmp_path, 0, "CT PLAIN THIN", 14, SliceThickness="0.6")
    write_series(tmp_path, 21, "CT 5mm", 10)
    write_reads(
        tmp_path,
        reads("CQ500-CT-0", "ICH SDH", "ICH SDH EDH", "ICH EDH SAH"),
        reads("CQ500-CT-21", "ICH IPH"),
    )
    index = read_set(tmp_path)
    assert (index.kind, index.label_level, len(index.images)) == ("cq500", "scan", 22)
    first, second = index.images[:12], index.images[12:]
    assert {one.patient for one in first} == {"CQ500-CT-0"}
    assert {one.labels for one in first} == {(1, 0, 0, 0, 1)}
    assert {one.any for one in first} == {1}
    assert [one.position_mm for one in first] == [5.0 * k for k in range(12)]
    assert first[0].source == "CQ500CT0 CQ500CT0/Unknown Study/CT Plain/CT000000.dcm"
    assert {(one.patient, one.any, one.labels) for one in second} == {("CQ500-CT-21", 0, (0,) * 5)}
    kinds = sorted((one.kind, one.item.split(" (")[0].rpartition("/")[2]) for one in index.findings)
    assert kinds == [
        ("contrast_series", "CT POST CONTRAST"),
        ("series_not_chosen", "CT PLAIN THIN"),
    ]


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=3, max_size=3))
def test_two_of_three_decide_each_sign(votes: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = [
            " ".join(sign for sign, vote in zip(IN_FILE, reader, strict=True) if vote)
            for reader in votes
        ]
        labels, _ = read_majorities(write_reads(Path(folder), reads("CQ500-CT-7", *seen)))
    counts = dict(zip(IN_FILE, np.sum(votes, axis=0), strict=True))
    assert labels == {"CQ500-CT-7": tuple(int(counts[sign] >= 2) for sign in SIGNS)}


def test_signs_stand_for_our_names() -> None:
    ours = dict(zip(("any", *NAMES), SIGNS, strict=True))
    assert ours == {
        "any": "ICH", "epidural": "EDH", "intraparenchymal": "IPH", "intraventricular": "IVH",
        "subarachnoid": "SAH", "subdural": "SDH",
    }  # fmt: skip


@pytest.mark.parametrize("top", ["CQ500", "qct01/CQ500CT3", "a/b/c"])
def test_layouts_that_unzipping_gives(top: str, tmp_path: Path) -> None:
    write_series(tmp_path, 3, "CT Plain", top=top)
    write_reads(tmp_path, reads("CQ500-CT-3", "ICH SAH", "ICH SAH"))
    index = read_set(tmp_path)
    assert len(index.images) == 10
    assert {(one.patient, one.labels) for one in index.images} == {("CQ500-CT-3", (0, 0, 0, 1, 0))}
    assert index.images[0].source.startswith(f"{top}/CQ500CT3 CQ500CT3/")


def test_numbers_are_not_cut_short(tmp_path: Path) -> None:
    write_series(tmp_path, 49, "CT Plain")
    write_series(tmp_path, 4, "CT Plain")
    write_reads(tmp_path, reads("CQ500-CT-4", "ICH", "ICH"), reads("CQ500-CT-49"))
    index = read_set(tmp_path)
    assert {(one.patient, one.any) for one in index.images} == {
        ("CQ500-CT-4", 1),
        ("CQ500-CT-49", 0),
    }


def test_scans_and_labels_without_each_other(tmp_path: Path) -> None:
    write_series(tmp_path, 1, "CT Plain")
    write_series(tmp_path, 2, "CT Plain")
    write_ct_slice(tmp_path / "elsewhere" / "x.dcm", np.zeros((16, 16), np.int16))
    write_reads(tmp_path, reads("CQ500-CT-1"), reads("CQ500-CT-5"))
    index = read_set(tmp_path)
    assert {one.patient for one in index.images} == {"CQ500-CT-1"}
    assert [(one.kind, one.item, one.detail) for one in index.findings] == [
        ("image_without_label", "elsewhere/x.dcm", "in no folder named CQ500CT…"),
        ("image_without_label", "CQ500-CT-2", "10 images, no line in reads.csv"),
        ("label_without_image", "CQ500-CT-5", ""),
    ]


def test_faults_of_the_table(tmp_path: Path) -> None:
    for scan in range(1, 6):
        write_series(tmp_path, scan, "CT Plain")
    write_reads(
        tmp_path,
        reads("CQ500-CT-1", "ICH", "ICH"), reads("CQ500-CT-1", "ICH", "ICH"),
        reads("CQ500-CT-2"), reads("CQ500-CT-2", "SDH", "SDH"),
        reads("CQ500-CT-3").replace(",0,", ",,", 1),
        reads("CQ500-CT-4", "EDH", "EDH"),
        reads("somebody"), "," * (len(HEADER) - 1),
        reads("CQ500CT005", "SDH"), reads("CQ500-CT-5", "", "SDH"),
    )  # fmt: skip
    index = read_set(tmp_path)
    assert {one.patient for one in index.images} == {"CQ500-CT-1", "CQ500-CT-4", "CQ500-CT-5"}
    said = [(one.kind, one.item) for one in index.findings]
    assert sorted(said) == [
        ("any_disagrees", "CQ500-CT-1"),  # ICH without a subtype, as the readers may
        ("any_disagrees", "CQ500-CT-4"),
        ("conflicting_labels", "CQ500-CT-2"),
        ("duplicate_label_rows", "CQ500-CT-1"),
        ("duplicate_label_rows", "CQ500-CT-5"),
        ("incomplete_labels", "CQ500-CT-3"),
        ("missing_patient", "reads.csv line 8"),
    ]
    assert {(one.patient, one.any, max(one.labels)) for one in index.images} == {
        ("CQ500-CT-1", 1, 0), ("CQ500-CT-4", 0, 1), ("CQ500-CT-5", 0, 0),
    }  # fmt: skip


def test_a_scan_of_contrast_alone_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, 1, "CT Plain")
    write_series(tmp_path, 2, "CT C")
    write_series(tmp_path, 3, "CT Plain", ContrastBolusAgent="Iohexol")
    write_series(tmp_path, 4, "CT Plain", 5)
    write_reads(tmp_path, *(reads(f"CQ500-CT-{n}") for n in range(1, 5)))
    index = read_set(tmp_path)
    assert {one.patient for one in index.images} == {"CQ500-CT-1"}
    lost = [one.item for one in of_kind(index, "no_usable_series")]
    assert lost == ["CQ500-CT-2", "CQ500-CT-3", "CQ500-CT-4"]
    assert len(of_kind(index, "contrast_series")) == 2
    assert of_kind(index, "label_without_image") == []


def test_faulty_files_are_findings_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = write_series(tmp_path, 1, "CT Plain", 12)
    short = folder / "CT000003.dcm"
    short.write_bytes(short.read_bytes()[:-100])
    (folder / "CT000004.dcm").rename(folder / "CT0000\n04.dcm")
    (folder / "Thumbs.db").write_bytes(b"x" * 300)
    write_reads(tmp_path, reads("CQ500-CT-1"))
    index = read_set(tmp_path)
    assert len(index.images) == 11
    assert sorted((one.kind, one.item.rpartition("/")[2]) for one in index.findings) == [
        ("not_an_image", "Thumbs.db"),
        ("short_pixel_data", "CT000003.dcm"),
        ("unusual_file_name", "CT0000\n04.dcm"),
    ]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no label table; expected reads\.csv"):
        read_set(tmp_path)
    (tmp_path / TABLE).write_text("name,R1:ICH\nCQ500-CT-0,1\n")
    with pytest.raises(InputError, match=r"not a table of CQ500's reads: it has no column R1:EDH"):
        read_set(tmp_path)
    write_reads(tmp_path, reads("CQ500-CT-0"))
    with pytest.raises(InputError, match=r"no labelled image.*CQ500CT0 CQ500CT0/Unknown Study"):
        read_set(tmp_path)
