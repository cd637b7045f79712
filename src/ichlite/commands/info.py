"""`ichlite info`: show what a bundle is, what it was made from and how it decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ichlite.commands.options import BundleFolder, PlainJson

if TYPE_CHECKING:
    from rich.console import Console

    from ichlite.contracts.evaluation import Evaluation, MetricTable
    from ichlite.infer.bundle import Bundle

EPILOG = "Example: ichlite info --bundle my-bundle --json"

_METRICS = {
    "roc_auc": "AUC",
    "average_precision": "AP",
    "sensitivity": "sens.",
    "specificity": "spec.",
    "accuracy": "acc.",
    "balanced_accuracy": "bal.",
    "expected_calibration_error": "ECE",
}
"""Columns of a table of metrics, in order; short, so that it fits a terminal of 80 columns."""

_LEGEND = (
    "AUC, AP: areas under the ROC and the precision-recall curve. sens., spec., acc., bal.: "
    "sensitivity, specificity, accuracy and balanced accuracy at the threshold. "
    "ECE: expected calibration error. All digits, intervals and training: ichlite info --json"
)


def info(
    bundle: BundleFolder = None,
    as_json: PlainJson = False,
) -> None:
    """Show the bundle's facts and model card, and the versions of what runs it."""
    import sys

    from ichlite.commands.console import print_json, stdout_console
    from ichlite.infer.bundle import load_bundle
    from ichlite.infer.bundle_facts import bundle_facts, model_card
    from ichlite.write.escaping import printable

    loaded = load_bundle(bundle)
    facts = bundle_facts(loaded)
    card = model_card(loaded)
    if as_json:
        print_json({**facts, "model_card": card})
        return
    console = stdout_console()
    _print_line(console, loaded.label)
    for section in ("bundle", "input", "calibration"):
        _print_values(console, section, facts[section])
    _print_decision(console, loaded)
    _print_values(console, "cost", facts["cost"])
    if loaded.manifest.metrics:
        _print_metrics(console, loaded.manifest.metrics)
    _print_values(console, "versions", facts["versions"])
    sys.stdout.write("\n" + "\n".join(printable(line) for line in card.splitlines()) + "\n")


def _print_decision(console: Console, bundle: Bundle) -> None:
    """Print the rule, and the thresholds of all operating points with one row per class."""
    from ichlite.contracts.codec import to_json_value

    _print_values(console, "decision", to_json_value(bundle.rule.spec))
    points, in_use = bundle.operating_points, bundle.operating_point
    heads = [f"{name} (in use)" if name == in_use else name for name in points]
    rows = [
        [name, *(_figure(thresholds.get(name)) for thresholds in points.values())]
        for name in bundle.rule.thresholds
    ]
    _print_table(console, "thresholds of a scan", heads, rows)


def _print_metrics(console: Console, metrics: Evaluation) -> None:
    """Print the metrics of slices, and those of scans where there are any, one row per class."""
    _print_metric_table(console, "metrics by slice", metrics)
    if metrics.scan:
        _print_metric_table(console, "metrics by scan", metrics.scan)
    console.print(f"\n{_LEGEND}", markup=False)


def _print_metric_table(console: Console, title: str, metrics: MetricTable) -> None:
    from ichlite.contracts.codec import to_json_value

    thresholds = metrics.thresholds or {}
    rows = [
        [
            name,
            f"{row.positives:,}",
            *(_figure(getattr(row, metric)) for metric in _METRICS),
            _figure(thresholds.get(name)),
        ]
        for name, row in metrics.rows.items()
    ]
    _print_table(console, title, ["positives", *_METRICS.values(), "threshold"], rows)
    for name, row in metrics.rows.items():
        for metric, reason in row.undefined.items():
            _print_line(console, f"  no {_METRICS.get(metric, metric)} of {name}: {reason}")
    shown = {"per_class", "mean", "any", "thresholds", "scan"}
    rest = {key: value for key, value in to_json_value(metrics).items() if key not in shown}
    _print_values(console, "", rest)


def _print_table(
    console: Console, title: str, heads: Iterable[str], rows: Iterable[Sequence[str]]
) -> None:
    """Print a table of figures under a title, each row a class and its figures."""
    from rich.table import Table
    from rich.text import Text

    _print_line(console, f"\n{title}")
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("class", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _print_values(console: Console, title: str, values: Mapping[str, object]) -> None:
    """Print keys and values on aligned lines."""
    if title:
        _print_line(console, f"\n{title}")
    for key, value in _lines(values):
        _print_line(console, f"  {key:<21} {value}")


def _lines(values: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """Yield keys and shown values; a value inside another document is named by both keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}: {inner}", shown) for inner, shown in _lines(value))
        elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
            numbered = {str(number): one for number, one in enumerate(value, 1)}
            yield from _lines({key: numbered})
        else:
            yield key, _shown(value)


def _shown(value: object) -> str:
    """Return a value as a reader expects it: no brackets, no sixteen digits."""
    if isinstance(value, list | tuple):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print_line(console: Console, line: str) -> None:
    """Print a line that is not folded, without control characters of a foreign manifest."""
    from rich.text import Text

    from ichlite.write.escaping import printable

    start = "\n" if line.startswith("\n") else ""
    console.print(Text(start + printable(line.removeprefix("\n"))), soft_wrap=True)
