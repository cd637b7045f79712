"""Define the five haemorrhage subtypes: order, names, abbreviations, codes and colours.

This is the only place where they stand. Every array with a subtype axis, every manifest and every
table is in the order of `SUBTYPES`.
"""

from __future__ import annotations

from dataclasses import dataclass

ANY = "any"
"""Key of the probability that a slice or scan shows a bleed of any subtype."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8): value, scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Subtype:
    """One haemorrhage subtype.

    Attributes:
        name: Key in JSON, CSV columns and manifests; the label suffix of RSNA 2019.
        abbreviation: As in the tables of the paper.
        code: SNOMED CT where verified, else the local scheme `99ICHLITE`.
        colour: sRGB hex, for plots and reports; distinguishable with colour-vision deficiency.
    """

    name: str
    abbreviation: str
    code: Code
    colour: str


SUBTYPES: tuple[Subtype, ...] = (
    Subtype(
        "epidural",
        "EDH",
        Code("EDH", "99ICHLITE", "Epidural intracranial hemorrhage"),
        "#0072B2",
    ),
    Subtype(
        "intraparenchymal",
        "IPH",
        Code("274100004", "SCT", "Cerebral hemorrhage"),
        "#D55E00",
    ),
    Subtype(
        "intraventricular",
        "IVH",
        Code("IVH", "99ICHLITE", "Intraventricular hemorrhage"),
        "#009E73",
    ),
    Subtype(
        "subarachnoid",
        "SAH",
        Code("21454007", "SCT", "Subarachnoid hemorrhage"),
        "#CC79A7",
    ),
    Subtype(
        "subdural",
        "SDH",
        Code("35486000", "SCT", "Subdural hemorrhage"),
        "#E69F00",
    ),
)

ANY_CODE = Code("1386000", "SCT", "Intracranial hemorrhage")
ANY_COLOUR = "#444444"

NAMES: tuple[str, ...] = tuple(subtype.name for subtype in SUBTYPES)
"""Subtype names in array order."""
CLASSES: tuple[str, ...] = (ANY, *NAMES)
"""`any`, then the subtypes: the order of everything that is said of all six."""
