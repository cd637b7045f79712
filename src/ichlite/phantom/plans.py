"""Draw a random plan of bleeds from a named mix: who bleeds where, how much, how bright."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ichlite.errors import check_name
from ichlite.phantom.bleed_plan import BleedPlan, Blob, Sheet, Sulcal, Surface, Ventricular

Mix = tuple[tuple[tuple[str, ...], float], ...]

PAPER: Mix = (
    (("subdural",), 0.031),
    (("intraparenchymal",), 0.139),
    (("subarachnoid",), 0.028),
    (("intraparenchymal", "intraventricular"), 0.274),
    (("intraventricular",), 0.013),
    (("subarachnoid", "intraventricular"), 0.022),
    (("subdural", "subarachnoid"), 0.033),
    (("subdural", "intraparenchymal"), 0.027),
    (("intraparenchymal", "subarachnoid"), 0.121),
    (("intraparenchymal", "intraventricular", "subarachnoid"), 0.051),
    (("subdural", "subarachnoid", "intraparenchymal"), 0.22),
    (("epidural",), 0.019),
    (("epidural", "subdural", "subarachnoid"), 0.022),
)
"""Patients with blood, so that slices come out as in Table 1 of the paper.

Fitted to the mean slices that each combination showed in 20 phantoms of it; the fit expects any
34.6 %, epidural 1.0, parenchymal 10.8, ventricular 8.2, subarachnoid 11.1, subdural 14.6.
"""

TRAINING: Mix = (
    ((), 0.26),
    (("subdural",), 0.14),
    (("intraparenchymal",), 0.14),
    (("subarachnoid",), 0.11),
    (("intraparenchymal", "intraventricular"), 0.07),
    (("intraventricular",), 0.04),
    (("subarachnoid", "intraventricular"), 0.03),
    (("subdural", "subarachnoid"), 0.035),
    (("intraparenchymal", "subarachnoid"), 0.025),
    (("subdural", "subarachnoid", "intraparenchymal"), 0.03),
    (("epidural",), 0.10),
    (("epidural", "subdural", "subarachnoid"), 0.02),
)
"""Patients for training: a quarter without blood, seven slices in ten without, more epidurals."""

BALANCES: Mapping[str, Mix] = MappingProxyType({"paper": PAPER, "training": TRAINING})


def mix_named(name: str) -> Mix:
    """Return a mix of subtypes by its name, `paper` or `training`.

    Args:
        name: Name of the mix.

    Returns:
        Combinations of subtypes, each with its share of the patients; `()` is no bleed.

    Raises:
        UnknownName: There is no such mix.

    Example:
        >>> len(mix_named("paper"))
        13
    """
    check_name("balance", name, sorted(BALANCES))
    return BALANCES[name]


def draw_plan(rng: np.random.Generator, mix: Mix) -> BleedPlan:
    """Draw the bleeds of a random subject from a mix of subtypes.

    Args:
        rng: Source of randomness.
        mix: Combinations of subtypes with their frequencies.
    """
    shares = np.array([share for _, share in mix])
    names = mix[int(rng.choice(len(mix), p=shares / shares.sum()))][0]
    return plan_of(rng, names)


def plan_of(rng: np.random.Generator, names: tuple[str, ...]) -> BleedPlan:
    """Draw a random plan of bleeds with exactly these subtypes.

    Args:
        rng: Source of randomness.
        names: Names of the subtypes.
    """
    side = float(rng.choice([-1.0, 1.0]))
    surfaces: list[Surface] = []
    sheets: list[Sheet] = []
    if "epidural" in names:
        surfaces.append(_epidural(rng, side))
    if "subdural" in names:
        contra = -side if "epidural" in names else side
        kind = rng.random()
        if kind < 0.8:
            surfaces.append(_subdural(rng, contra))
            if rng.random() < 0.2:
                surfaces.append(_subdural(rng, -contra))
        if kind > 0.62:
            sheets.extend(_sheets(rng, contra))
    blobs = _blobs(rng, side, names) if "intraparenchymal" in names else ()
    sulcal = _sulcal(rng, side, names) if "subarachnoid" in names else ()
    ventricular = _ventricular(rng, side) if "intraventricular" in names else ()
    widen = rng.uniform(0, 5) if ventricular and rng.random() < 0.6 else 0.0
    return BleedPlan(
        surfaces=tuple(surfaces),
        sheets=tuple(sheets),
        blobs=blobs,
        sulcal=sulcal,
        ventricular=ventricular,
        widen_mm=widen,
        names=names,
    )


def _direction(azimuth_deg: float, height_deg: float, side: float) -> tuple[float, float, float]:
    """Return a unit vector (x, y, z); azimuth 0 is sideways, +90 the front."""
    a, h = np.deg2rad(azimuth_deg), np.deg2rad(height_deg)
    return (float(side * np.cos(a) * np.cos(h)), float(np.sin(a) * np.cos(h)), float(np.sin(h)))


def _acute_hu(rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(63, 7), 48, 82))


def _epidural(rng: np.random.Generator, side: float) -> Surface:
    wide = rng.uniform(0.22, 0.6)
    return Surface(
        subtype="epidural",
        direction=_direction(rng.normal(5, 32), rng.normal(5, 20), side),
        widths=(wide, wide * rng.uniform(0.7, 1.2)),
        thickness_mm=float(np.clip(wide * rng.uniform(20, 55), 4, 28)),
        power=rng.uniform(0.75, 1.1),
        hu=_acute_hu(rng),
        sediment=0.0,
    )


def _subdural(rng: np.random.Generator, side: float) -> Surface:
    age = rng.random()
    hu = (
        _acute_hu(rng)
        if age < 0.62
        else float(rng.uniform(38, 50) if age < 0.82 else rng.uniform(14, 32))
    )
    thick = float(np.clip(rng.lognormal(1.9, 0.5), 2.2, 22))
    if hu < 40:
        thick = max(thick, 5.0)
    return Surface(
        subtype="subdural",
        direction=_direction(rng.normal(5, 25), rng.normal(22, 16), side),
        widths=(rng.uniform(0.8, 2.8), rng.uniform(0.45, 1.3)),
        thickness_mm=thick,
        power=rng.uniform(0.3, 0.6),
        hu=hu,
        sediment=rng.uniform(0, 14) if hu < 50 and rng.random() < 0.5 else 0.0,
    )


def _sheets(rng: np.random.Generator, side: float) -> list[Sheet]:
    hu = _acute_hu(rng)
    out = []
    if rng.random() < 0.65:
        low = rng.uniform(-95, 10)
        out.append(Sheet("falx", side, rng.uniform(2.5, 8), (low, low + rng.uniform(30, 110)), hu))
    if rng.random() < 0.5 or not out:
        out.append(Sheet("tentorium", side, rng.uniform(2, 6), (rng.uniform(-100, -50), 0.0), hu))
    return out


_SITES: tuple[tuple[tuple[float, float, float], float, float], ...] = (
    # centre (x, y, z), spread mm, share
    ((26, 0, 4), 4, 0.24),  # putamen
    ((13, -18, 7), 3, 0.12),  # thalamus
    ((36, 40, 12), 12, 0.12),  # frontal lobe
    ((48, -18, -12), 10, 0.12),  # temporal lobe
    ((34, -52, 32), 12, 0.12),  # parietal lobe
    ((24, -80, 8), 8, 0.07),  # occipital lobe
    ((24, -62, -36), 8, 0.08),  # cerebellum
    ((1, -26, -32), 3, 0.03),  # pons
    ((28, 10, 44), 14, 0.10),  # convexity
)


def _blobs(rng: np.random.Generator, side: float, names: tuple[str, ...]) -> tuple[Blob, ...]:
    trauma = bool({"subdural", "epidural"} & set(names)) or rng.random() < 0.15
    if trauma:
        out = []
        for _ in range(int(rng.integers(1, 5))):
            site = ((30, 56, -8), (46, 14, -22), (34, 40, 30), (50, -30, -14))[int(rng.integers(4))]
            flip = side if rng.random() < 0.75 else -side
            centre = tuple(float(s + rng.normal(0, 6)) for s in site)
            radii = rng.uniform(2.5, 10) * rng.uniform(0.7, 1.4, 3)
            out.append(_blob(rng, (flip * centre[0], centre[1], centre[2]), radii))
        return tuple(out)
    shares = np.array([s[2] for s in _SITES])
    count = 1 if rng.random() < 0.82 else int(rng.integers(2, 6))
    out = []
    for k in range(count):
        middle, spread, _ = _SITES[int(rng.choice(len(_SITES), p=shares / shares.sum()))]
        flip = side if k == 0 else float(rng.choice([-1.0, 1.0]))
        centre = tuple(float(m + rng.normal(0, spread)) for m in middle)
        size = float(np.clip(rng.lognormal(2.35, 0.55), 2.5, 32))
        if count > 1:
            size = min(size, 9.0)
        if "intraventricular" in names:
            size = max(size, 7.0)
        radii = size * rng.uniform(0.75, 1.35, 3)
        out.append(_blob(rng, (flip * centre[0], centre[1], centre[2]), radii))
    return tuple(out)


def _blob(
    rng: np.random.Generator,
    centre: tuple[float, float, float],
    radii: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Blob:
    size = float(np.cbrt(np.prod(radii)))
    return Blob(
        centre=centre,
        radii=(float(radii[0]), float(radii[1]), float(radii[2])),
        turn_deg=rng.uniform(-90, 90),
        rough=rng.uniform(0.08, 0.5),
        hu=float(np.clip(rng.normal(63, 8), 46, 85)),
        oedema_mm=float(rng.uniform(0, 0.9) * min(size, 16)),
        mass=rng.uniform(0.15, 0.5),
    )


def _sulcal(rng: np.random.Generator, side: float, names: tuple[str, ...]) -> tuple[Sulcal, ...]:
    hu = float(np.clip(rng.normal(60, 7), 46, 78))
    traumatic = bool({"subdural", "epidural"} & set(names)) or rng.random() < 0.4
    out = []
    if traumatic:
        for _ in range(int(rng.integers(1, 4))):
            d = _direction(
                rng.uniform(-70, 70), rng.uniform(-5, 75), side if rng.random() < 0.7 else -side
            )
            reach = rng.uniform(12, 38)
            centre = (d[0] * 62, -18 + d[1] * 82, 8 + d[2] * 68)
            out.append(
                Sulcal(
                    centre,
                    (reach, reach, reach * rng.uniform(0.6, 1.2)),
                    hu,
                    rng.uniform(0.7, 1.1),
                    rng.uniform(0.2, 0.7),
                )
            )
        return tuple(out)
    spread = rng.uniform(0.6, 2.2)
    out.append(
        Sulcal(
            (side * rng.uniform(0, 14), rng.uniform(-15, 14), -16.0),
            (34 * spread, 36 * spread, 18 * spread),
            hu,
            rng.uniform(0.7, 1.15),
            rng.uniform(0.1, 0.5),
        )
    )
    if rng.random() < 0.4:  # a Sylvian fissure or the gap between the hemispheres
        middle = (side * 42.0, 2.0, 0.0) if rng.random() < 0.6 else (0.0, 40.0, 10.0)
        out.append(Sulcal(middle, (18, 26, 20), hu + 4, 1.1, 0.2))
    return tuple(out)


def _ventricular(rng: np.random.Generator, side: float) -> tuple[Ventricular, ...]:
    hu = float(np.clip(rng.normal(60, 8), 44, 80))
    out = []
    if rng.random() < 0.6:
        level = rng.uniform(-58, -34)
        horns = ("left", "right") if rng.random() < 0.7 else (("right",) if side > 0 else ("left",))
        out.append(Ventricular(horns, level, cast=False, hu=hu))
    if rng.random() < 0.45 or not out:
        one = "right" if side > 0 else "left"
        chambers = [
            (one,),
            (one, "third"),
            ("left", "right", "third", "fourth"),
            ("third", "fourth"),
        ]
        pick = chambers[int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))]
        out.append(Ventricular(pick, 0.0, cast=True, hu=hu + 3))
    return tuple(out)
