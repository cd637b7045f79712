"""Make the paper's Tables 1 to 5 from a summary, costs and the index of the stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.data.table1 import ROWS, table_of_store
from ichlite.evaluate.intervals import METRICS
from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import PAPER_LOSSES, PAPER_MODELS
from ichlite.reproduce.campaign_summary import GroupResults, Summary, title_of
from ichlite.reproduce.cells import Cell, Table, Unit
from ichlite.reproduce.costs import Costs
from ichlite.reproduce.published import PAPER_NAMES, TABLES, Row, name_of
from ichlite.reproduce.results import MEAN

_SHARE = 100.0


@dataclass(frozen=True, slots=True)
class Column:
    """One column of Tables 2 to 5.

    Attributes:
        title: Title of the column.
        key: Key of a metric, or of a cost where the unit is not per cent.
        published: Key of the paper's column; None where the paper has none.
        unit: Unit of the numbers.
    """

    title: str
    key: str
    published: str | None
    unit: Unit = "percent"


_FILES = (
    Column("Parameters", "params", "params", "count"),
    Column("Size, .h5 with Adam's state", "h5_adam_bytes", "size", "bytes"),
)
_COSTS = (
    Column("Size, .tflite float32", "tflite_float32_bytes", "size", "bytes"),
    Column("Time a slice, float32", "latency_float32_ms", "time", "ms"),
    Column("Parameters", "params", "params", "count"),
    Column("FLOPs, 256x256", "flops_256", "flops", "flops"),
    Column("FLOPs, 224x224", "flops_224", None, "flops"),
    Column("Size, .tflite int8", "tflite_int8_bytes", None, "bytes"),
    Column("Time a slice, int8", "latency_int8_ms", None, "ms"),
)


def _metrics(auc: str, auc_title: str, other: str) -> tuple[Column, ...]:
    """Return the columns of a table whose AUC is one metric, and which has not the other."""
    return (
        Column("Accuracy %", "accuracy", "accuracy"),
        Column(auc_title, auc, "auc"),
        Column("Sensitivity %", "sensitivity", "sensitivity"),
        Column("Specificity %", "specificity", "specificity"),
        Column(f"{title_of(other)} %", other, None),
    )


_AUC_IS_BALANCED = _metrics("balanced_accuracy", "Balanced accuracy % (the paper's AUC)", "roc_auc")
_AUC_IS_ROC = _metrics("roc_auc", "ROC AUC %", "balanced_accuracy")


def all_tables(
    summary: Summary, costs: Costs, store: Store, folds: Sequence[Store] = ()
) -> tuple[Table, ...]:
    """Build the paper's five tables from the measured results.

    Args:
        summary: Results by group of runs.
        costs: Costs of the models.
        store: Store whose splits are counted in Table 1.
        folds: The store with the splits of each fold; empty without folds.
    """
    return (
        table_1(store, folds),
        table_2(summary, costs),
        table_3(summary),
        table_4(costs),
        table_5(summary),
    )


def table_1(store: Store, folds: Sequence[Store] = ()) -> Table:
    """Build Table 1: patients, slices and positives of each split.

    Args:
        store: Store with the splits to count; with folds, its test split is all that they are
            tested on.
        folds: The store with the splits of each fold; train and validation counts are means over
            them.
    """
    published = TABLES[1]
    counted = table_of_store(store)
    counts: dict[str, Mapping[str, float]] = {**counted.counts}
    titles = [split.capitalize() for split in SPLITS]
    if folds:
        titles = ["Train, mean of folds", "Validation, mean of folds", f"Test, {len(folds)} folds"]
        by_fold = [table_of_store(one).counts for one in folds]
        for split in ("train", "validation"):
            counts[split] = {
                key: float(np.mean([one[split][key] for one in by_fold])) for key in counts[split]
            }
    rows = [(key, title) for key, title in ROWS if key != "studies"]

    def cell(key: str, split: str) -> Cell:
        count, printed = counts[split][key], published.value((key,), split)
        here, there = counts[split]["slices"], published.value(("slices",), split)
        note = ""
        if key not in {"patients", "slices"} and here and printed and there:
            bleeding = counts[split]["without"] + counts[split]["with"]
            note = f"{count / bleeding * _SHARE:.1f} %, paper {printed / there * _SHARE:.1f} %"
        empty = bool(folds) and not here
        return Cell(
            None if empty else float(count), "count", published=printed, note=note, missing="none"
        )

    notes = [
        f"Counted in the index of the store; positives are {counted.unit}s, per cent of the "
        f"split's {counted.unit}s.",
        *published.notes,
    ]
    if folds:
        notes.append(
            "Each patient in use is tested on once, by the models of the fold that left the "
            "patient out; the test column is all of them."
        )
    body = (((title,), tuple(cell(key, split) for split in SPLITS)) for key, title in rows)
    return Table(1, published.title, ("",), tuple(titles), tuple(body), tuple(notes))


def table_2(summary: Summary, costs: Costs) -> Table:
    """Build Table 2: mean scores and sizes of the models from SFCN to LightFCN."""
    names = _with_others(("sfcn", "sfcn_depthwise", "light_fcn"), summary.models)
    columns = (*_AUC_IS_BALANCED, *_FILES)
    return _beside(2, ("Model",), names, columns, summary.models, costs, _baselines(summary))


def table_3(summary: Summary) -> Table:
    """Build Table 3: scores of three architectures by subtype, and their means."""
    rows = list(product(("mobilenet_v2", "sfcn", "light_fcn"), (*NAMES, MEAN)))
    titles = ("Model", "Subtype")
    return _beside(3, titles, rows, _AUC_IS_BALANCED, summary.models, None, _baselines(summary))


def table_4(costs: Costs) -> Table:
    """Build Table 4: bytes, milliseconds, parameters and FLOPs of the models."""
    return _beside(4, ("Model",), _with_others(PAPER_MODELS, ()), _COSTS, None, costs)


def table_5(summary: Summary) -> Table:
    """Build Table 5: mean scores of the losses."""
    names = _with_others(PAPER_LOSSES, summary.losses)
    return _beside(5, ("Loss",), names, _AUC_IS_ROC, summary.losses, None, _baselines(summary))


def _beside(
    number: int,
    row_titles: tuple[str, ...],
    rows: Sequence[Row],
    columns: Sequence[Column],
    groups: Mapping[str, GroupResults] | None,
    costs: Costs | None,
    last_notes: tuple[str, ...] = (),
) -> Table:
    """Make a table whose rows are models or losses, by themselves or a subtype each."""

    def cell(row: Row, column: Column) -> Cell:
        published = TABLES[number].value(row, column.published)
        if column.unit != "percent":
            value = None if costs is None else costs.value(row[0], column.key)
            return Cell(value, column.unit, published=published, missing="not measured")
        group = (groups or {}).get(row[0])
        if group is None or not group.results:
            return Cell(None, "percent", published=published)
        statistic = group.statistic(row[1] if len(row) > 1 else MEAN, column.key)
        ends = statistic.interval
        return Cell(
            None if statistic.mean is None else statistic.mean * _SHARE,
            "percent",
            None if ends is None else (ends[0] * _SHARE, ends[1] * _SHARE),
            len(statistic.by_seed),
            published,
            missing="undefined",
        )

    body = (
        ((name_of(row[0]), *row[1:]), tuple(cell(row, column) for column in columns))
        for row in rows
    )
    first_notes = _times_notes(costs) if groups is None and costs else _groups_notes(groups or {})
    return Table(
        number,
        TABLES[number].title,
        row_titles,
        tuple(column.title for column in columns),
        tuple(body),
        (*first_notes, *TABLES[number].notes, *last_notes),
    )


def _times_notes(costs: Costs) -> tuple[str, ...]:
    if not costs.models:
        return (
            "Not measured: only the TensorFlow backend makes .tflite files. The same command with "
            "KERAS_BACKEND=tensorflow and --no-train adds them.",
        )
    machine, load = costs.machine, costs.load_average
    busy = "" if load is None else f"; load average while timing {load:.1f}"
    found = {key: costs.value(key, "tflite_float32_bytes") for key in PAPER_NAMES}
    sizes = [f"{name_of(key)} {size / 2**20:.2f}" for key, size in found.items() if size]
    return (
        f"Times here are medians of {costs.turns} turns on {machine.cpu} "
        f"({machine.system}), {costs.runtime}{busy}. The paper's are of a Raspberry Pi 4B: "
        "compare the ratios of models, not the milliseconds.",
        f"In units of 2^20 bytes the float32 files here have {', '.join(sizes)}.",
    )


def _with_others(first: tuple[str, ...], names: Iterable[str]) -> list[Row]:
    """Return the table's own rows, then what else was run and is no row of another table."""
    return [(name,) for name in (*first, *(n for n in names if n not in {*first, *PAPER_MODELS}))]


def _groups_notes(groups: Mapping[str, GroupResults]) -> tuple[str, ...]:
    """Return epochs and seeds of a table, and what its means leave out."""
    words = "Means over seeds; ranges are 95 % intervals over redrawn patients of those tested on."
    of_seeds: dict[str, list[str]] = {}
    for name, group in groups.items():
        if group.seeds:
            of_seeds.setdefault(", ".join(map(str, group.seeds)), []).append(name_of(name))
    if of_seeds:
        each = [f"{', '.join(names)}: {seeds}" for seeds, names in of_seeds.items()]
        words += f" Seeds: {next(iter(of_seeds)) if len(of_seeds) == 1 else '; '.join(each)}."
    epochs = sorted({group.group.epochs for group in groups.values()})
    words += f" Epochs: {', '.join(map(str, epochs))}." if epochs else ""
    undefined = {
        f"{title_of(metric)} {why}"
        for group in groups.values()
        for result in group.results
        for metric, why in result.test.mean.undefined.items()
        if metric in METRICS
    }
    left_out = f"Means over the subtypes where defined: {'; '.join(sorted(undefined))}."
    return (words, left_out) if undefined else (words,)


def _baselines(summary: Summary) -> tuple[str, str] | tuple[str]:
    """Return what answering no to everything scores here, and on the paper's test split."""
    test = {row: TABLES[1].value((row,), "test") or 0.0 for row in ("slices", *NAMES)}
    share = 1 - sum(test[name] for name in NAMES) / (len(NAMES) * test["slices"])
    paper = f"On the paper's own test split it would have {share * _SHARE:.2f} %, from its Table 1."
    results = summary.results()
    if not results:
        return (paper,)
    here = (results[0].test.all_negative_accuracy or 0.0) * _SHARE
    return f"Answering no to everything has an accuracy of {here:.2f} % on these slices.", paper
