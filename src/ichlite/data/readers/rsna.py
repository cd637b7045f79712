"""Read RSNA 2019 in Kaggle's layout: `stage_2_train.csv`, `stage_2_train_images/`.

The table has one line for each image and class, `ID_<image>_<class>,<0 or 1>`; some lines stand
there twice. Files are named like the images. A patient may have several studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import Found, walk
from ichlite.data.readers.index import Index, Progress, assemble
from ichlite.data.readers.label_table import binary, check_any, find_table, read_rows
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError
from ichlite.labels import CLASSES

HEADER = ["ID", "Label"]
TABLE = "stage_2_train.csv"
IMAGES = "stage_2_train_images"
TEST_IMAGES = "stage_2_test_images"

_PLACE = {name: place for place, name in enumerate(CLASSES)}
_ALL_SEEN = (1 << len(CLASSES)) - 1


@dataclass(frozen=True, slots=True)
class RsnaLabels:
    """Labels read from one RSNA 2019 label file.

    Attributes:
        labels: Labels of each image, such as `ID_000259ccf`, 0 or 1 in the order of `CLASSES`.
        findings: Repeated lines, and images left out for contradictory or missing labels.
    """

    labels: dict[str, tuple[int, ...]]
    findings: tuple[Finding, ...]


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read a folder of the RSNA 2019 download into an index of labelled images.

    Args:
        root: Holds `stage_2_train.csv` (or `.csv.gz`) and `stage_2_train_images/`, or the images
            anywhere below; or a single folder does, as unzipping leaves it.
        progress: Called with (files done, files in all).
        engine: Applies functions to headers, in this process or in others.

    Returns:
        Every labelled image with a readable header; findings list what was left out and why.

    Raises:
        InputError: No label table, or no image that it names.
    """
    table = find_table(root, TABLE)
    labelled = read_labels(table)
    top = table.parent.relative_to(root).as_posix().removeprefix(".")
    folder, tests = (f"{top}/{one}" if top else one for one in (IMAGES, TEST_IMAGES))
    found, odd = walk(root, progress, engine, under=(folder if (root / folder).is_dir() else top,))
    findings = [one for one in odd if root / one.item != table] + list(labelled.findings)
    dropped = {_image(one.item) for one in findings if one.action == "quarantined"}
    by_name: dict[str, list[Found]] = {}
    for one in found:
        by_name.setdefault(_image(one.source), []).append(one)
    images = []
    for name, same in by_name.items():
        if name not in labelled.labels:
            if name not in dropped:
                findings += [Finding("image_without_label", one.source) for one in same]
            continue
        for one in same:
            if one.patient:
                images.append(one.labelled(name, one.patient, labelled.labels[name]))
            else:
                findings.append(Finding("missing_patient", one.source))
    findings += [
        Finding("label_without_image", name)
        for name in labelled.labels
        if name not in by_name and name not in dropped
    ]
    findings += _in_test_images(root, tests, {one.patient for one in images}, progress, engine)
    return assemble(
        "rsna", root, "slice", images, findings, f"{IMAGES}/ID_….dcm, named as in {TABLE}"
    )


def _image(source: str) -> str:
    return Path(source).stem


def _in_test_images(
    root: Path, folder: str, patients: set[str], progress: Progress, engine: Engine
) -> list[Finding]:
    """Note the unlabelled test images of the challenge, and patients whom they share."""
    if not (root / folder).is_dir():
        return []
    found, _ = walk(root, progress, engine, under=(folder,))
    detail = f"{len(found)} images; the challenge never gave their labels"
    shared = sorted(patients & {one.patient for one in found})
    return [
        Finding("image_without_label", folder, detail),
        *(
            Finding("patient_in_two_splits", p, f"also in {TEST_IMAGES}, which is not used")
            for p in shared
        ),
    ]


def read_labels(path: Path) -> RsnaLabels:
    """Read the labels of each image from an RSNA 2019 label file.

    Args:
        path: `stage_2_train.csv`, or one in its layout, gzipped or not.

    Returns:
        The labels, without the images that a finding quarantines.

    Raises:
        InputError: No such file, another header, or a line that is no label.
    """
    # Bits of the classes seen and of the classes labelled 1: 750 thousand images fit in memory.
    seen: dict[str, int] = {}
    ones: dict[str, int] = {}
    findings: list[Finding] = []
    conflicts: dict[str, str] = {}
    for number, row in read_rows(path, HEADER, kind="RSNA label file"):
        image, place, label = _parse(row, path, number)
        before = seen.get(image, 0)
        if before >> place & 1 and (ones[image] >> place & 1) != label:
            conflicts[image] = f"{CLASSES[place]}, line {number} against an earlier one"
        elif before >> place & 1:
            said = f"{CLASSES[place]}, line {number}"
            findings.append(Finding("duplicate_label_rows", image, said))
        seen[image] = before | 1 << place
        ones[image] = ones.get(image, 0) | label << place
    findings += [Finding("conflicting_labels", image, said) for image, said in conflicts.items()]
    incomplete = [image for image, bits in seen.items() if bits != _ALL_SEEN]
    findings += [Finding("incomplete_labels", image, _missing(seen[image])) for image in incomplete]
    bad = {*conflicts, *incomplete}
    labels = {
        image: tuple(bits >> place & 1 for place in range(len(CLASSES)))
        for image, bits in ones.items()
        if image not in bad
    }
    for image, six in labels.items():
        findings += check_any(image, six[1:], six[0])
    return RsnaLabels(labels, tuple(findings))


def _parse(row: dict[str, str], path: Path, number: int) -> tuple[str, int, int]:
    """Return the image, the place in `CLASSES` and the label of a row."""
    image, _, name = row["ID"].rpartition("_")
    label = binary(row["Label"])
    if not image or name not in _PLACE or label is None:
        raise InputError(
            f"{path.name} line {number} is not an RSNA label",
            found=",".join(row.values()),
            expected=f"ID_<image>_<one of {', '.join(CLASSES)}>,<0 or 1>",
        )
    return image, _PLACE[name], label


def _missing(bits: int) -> str:
    return "no " + ", ".join(name for name, place in _PLACE.items() if not bits >> place & 1)
