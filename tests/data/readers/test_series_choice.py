"""The series that stands for a scan, over the names that CQ500's folders have."""

from __future__ import annotations

import pytest

from ichlite.ct.input_check import MIN_SLICES
from ichlite.ct.wording import hints_at_contrast
from ichlite.data.readers.dicom_folder import Found
from ichlite.data.readers.series_choice import choose_series

CONTRAST = [
    "CT POST CONTRAST", "CT POST CONTRAST-4", "CT 5mm POST CONTRAST", "CT 55mm Contrast",
    "CT Thin Contrast", "CT CONTRAST-2", "CT C", "CT C-2", "CT C THIN", "CT C THIN-2",
    "CT CECT THIN", "CT ORAL IV", "CT ORAL IV-3", "CT 4cc sec 150cc D3D on-2", "CT 1.25 MMC",
    "CTA HEAD", "CT ANGIO", "HEAD C+",
]  # fmt: skip
PLAIN = [
    "CT Plain", "CT PLAIN THIN-2", "CT 5mm", "CT 55mm Plain-2", "CT 2.55mm-4", "CT 5 MM",
    "CT 3.753.75mm Plain",
    "CT PRE CONTRAST THIN", "CT PRE CONTRAST 5MM STD", "CT 5 MM PRE CONTRAST-2", "CT 0.625mm-2",
    "CT I To S", "CT Thin Stnd", "CT SOFT THIN", "CT BRAIN PLAIN", "CT HELICAL-2", "CT 1.25",
    "CT 1.25mm std", "NON-CONTRAST HEAD", "Head without contrast", "CCT", "NCCT", "HEAD C-",
]  # fmt: skip
SHARP_OR_DERIVED = [
    "CT BONE", "CT PRE CONTRAST BONE", "CT LT THIN BONE", "CT THIN BONE PNS 55", "CT HRCT",
    "CT 0.625 MM HI RES", "CT Axial 0.625 HiResVS40", "CT 0.625mm DMPR on HiRes VS40",
    "CT Thin Details", "CT 3D CT HEADORBIT", "CT DE THIN", "CT Scout", "CT SAG", "CT MIP",
]  # fmt: skip


def series(
    name: str,
    n: int = 30,
    *,
    thick: float | None = 5.0,
    description: str | None = None,
    agent: str | None = None,
    placed: bool = True,
    spacing: float = 5.0,
) -> list[Found]:
    return [
        Found(
            f"a/{name}/{k:03d}.dcm", "p", "study", f"uid {name}", f"{name} {k}",
            spacing * k if placed else None, description, agent, thick,
        )
        for k in range(n)
    ]  # fmt: skip


def chosen_name(*of: list[Found]) -> str | None:
    images, _ = choose_series("scan", [one for images in of for one in images], folder_named=True)
    names = {one.source.split("/")[1] for one in images}
    assert len(names) <= 1
    return names.pop() if names else None


@pytest.mark.parametrize("name", CONTRAST)
def test_contrast_is_known_by_its_name(name: str) -> None:
    assert hints_at_contrast(name)
    images, findings = choose_series("scan", series(name), folder_named=True)
    assert images == ()
    assert [one.kind for one in findings] == ["contrast_series", "no_usable_series"]
    assert findings[0].item == f"a/{name} (uid {name})"


@pytest.mark.parametrize("name", PLAIN)
def test_plain_series_are_not_taken_for_contrast(name: str) -> None:
    assert not hints_at_contrast(name)
    assert chosen_name(series(name), series("CT POST CONTRAST", 60)) == name


@pytest.mark.parametrize("name", SHARP_OR_DERIVED)
def test_sharp_and_derived_images_are_left_out_by_name(name: str) -> None:
    assert chosen_name(series(name, 60), series("CT Plain", thick=1.0)) == "CT Plain"
    assert chosen_name(series(name)) is None


def test_the_header_also_says_contrast() -> None:
    plain = series("CT Plain", thick=0.6)
    assert chosen_name(series("CT 5mm", agent="OMNIPAQUE 350"), plain) == "CT Plain"
    assert chosen_name(series("CT 5mm", description="POST CONTRAST"), plain) == "CT Plain"
    assert chosen_name(series("CT 5mm", agent="NONE"), plain) == "CT 5mm"
    one_slice = series("CT 5mm", 29) + series("CT 5mm", 30, agent="CONTRAST")[29:]
    assert chosen_name(one_slice, plain) == "CT Plain"


def test_five_millimetres_first_then_the_nearest() -> None:
    thin, three, five = (
        series("CT Thin Plain", 250, thick=0.625),
        series("CT Plain 3mm", 50, thick=3.0),
        series("CT Plain", 30, thick=4.8),
    )
    assert chosen_name(thin, three, five) == "CT Plain"
    assert chosen_name(thin, three) == "CT Plain 3mm"
    assert chosen_name(thin, series("CT POST CONTRAST")) == "CT Thin Plain"
    unsaid = series("CT 5mm", thick=None, spacing=5.0)
    assert chosen_name(thin, three, unsaid) == "CT 5mm"


def test_ties_go_to_the_most_slices_then_to_the_first_name() -> None:
    assert chosen_name(series("CT 5mm", 12), series("CT 5mm-2", 28)) == "CT 5mm-2"
    assert chosen_name(series("CT Plain-2"), series("CT Plain")) == "CT Plain"


def test_few_slices_are_no_scan_and_unknown_places_come_last() -> None:
    assert chosen_name(series("CT Plain", MIN_SLICES - 1)) is None
    assert chosen_name(series("CT Plain", MIN_SLICES)) == "CT Plain"
    lost = series("CT 5mm", placed=False)
    assert chosen_name(lost, series("CT Thin Plain", thick=0.6)) == "CT Thin Plain"
    assert chosen_name(lost) == "CT 5mm"


def test_what_was_left_out_is_said() -> None:
    images = series("CT Plain") + series("CT BONE") + series("CT Thin Plain", thick=1.0)
    _, findings = choose_series("scan", images, folder_named=True)
    assert [(one.kind, one.item, one.detail) for one in findings] == [
        ("series_not_chosen", "a/CT BONE (uid CT BONE)", "a sharp kernel, named CT BONE"),
        ("series_not_chosen", "a/CT Thin Plain (uid CT Thin Plain)", "a/CT Plain was chosen"),
    ]


def test_folder_names_count_only_where_they_name_series() -> None:
    images = series("C", description="Head 5 mm")
    assert choose_series("scan", images)[0] == tuple(images)
    assert choose_series("scan", images, folder_named=True)[0] == ()


def test_the_order_of_the_files_does_not_matter() -> None:
    images = series("CT Plain") + series("CT 5mm") + series("CT C")
    forth, back = choose_series("scan", images)[0], choose_series("scan", images[::-1])[0]
    assert sorted(one.source for one in forth) == sorted(one.source for one in back)
