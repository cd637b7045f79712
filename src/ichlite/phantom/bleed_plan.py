"""Describe the bleeds of a subject, in records that go from the draw (`plans`) to the brush.

Positions are template coordinates (x, y, z), mm; HU are before the scanner's own offset.
"""

from __future__ import annotations

from dataclasses import dataclass

from ichlite.phantom.fields import Point


@dataclass(frozen=True, slots=True)
class Surface:
    """Plan of an epidural or subdural haematoma between inner table and brain.

    Attributes:
        subtype: `epidural` or `subdural`.
        direction: Unit vector (x, y, z) from `bleeds.CENTRE` to its middle.
        widths: Half-widths, as tangents of angles, around the head and upwards.
        thickness_mm: Largest thickness.
        power: Profile (1 - a²)^power: 1 a lens, 0.35 a crescent.
        hu: HU of the blood; 12-30 chronic, 30-42 subacute, 50-80 acute.
        sediment: HU gained towards the back (layering), or mixed density by noise.
    """

    subtype: str
    direction: Point
    widths: tuple[float, float]
    thickness_mm: float
    power: float
    hu: float
    sediment: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """Plan of a thin subdural haematoma along the falx or the tentorium.

    Attributes:
        place: `falx` or `tentorium`.
        side: -1 left, 1 right of the midline.
        thickness_mm: Thickness across the sheet.
        span: Range of y that it covers, from back to front, mm.
        hu: HU of the blood.
    """

    place: str
    side: float
    thickness_mm: float
    span: tuple[float, float]
    hu: float


@dataclass(frozen=True, slots=True)
class Blob:
    """Plan of a parenchymal haemorrhage.

    Attributes:
        centre, radii, turn_deg: Ellipsoid: centre and radii (x, y, z) in mm, and rotation about z
            in degrees.
        rough: Deviation of its edge from the ellipsoid, as a share of the smallest radius.
        hu: HU of the clot.
        oedema_mm: Width of the dark rim of oedema.
        mass: Distance by which it pushes the brain aside, as a share of its radius.
    """

    centre: Point
    radii: Point
    turn_deg: float
    rough: float
    hu: float
    oedema_mm: float
    mass: float


@dataclass(frozen=True, slots=True)
class Sulcal:
    """Plan of subarachnoid blood around a centre, denser towards it.

    Attributes:
        centre, reach: Centre and half-widths, (x, y, z) mm.
        hu: HU of the blood.
        fill: Share of the fluid that blood replaces at the centre.
        patchy: Strength of the random variation of that share.
    """

    centre: Point
    reach: Point
    hu: float
    fill: float
    patchy: float


@dataclass(frozen=True, slots=True)
class Ventricular:
    """Plan of blood in the ventricles: a layer behind a level, or a whole chamber.

    Attributes:
        chambers: Chambers with blood: `left`, `right`, `third`, `fourth`.
        level: y in mm behind which blood lies (the patient lies on the back).
        cast: Whether blood fills the chambers instead.
        hu: HU of the blood.
    """

    chambers: tuple[str, ...]
    level: float
    cast: bool
    hu: float


@dataclass(frozen=True, slots=True)
class BleedPlan:
    """All bleeds of one subject.

    Attributes:
        widen_mm: Distance by which ventricle walls move outwards because blood blocks the outflow.
        names: Names of the subtypes that are present.
    """

    surfaces: tuple[Surface, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    blobs: tuple[Blob, ...] = ()
    sulcal: tuple[Sulcal, ...] = ()
    ventricular: tuple[Ventricular, ...] = ()
    widen_mm: float = 0.0
    names: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether there is no bleed."""
        bleeds = (self.surfaces, self.sheets, self.blobs, self.sulcal, self.ventricular)
        return not any(bleeds)
