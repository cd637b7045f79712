"""Find duplicates in a data set, count all findings about it, and write the audit report.

Every kind of fault has one name, in `KINDS`, and stands under it in the report, whatever data set
it was found in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ichlite.data.rows import CONSTANT, StoreRow
from ichlite.errors import check_name

Action = Literal["repaired", "quarantined", "noted"]
ACTIONS: Mapping[Action, str] = MappingProxyType(
    {
        "quarantined": "Left out of the store",
        "repaired": "Repaired",
        "noted": "Noted, nothing changed",
    }
)
NAMED = 20
_LISTED = 6
FINDINGS_FILE = "findings.csv"

KINDS: Mapping[str, tuple[Action, str]] = MappingProxyType(
    {
        # labels
        "duplicate_label_rows": ("repaired", "a label stands twice, both times the same"),
        "conflicting_labels": ("quarantined", "a label stands twice, and differs"),
        "incomplete_labels": ("quarantined", "a label is missing or is not 0 or 1"),
        "any_disagrees": ("noted", "`any` and the subtypes contradict each other"),
        "image_without_label": ("noted", "a file that the label table does not name"),
        "label_without_image": ("noted", "a label whose file is not there"),
        "missing_patient": ("quarantined", "it is not known whose image it is"),
        "patient_in_two_splits": ("noted", "one patient in two given splits; `given` takes train"),
        "series_of_several_patients": ("noted", "one series under several patients"),
        "path_outside_root": ("quarantined", "a label whose path leaves the folder"),
        "mask_disagrees": ("noted", "the bleed mask and the labels contradict each other"),
        "unchecked_slice_labels": ("noted", "labels that may stand on another slice; unused"),
        "renumbered_slices": ("repaired", "slice numbers that skip one after each bleed"),
        # files and headers
        "not_an_image": ("noted", "a file that holds no CT image"),
        "unusual_file_name": ("noted", "a control character in a file name"),
        "duplicate_image_name": ("quarantined", "two files claim one image name"),
        "unreadable_header": ("quarantined", "a damaged header"),
        "missing_rescale": ("quarantined", "no RescaleSlope or RescaleIntercept: HU not known"),
        "signed_12_bit": ("quarantined", "12-bit signed with intercept 0: HU not known"),
        "repeated_position": ("noted", "several slices of a series at one position"),
        "unknown_position": ("noted", "a slice whose position is not known"),
        "contrast_series": ("noted", "a series with contrast agent, left out by the rule"),
        "series_not_chosen": ("noted", "another series of the study was chosen by the rule"),
        "no_usable_series": ("quarantined", "a study without a series that the rule allows"),
        "slice_count_mismatch": ("quarantined", "labels and volume count different slices"),
        "unknown_orientation": ("noted", "a volume that does not say how it lies"),
        "unusable_mask": ("noted", "a bleed mask that is damaged or does not fit its volume"),
        "nominal_positions": ("noted", "positions from slice numbers and the nominal spacing"),
        # pixels
        "short_pixel_data": ("quarantined", "fewer pixel bytes than rows x columns need"),
        "undecodable_pixels": ("quarantined", "pixels that cannot be read or decoded"),
        "twelve_bit_offset": ("repaired", "12-bit values stored 1000 too low and wrapped"),
        "padding_in_tissue": ("noted", "PixelPaddingValue lies among tissue; such pixels are air"),
        "windowed_pictures": ("noted", "pictures of one CT window, HU beyond it filled in"),
        "unused_pictures": ("noted", "pictures of another window, which are not read"),
        "mixed_sizes": ("noted", "pictures of one scan that differ in size: scale not known"),
        "not_square": ("noted", "a picture that is not square; padded with air"),
        "colour_picture": ("noted", "a picture in colours, of which the luminance is taken"),
        "lossy_pixels": ("noted", "pixels went through lossy compression"),
        "duplicate_pixels": ("noted", "the same pixels in several images of one patient"),
        "duplicate_pixels_across_patients": ("noted", "the same pixels under several patients"),
        "duplicate_pixels_other_labels": ("noted", "the same pixels with different labels"),
    }
)
"""Action taken on each kind of fault, and a description of the fault, by the kind's name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault found in a data set.

    Attributes:
        kind: Kind of fault, a key of `KINDS`.
        item: Name of the file, image, series or patient concerned.
        detail: One line of detail, or empty.

    Raises:
        UnknownName: The kind is not in `KINDS`.

    Example:
        >>> Finding("signed_12_bit", "ID_1.dcm").action
        'quarantined'
    """

    kind: str
    item: str
    detail: str = ""

    def __post_init__(self) -> None:
        check_name("finding", self.kind, KINDS)

    @property
    def action(self) -> Action:
        """Action that is taken on this kind of fault."""
        return KINDS[self.kind][0]


def counts_by_action(findings: Iterable[Finding]) -> dict[str, dict[str, int]]:
    """Count findings by action and kind; all actions are listed, but only kinds that occurred.

    Example:
        >>> counts_by_action([Finding("signed_12_bit", "a")])["quarantined"]
        {'signed_12_bit': 1}
    """
    kinds = Counter(finding.kind for finding in findings)
    counts: dict[str, dict[str, int]] = {str(action): {} for action in ACTIONS}
    for kind in KINDS:
        if kinds[kind]:
            counts[KINDS[kind][0]][kind] = kinds[kind]
    return counts


def find_duplicates(rows: Sequence[StoreRow], pixels: Sequence[str]) -> list[Finding]:
    """Return one finding for each group of slices with identical pixels, except constant slices.

    Args:
        rows: Rows of the slices.
        pixels: `rows.pixel_sha256` of each slice, in the same order.

    Example:
        >>> row = StoreRow("a", "p", "s", "t", None, (0,) * 5, None, "train")
        >>> [found.item for found in find_duplicates([row, row], ["x", "x"])]
        ['a']
    """
    groups: dict[str, list[StoreRow]] = defaultdict(list)
    for row, pixel in zip(rows, pixels, strict=True):
        if not pixel.startswith(CONSTANT):
            groups[pixel].append(row)
    findings = []
    for same in groups.values():
        if len(same) == 1:
            continue
        names = ", ".join(row.image for row in same[1 : 1 + _LISTED])
        more = f" and {len(same) - 1 - _LISTED} more" if len(same) - 1 > _LISTED else ""
        across = len({row.patient for row in same}) > 1
        kind = "duplicate_pixels_across_patients" if across else "duplicate_pixels"
        findings.append(Finding(kind, same[0].image, f"same pixels: {names}{more}"))
        if len({(row.labels, row.any) for row in same}) > 1:
            said = f"other labels than {names}{more}"
            findings.append(Finding("duplicate_pixels_other_labels", same[0].image, said))
    return findings


def shared_series(rows: Sequence[StoreRow]) -> list[Finding]:
    """Return one finding for each series that is listed under more than one patient.

    Example:
        >>> one = StoreRow("a", "p", "s", "t", None, (0,) * 5, None, "train")
        >>> other = StoreRow("b", "q", "s", "t", None, (0,) * 5, None, "train")
        >>> [(found.item, found.detail) for found in shared_series([one, other])]
        [('t', 'patients p, q')]
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.series].add(row.patient)
    return [
        Finding(
            "series_of_several_patients",
            series,
            f"patients {', '.join(sorted(who)[:_LISTED])}",
        )
        for series, who in owners.items()
        if len(who) > 1
    ]


def audit_markdown(facts: Mapping[str, object], findings: Sequence[Finding], table: str) -> str:
    """Return the audit report of a data set as Markdown.

    Args:
        facts: Values by name, shown as text at the top.
        findings: All findings; the first `NAMED` of each kind are listed, and the CSV file has the
            rest.
        table: Table 1 (images by split), as Markdown.

    Returns:
        The report.
    """
    lines = ["# Audit", "", "| | |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(str(value))} |" for name, value in facts.items()]
    lines += ["", "## Images by split", "", table.rstrip()]
    counts = counts_by_action(findings)
    for action, title in ACTIONS.items():
        lines += ["", f"## {title}", ""]
        if not counts[action]:
            lines.append("Nothing.")
        for kind, count in counts[action].items():
            lines += [f"### {kind}: {count:,}", "", _sentence(KINDS[kind][1]), ""]
            same = [one for one in findings if one.kind == kind]
            lines += [f"- `{_cell(one.item)}` {_cell(one.detail)}".rstrip() for one in same[:NAMED]]
            if count > NAMED:
                lines.append(f"- and {count - NAMED:,} more in `{FINDINGS_FILE}`")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _cell(text: str) -> str:
    """Return text without what would break a line or a table."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown.replace("|", "\\|").replace("`", "'")
