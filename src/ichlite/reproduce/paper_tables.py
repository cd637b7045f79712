"""The paper's Tables 1 to 5, measured again, from a summary, costs and the index of the stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.data.table1 import ROWS, table_of_store
from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import PAPER_LOSSES, PAPER_MODELS
from ichlite.reproduce.campaign_summary import MEAN, GroupResults, Summary
from ichlite.reproduce.cells import Cell, Table, Unit
from ichlite.reproduce.published import PAPER_NAMES, TABLES, Row

METRIC_TITLES: Mapping[str, str] = {
    "roc_auc": "ROC AUC %",
    "sensitivity": "Sensitivity %",
    "specificity": "Specificity %",
    "accuracy": "Accuracy %",
    "balanced_accuracy": "Balanced accuracy %",
}
_SHARE = 100.0

Column = tuple[str, str | None]
"""A metric, and the key of the paper's column; None where the paper has none."""
_AUC_IS_BALANCED: tuple[Column, ...] = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "auc"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("roc_auc", None),
)
_AUC_IS_ROC: tuple[Column, ...] = (
    ("accuracy", "accuracy"),
    ("roc_auc", "auc"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("balanced_accuracy", None),
)
_BALANCED_NOTE = (
    "The paper calls it AUC, but in all 18 cells of Tables 2 and 3 it is (sensitivity + "
    "specificity) / 2 at a threshold of 0.5: a balanced accuracy, so it stands beside ours. ROC "
    "AUC has no published number here."
)


def all_tables(
    summary: Summary, costs: Mapping[str, Any], store: Store, folds: Sequence[Store] = ()
) -> tuple[Table, ...]:
    """Summary, costs and store, or the stores of all folds → the five tables, in order."""
    baseline = (*_baseline(summary), _published_baseline())
    return (
        table_1(store, folds),
        table_2(summary, costs, baseline),
        table_3(summary, baseline),
        table_4(costs),
        table_5(summary, baseline),
    )


def table_1(store: Store, folds: Sequence[Store] = ()) -> Table:
    """Count patients, slices and positives a split: Table 1.

    Args:
        store: With the splits to count; of folds, what they are tested on as its test split.
        folds: The store with the splits of each fold, whose means are shown but for the test split.
    """
    published = TABLES[1]
    counted = table_of_store(store)
    counts: dict[str, Mapping[str, float]] = {**counted.counts}
    if folds:
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

    titles = [split.capitalize() for split in SPLITS]
    if folds:
        titles = ["Train, mean of folds", "Validation, mean of folds", f"Test, {len(folds)} folds"]
    pooled = (
        "Each patient in use is tested on once, by the models of the fold that left the patient "
        "out; the test column is all of them."
    )
    return Table(
        1,
        published.title,
        ("",),
        tuple(titles),
        tuple(((title,), tuple(cell(key, split) for split in SPLITS)) for key, title in rows),
        (
            f"Counted in the index of the store; positives are {counted.unit}s, per cent of the "
            f"split's {counted.unit}s.",
            "The paper's rows are patients by RSNA's PatientID, though its text calls them scans.",
            *([pooled] if folds else []),
        ),
    )


def table_2(summary: Summary, costs: Mapping[str, Any], notes: tuple[str, ...]) -> Table:
    """Summary and costs → Table 2: from SFCN to LightFCN, the mean over subtypes."""
    published = TABLES[2]
    names = _with_others(("sfcn", "sfcn_depthwise", "light_fcn"), summary.models)
    rows = []
    for name in names:
        cells = _metric_cells(summary.models.get(name), MEAN, _AUC_IS_BALANCED, 2, (name,))
        size = _cost_cell(costs, name, "h5_adam_bytes", "bytes", published.value((name,), "size"))
        params = _cost_cell(costs, name, "params", "count", published.value((name,), "params"))
        rows.append(((_name(name),), (*cells, params, size)))
    return Table(
        2,
        published.title,
        ("Model",),
        (*_metric_titles(_AUC_IS_BALANCED), "Parameters", "Size, .h5 with Adam's state"),
        tuple(rows),
        (
            *_groups_notes(summary.models),
            _BALANCED_NOTE,
            "The paper does not say of which file Size is; an .h5 file saved with Adam's state "
            "comes nearest.",
            *notes,
        ),
    )


def table_3(summary: Summary, notes: tuple[str, ...]) -> Table:
    """Summary → Table 3: three architectures, subtype by subtype, and the mean."""
    names = _with_others(("mobilenet_v2", "sfcn", "light_fcn"), ())
    rows = []
    for model in names:
        for row in (*NAMES, MEAN):
            cells = _metric_cells(summary.models.get(model), row, _AUC_IS_BALANCED, 3, (model, row))
            rows.append(((_name(model), row), cells))
    return Table(
        3,
        TABLES[3].title,
        ("Model", "Subtype"),
        _metric_titles(_AUC_IS_BALANCED),
        tuple(rows),
        (*_groups_notes(summary.models), _BALANCED_NOTE, *notes),
    )


def table_4(costs: Mapping[str, Any]) -> Table:
    """Costs → Table 4: bytes, milliseconds, parameters and FLOPs."""
    published = TABLES[4]
    columns: tuple[tuple[str, str, Unit, str | None], ...] = (
        ("Size, .tflite float32", "tflite_float32_bytes", "bytes", "size"),
        ("Time a slice, float32", "latency_float32_ms", "ms", "time"),
        ("Parameters", "params", "count", "params"),
        ("FLOPs, 256x256", "flops_256", "flops", "flops"),
        ("FLOPs, 224x224", "flops_224", "flops", None),
        ("Size, .tflite int8", "tflite_int8_bytes", "bytes", None),
        ("Time a slice, int8", "latency_int8_ms", "ms", None),
    )
    rows = tuple(
        (
            (_name(name),),
            tuple(
                _cost_cell(
                    costs, name, key, unit, published.value((name,), column) if column else None
                )
                for _, key, unit, column in columns
            ),
        )
        for name in _with_others(("mobilenet_v2", "sfcn", "sfcn_depthwise", "light_fcn"), ())
    )
    return Table(
        4,
        published.title,
        ("Model",),
        tuple(title for title, *_ in columns),
        rows,
        (
            *_times_notes(costs),
            "The paper calls its sizes compressed; at 3.6 to 3.8 bytes a parameter they are those "
            "of float32 files, so they stand beside ours.",
            "MobileNetV2's published FLOPs are those of a 224x224 input and 1,000 classes.",
        ),
    )


def table_5(summary: Summary, notes: tuple[str, ...]) -> Table:
    """Summary → Table 5: the losses, the mean over subtypes."""
    rows = tuple(
        (
            (_name(name),),
            _metric_cells(summary.losses.get(name), MEAN, _AUC_IS_ROC, 5, (name,)),
        )
        for name in _with_others(PAPER_LOSSES, summary.losses)
    )
    return Table(
        5,
        TABLES[5].title,
        ("Loss",),
        _metric_titles(_AUC_IS_ROC),
        rows,
        (
            *_groups_notes(summary.losses),
            "The AUC of Table 5 is not (sensitivity + specificity) / 2 and can only be a ROC AUC.",
            *notes,
        ),
    )


def _metric_cells(
    group: GroupResults | None, row: str, columns: tuple[Column, ...], number: int, printed: Row
) -> tuple[Cell, ...]:
    cells = []
    for metric, column in columns:
        published = None if column is None else TABLES[number].value(printed, column)
        if group is None or not group.results:
            cells.append(Cell(None, "percent", published=published))
            continue
        statistic = group.statistic(row, metric)
        limits = statistic.interval
        cells.append(
            Cell(
                None if statistic.mean is None else statistic.mean * _SHARE,
                "percent",
                None if limits is None else (limits[0] * _SHARE, limits[1] * _SHARE),
                len(statistic.by_seed),
                published,
                missing="undefined",
            )
        )
    return tuple(cells)


def _cost_cell(
    costs: Mapping[str, Any], name: str, key: str, unit: Unit, published: float | None
) -> Cell:
    found = costs["models"].get(name, {}).get(key)
    if isinstance(found, Mapping):
        found = found["p50"]
    return Cell(
        None if found is None else float(found), unit, published=published, missing="not measured"
    )


def _times_notes(costs: Mapping[str, Any]) -> tuple[str, ...]:
    if not costs["models"]:
        return (
            "Not measured: only the TensorFlow backend makes .tflite files. The same command with "
            "KERAS_BACKEND=tensorflow and --no-train adds them.",
        )
    machine, load = costs["machine"], costs["load_average"]
    busy = "" if load is None else f"; load average while timing {load:.1f}"
    found = {key: costs["models"].get(key, {}).get("tflite_float32_bytes") for key in PAPER_NAMES}
    sizes = [f"{_name(key)} {size / 2**20:.2f}" for key, size in found.items() if size]
    return (
        f"Times here are medians of {costs['turns']} turns on {machine['cpu']} "
        f"({machine['system']}), {costs['runtime']}{busy}. The paper's are of a Raspberry Pi 4B: "
        "compare the ratios of models, not the milliseconds.",
        f"In units of 2^20 bytes the float32 files here have {', '.join(sizes)}.",
    )


def _metric_titles(columns: tuple[Column, ...]) -> tuple[str, ...]:
    titles = []
    for metric, column in columns:
        renamed = metric == "balanced_accuracy" and column == "auc"
        titles.append(METRIC_TITLES[metric] + (" (the paper's AUC)" if renamed else ""))
    return tuple(titles)


def _with_others(first: tuple[str, ...], names: Any) -> tuple[str, ...]:
    """The table's own rows, then what else was run and is no row of another table."""
    return (*first, *(name for name in names if name not in {*first, *PAPER_MODELS}))


def _name(key: str) -> str:
    return PAPER_NAMES.get(key, key)


def _groups_notes(groups: Mapping[str, GroupResults]) -> tuple[str, ...]:
    """Epochs and seeds of a table, and what its means leave out."""
    words = "Means over seeds; ranges are 95 % intervals over redrawn patients of those tested on."
    of_seeds: dict[str, list[str]] = {}
    for name, group in groups.items():
        if group.seeds:
            of_seeds.setdefault(", ".join(map(str, group.seeds)), []).append(_name(name))
    if len(of_seeds) == 1:
        words += f" Seeds: {next(iter(of_seeds))}."
    elif of_seeds:
        each = [f"{', '.join(names)}: {seeds}" for seeds, names in of_seeds.items()]
        words += f" Seeds: {'; '.join(each)}."
    epochs = sorted({group.group.epochs for group in groups.values()})
    words += f" Epochs: {', '.join(map(str, epochs))}." if epochs else ""
    undefined = {
        f"{METRIC_TITLES[metric].removesuffix(' %')} {why}"
        for group in groups.values()
        for result in group.results
        for metric, why in result.document["test"]["mean"]["undefined"].items()
        if metric in METRIC_TITLES
    }
    left_out = f"Means over the subtypes where defined: {'; '.join(sorted(undefined))}."
    return (words, left_out) if undefined else (words,)


def _baseline(summary: Summary) -> tuple[str, ...]:
    for result in summary.results():
        share = result.document["test"]["all_negative_accuracy"] * _SHARE
        return (f"Answering no to everything has an accuracy of {share:.2f} % on these slices.",)
    return ()


def _published_baseline() -> str:
    """What answering no to everything scores on the paper's test split, from its Table 1."""
    test = {row: TABLES[1].value((row,), "test") or 0.0 for row in ("slices", *NAMES)}
    share = 1 - sum(test[name] for name in NAMES) / (len(NAMES) * test["slices"])
    return f"On the paper's own test split it would have {share * _SHARE:.2f} %, from its Table 1."
