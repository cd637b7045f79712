"""Describe the bleeds of a subject, in records that go from the draw (`plans`) to the brush.

Positions are template coordinates (x, y, z), mm; HU are before the scanner's own offset.
"""

from __future__ import annotations

from dataclasses import dataclass

from ichlite.phantom.fields import Point


@dataclass(frozen=True, slots=True)
class Surface:
    """Blood that collects between inner table and brain.

    Attributes:
        subtype: `epidural` or `subdural`.
        direction: Unit vector (x, y, z) from CENTRE to its middle.
        widths: Half-widths as tangents along the two directions across it (around the head, up).
        thickness_mm: At its thickest.
        power: Profile (1 - a²)^power: 1 a lens, 0.35 a crescent.
        hu: Of the blood; 12-30 chronic, 30-42 subacute, 50-80 acute.
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
    """A thin subdural along the falx or the tentorium.

    Attributes:
        place: `falx` or `tentorium`.
        side: -1 left, 1 right of the midline.
        thickness_mm: Across the sheet.
        span: From back to front, y mm.
        hu: Of the blood.
    """

    place: str
    side: float
    thickness_mm: float
    span: tuple[float, float]
    hu: float


@dataclass(frozen=True, slots=True)
class Blob:
    """A parenchymal bleed.

    Attributes:
        centre, radii, turn_deg: An ellipsoid, turned about z.
        rough: How far its edge departs from that, share of the smallest radius.
        hu: Of the clot.
        oedema_mm: Width of the dark rim.
        mass: How much of its radius it pushes the brain aside.
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
    """Subarachnoid blood around a centre: density falls with distance.

    Attributes:
        centre, reach: Middle and half-widths (x, y, z).
        hu: Of the blood.
        fill: Share of the fluid that it replaces at the centre.
        patchy: How uneven that is.
    """

    centre: Point
    reach: Point
    hu: float
    fill: float
    patchy: float


@dataclass(frozen=True, slots=True)
class Ventricular:
    """Blood in the ventricles: the part behind a level, or a whole chamber.

    Attributes:
        chambers: Of `left`, `right`, `third`, `fourth`.
        level: Blood lies behind this y, mm (the patient lies on the back).
        cast: Blood fills the chamber instead.
        hu: Of the blood.
    """

    chambers: tuple[str, ...]
    level: float
    cast: bool
    hu: float


@dataclass(frozen=True, slots=True)
class BleedPlan:
    """All bleeds of one subject.

    Attributes:
        widen_mm: How far the ventricles widen because blood blocks them.
        names: Subtypes of the bleeds.
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
