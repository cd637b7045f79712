"""`ichlite evaluate`: a model and labelled images in, metrics, tables and plots out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.needs import need_train

if TYPE_CHECKING:
    from ichlite.evaluate.judge import Judge, Judged

EPILOG = (
    "Example: ichlite evaluate bundles/ldam-int8 phantoms --split test --bootstrap 1000 --out "
    "reports/ldam"
)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Bundle, run folder or .keras file.")],
    store: Annotated[Path | None, typer.Argument(help="Prepared store.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    rsna: Annotated[
        Path | None, typer.Option(help="Instead of a store: folder of RSNA DICOM files.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="RSNA label file [default: stage_2_train.csv in --rsna].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and plots.")] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Draws of patients for 95 % intervals; 0: none.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    threads: Annotated[int, typer.Option(help="Of reading DICOM files.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure a model on labelled images, the all-negative baseline beside it."""
    need_train()
    from ichlite.commands.console import print_json, say
    from ichlite.errors import UsageError
    from ichlite.evaluate.report import markdown, write_report
    from ichlite.evaluate.summary import summarise

    if (store is None) == (rsna is None):
        raise UsageError("evaluate needs a STORE or --rsna FOLDER", expected="one of the two")
    if rsna is not None:
        judge, judged, facts = _rsna(model, rsna, labels, threads)
    elif store is not None:
        judge, judged, facts = _store(model, store, split)
    summary = {
        **summarise(
            judged,
            data=facts.pop("data"),
            slice_thresholds=judge.slice_thresholds,
            scan_thresholds=judge.scan_thresholds,
            bootstrap=bootstrap,
            seed=seed,
        ),
        "model": judge.name,
        **facts,
    }
    if out is not None:
        for path in write_report(out, summary, judged):
            say(f"wrote {path}")
    if as_json:
        print_json(summary)
    else:
        typer.echo(markdown(summary), nl=False)


def _store(model: Path, store: Path, split: str) -> tuple[Judge, Judged, dict[str, Any]]:
    from ichlite.data.feed import split_rows
    from ichlite.data.store import Store
    from ichlite.evaluate.judge import judge_rows, load_judge
    from ichlite.evaluate.pointing import pointing

    judge = load_judge(model)
    opened = Store.open(store)
    rows = split_rows(opened, split)
    judged = judge_rows(judge, opened, rows)
    facts: dict[str, Any] = {"data": f"{store.name}, {split} split", "store_hash": opened.hash}
    if (found := pointing(judge.model, opened, rows)) is not None:
        facts["pointing"] = found
    return judge, judged, facts


def _rsna(
    model: Path, folder: Path, labels: Path | None, threads: int
) -> tuple[Judge, Judged, dict[str, Any]]:
    from ichlite.commands.console import say
    from ichlite.data.readers.rsna import read_labels
    from ichlite.evaluate.archive import judge_archive
    from ichlite.evaluate.judge import bundle_judge
    from ichlite.infer.bundle import load_bundle

    judge = bundle_judge(load_bundle(model))
    table = read_labels(labels or folder / "stage_2_train.csv")
    archive = judge_archive(judge.model, folder, table, threads=threads)
    for line in archive.unread:
        say(f"not judged: {line}")
    facts = {
        "data": f"RSNA images of {folder.name}",
        "unlabelled": archive.unlabelled,
        "not_judged": list(archive.unread),
        "label_conflicts": [f.item for f in table.findings if f.kind == "conflicting_labels"],
    }
    return judge, archive.judged, facts
