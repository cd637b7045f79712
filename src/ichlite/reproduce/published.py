"""Hold the numbers that the paper printed, each with its table, row and column.

The only place with numbers that were typed; a test reads them again from the paper's text. The
figures are the paper's own, errors and all: the AUC of Tables 2 and 3 is a balanced accuracy.

Source: Lankireddy et al., "A New Lightweight Architecture and a Class Imbalance Aware Loss
Function for Multi-label Classification of Intracranial Hemorrhages", MLMI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from ichlite.labels import NAMES

PAPER_NAMES: Mapping[str, str] = MappingProxyType({
    "mobilenet_v2": "MobileNetV2",
    "sfcn": "SFCN",
    "sfcn_depthwise": "SFCN_depthwise",
    "light_fcn": "LightFCN",
    "bce": "BCE",
    "focal": "Focal",
    "ldam": "LDAM",
})  # fmt: skip
"""Our keys, each with its name in the paper's tables."""

Row = tuple[str, ...]


def name_of(key: str) -> str:
    """Return the paper's name of one of our keys; the key, where the paper has none.

    Example:
        >>> name_of("ldam")
        'LDAM'
    """
    return PAPER_NAMES.get(key, key)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table as printed.

    Attributes:
        title: What it shows, in our words.
        columns: Keys of the columns, in the paper's order.
        rows: The numbers of each row, in the order of `columns`.
    """

    title: str
    columns: tuple[str, ...]
    rows: Mapping[Row, tuple[float, ...]]

    def value(self, row: Row, column: str | None) -> float | None:
        """Return the number of a cell; None where the paper has no such cell.

        Example:
            >>> TABLES[5].value(("ldam",), "sensitivity")
            65.34
            >>> TABLES[5].value(("asl",), "sensitivity") is None
            True
        """
        if row not in self.rows or column not in self.columns:
            return None
        return self.rows[row][self.columns.index(column)]


def _by_subtype(model: str, *rows: tuple[float, ...]) -> dict[Row, tuple[float, ...]]:
    return {(model, name): row for name, row in zip(NAMES, rows, strict=True)}


TABLES: Mapping[int, PublishedTable] = MappingProxyType({
    1: PublishedTable(
        "Patients, slices and haemorrhages of the three splits",
        ("train", "validation", "test"),
        {
            ("patients",): (6122, 765, 765),
            ("slices",): (267279, 25783, 24636),
            ("without",): (178052, 16211, 15502),
            ("with",): (89227, 9572, 9134),
            ("epidural",): (2709, 266, 170),
            ("intraparenchymal",): (29860, 3301, 2957),
            ("intraventricular",): (21586, 2408, 2211),
            ("subarachnoid",): (29299, 3407, 2969),
            ("subdural",): (38864, 4166, 4136),
        },
    ),
    2: PublishedTable(
        "From SFCN to LightFCN",
        ("accuracy", "auc", "specificity", "sensitivity", "params", "size"),
        {
            ("sfcn",): (89.59, 74.72, 93.88, 55.55, 1e6, 12.3e6),
            ("sfcn_depthwise",): (89.85, 69.68, 94.38, 44.97, 136.1e3, 2.65e6),
            ("light_fcn",): (92.09, 74.76, 97.99, 51.52, 86.8e3, 1.7e6),
        },
    ),
    3: PublishedTable(
        "Three architectures, subtype by subtype",
        ("accuracy", "auc", "sensitivity", "specificity"),
        {
            **_by_subtype(
                "mobilenet_v2",
                (96.66, 62.10, 27.06, 97.14),
                (91.39, 65.27, 30.92, 99.62),
                (92.36, 89.22, 85.40, 93.05),
                (88.56, 69.92, 45.36, 94.47),
                (87.70, 73.93, 53.22, 94.64),
            ),
            **_by_subtype(
                "sfcn",
                (98.37, 56.24, 13.53, 98.96),
                (94.30, 80.87, 63.22, 98.53),
                (95.39, 77.75, 56.26, 99.24),
                (91.34, 69.49, 40.71, 98.26),
                (88.96, 70.10, 41.72, 98.47),
            ),
            **_by_subtype(
                "light_fcn",
                (99.07, 59.22, 18.82, 99.62),
                (90.63, 76.28, 57.42, 95.14),
                (94.30, 80.58, 63.87, 97.29),
                (88.44, 71.80, 49.88, 93.72),
                (84.23, 67.55, 42.47, 92.64),
            ),
        },
    ),
    4: PublishedTable(
        "Size, inference time, parameters and FLOPs",
        ("size", "time", "params", "flops"),
        {
            ("mobilenet_v2",): (8.46e6, 190.51, 2.3e6, 615e6),
            ("sfcn",): (3.8e6, 174.79, 1e6, 2.07e9),
            ("light_fcn",): (312e3, 61.15, 86.8e3, 189e6),
        },
    ),
    5: PublishedTable(
        "Three losses, LightFCN",
        ("accuracy", "auc", "sensitivity", "specificity"),
        {
            ("bce",): (93.49, 90.89, 51.22, 98.54),
            ("focal",): (91.38, 86.95, 29.84, 98.87),
            ("ldam",): (92.44, 91.22, 65.34, 94.62),
        },
    ),
})  # fmt: skip


class Stated(NamedTuple):
    """A number in the paper's sentences, in the unit of its name, and the few words around it."""

    value: float
    words: str


STATED: Mapping[str, Stated] = MappingProxyType({
    "params_factor_mobilenet": Stated(26, "by a factor of 26"),
    "time_factor_mobilenet": Stated(3, "by a factor of 3"),
    "params_factor_sfcn": Stated(10, "by a factor of 10"),
    "size_before_mb": Stated(12.3, "From 12.3 MB to 1.7 MB"),
    "size_after_mb": Stated(1.7, "From 12.3 MB to 1.7 MB"),
    "scans": Stated(21744, "21,744 CT scans in total"),
    "positive_scans": Stated(7652, "only 7,652 had hemorrhages"),
})  # fmt: skip
