"""Parse a bundle's manifest into checked parts; strict about types.

A manifest comes from elsewhere: what is missing, of another type or out of range is named, never
replaced by a default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Never, cast, get_args

from ichlite.ct.windows import Window
from ichlite.infer.decision import EVIDENCE_MM, AnyRule, Calibration, Rule, ScanRule
from ichlite.labels import ANY, NAMES

Precision = Literal["float32", "float16", "dynamic", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MapKind = Literal["activation", "lesion"]

LARGEST_HU = 1e5
"""Window centres and widths beyond this are no Hounsfield units."""

DEEPEST = 32
"""Lists and objects inside each other in a manifest; ours has six."""

OPERATING_POINTS = ("high_sensitivity", "balanced", "high_specificity")
"""From the lowest threshold to the highest."""

BALANCED = "balanced"
"""The operating point of a bundle that has no other, and of a reading that asks for none."""

_LARGEST = 1e6
_BRAIN_LEVEL_HU = (0.0, 100.0)
_OPTIONAL_SECTIONS = ("training", "parity", "metrics", "cost", "quantization")


@dataclass(frozen=True, slots=True)
class MapOutput:
    """What the model's second output is.

    Attributes:
        kind: `activation`: each place's share in the slice's logits, of regions; `lesion`: logits
            of blood in each cell, trained on outlines of bleeds.
        cells: Rows and columns; None where the manifest does not say.
    """

    kind: MapKind = "activation"
    cells: tuple[int, int] | None = None


def parse(text: str) -> object:
    """Take JSON text; give its value, of finite numbers and moderate depth.

    Raises:
        ValueError: Not JSON, a number that is NaN or infinite, or nested too deep.

    Example:
        >>> parse('{"a": [1, 0.5]}')
        {'a': [1, 0.5]}
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None
    for level, _ in enumerate(_levels(value), 1):
        if level > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")
    return cast("object", value)


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _levels(value: object) -> Iterator[int]:
    """One item for each level of nesting; a loop, since recursion could be made to overflow."""
    level = [value]
    while level:
        yield len(level)
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = inner


def section(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Take an object and a key; give the object at that key, or raise KeyError or ValueError."""
    value = fields[key]
    if not isinstance(value, dict):
        raise ValueError(f"{key} is no object")  # noqa: TRY004
    return value


def text_at(fields: Mapping[str, Any], key: str) -> str:
    """Take an object and a key; give the text at that key: not empty, printable.

    Example:
        >>> text_at({"name": "light_fcn-int8"}, "name")
        'light_fcn-int8'
    """
    value = fields[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{key} {value!r}, not a line of text")
    return value


def precision_of(manifest: Mapping[str, Any]) -> str:
    """Take a manifest; give its precision, one of `PRECISIONS`."""
    found = text_at(manifest, "precision")
    if found not in PRECISIONS:
        raise ValueError(f"precision {found}, not one of {', '.join(PRECISIONS)}")
    return found


def number(name: str, value: object, low: float, high: float) -> float:
    """Take a value; give it as a float in [low, high]; true and false are no numbers.

    Example:
        >>> number("threshold", 1, 0, 1)
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} {value!r:.80}, not a number from {low:g} to {high:g}")
    return float(value)


def check_sections(manifest: Mapping[str, Any]) -> None:
    """Take a manifest; raise ValueError when a part that is only shown is no object."""
    for key in _OPTIONAL_SECTIONS:
        if key in manifest:
            section(manifest, key)


def windows_of(spec: Mapping[str, Any]) -> tuple[Window, ...]:
    """Take the `input` object; give its windows."""
    windows = spec["windows"]
    if not isinstance(windows, list) or not all(isinstance(one, dict) for one in windows):
        raise ValueError("windows is no list of objects")
    return tuple(
        Window(
            text_at(one, "name"),
            _whole("centre_hu", one["centre_hu"], -LARGEST_HU),
            _whole("width_hu", one["width_hu"], 1),
        )
        for one in windows
    )


def _whole(name: str, value: object, low: float) -> int:
    found = number(name, value, low, LARGEST_HU)
    if not found.is_integer():
        raise ValueError(f"{name} {value!r}, not a whole number")
    return int(found)


def map_of(manifest: Mapping[str, Any]) -> MapOutput:
    """Return what a manifest says of the map; a bundle that says nothing has an activation map.

    Example:
        >>> map_of({"output": {"map": "lesion", "cells": [32, 32]}})
        MapOutput(kind='lesion', cells=(32, 32))
    """
    if "output" not in manifest:
        return MapOutput()
    fields = section(manifest, "output")
    kind = text_at(fields, "map")
    if kind not in get_args(MapKind):
        raise ValueError(f"map {kind}, not one of {', '.join(get_args(MapKind))}")
    rows, columns = _numbers("cells", fields["cells"], 1, _LARGEST, 2)
    return MapOutput(cast("MapKind", kind), (int(rows), int(columns)))


def calibration_of(fields: Mapping[str, Any]) -> Calibration:
    """Take the `calibration` object; give the five temperatures, positive, and biases."""
    count = len(NAMES)
    return Calibration(
        _numbers("temperature", fields["temperature"], 1 / _LARGEST, _LARGEST, count),
        _numbers("bias", fields["bias"], -_LARGEST, _LARGEST, count),
    )


def rule_of(fields: Mapping[str, Any]) -> Rule:
    """Take the `decision` object; give the rule. Every class needs a threshold."""
    weights = _numbers("neighbour_weights", fields["neighbour_weights"], 0, _LARGEST, None)
    if len(weights) % 2 == 0 or weights[len(weights) // 2] <= 0:
        raise ValueError(f"neighbour_weights {weights}, not an odd count with a positive middle")
    slice_thresholds = section(fields, "slice_thresholds") if "slice_thresholds" in fields else {}
    for name, value in slice_thresholds.items():
        number(f"slice_thresholds {name}", value, 0, 1)
    return Rule(
        neighbour_weights=weights,
        any_rule=cast("AnyRule", text_at(fields, "any_rule")),
        scan_rule=cast("ScanRule", text_at(fields, "scan_rule")),
        evidence_mm=number(
            "evidence_mm", fields.get("evidence_mm", EVIDENCE_MM), 1 / _LARGEST, _LARGEST
        ),
        thresholds=_thresholds(section(fields, "thresholds")),
    )


def operating_points_of(decision: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the thresholds at each operating point of a `decision` object.

    Args:
        decision: Without `operating_points` it has one, `balanced`, at its `thresholds`.

    Returns:
        Name, of `OPERATING_POINTS` and in their order → class → threshold.
    """
    balanced = _thresholds(section(decision, "thresholds"))
    if decision.get("operating_points") is None:
        return {BALANCED: balanced}
    fields = section(decision, "operating_points")
    if BALANCED not in fields or not set(fields) <= set(OPERATING_POINTS):
        raise ValueError(
            f"operating_points {sorted(fields)}, not {BALANCED} "
            f"and others of {', '.join(OPERATING_POINTS)}"
        )
    points = {
        name: _thresholds(section(fields, name)) for name in OPERATING_POINTS if name in fields
    }
    if points[BALANCED] != balanced:
        raise ValueError(f"operating_points {BALANCED} differs from thresholds")
    of_any = [point[ANY] for point in points.values()]
    if of_any != sorted(of_any):
        raise ValueError(
            f"operating_points with thresholds of any {of_any}, not ascending "
            f"from {OPERATING_POINTS[0]} to {OPERATING_POINTS[-1]}"
        )
    return points


def brain_level_of(spec: Mapping[str, Any]) -> float | None:
    """Return the brain level that an `input` object asks for; None when it asks for none."""
    value = spec.get("brain_level_hu")
    return None if value is None else number("brain_level_hu", value, *_BRAIN_LEVEL_HU)


def _thresholds(fields: Mapping[str, Any]) -> dict[str, float]:
    classes = (ANY, *NAMES)
    if set(fields) != set(classes):
        raise ValueError(f"thresholds of {sorted(fields)}, not of {', '.join(classes)}")
    return {name: number(f"thresholds {name}", fields[name], 0, 1) for name in classes}


def _numbers(
    name: str, values: object, low: float, high: float, count: int | None
) -> tuple[float, ...]:
    if not isinstance(values, list) or (count is not None and len(values) != count) or not values:
        raise ValueError(f"{name} {values!r:.80}, not {count or 'some'} numbers")
    return tuple(number(name, value, low, high) for value in values)
