"""`ichlite prepare`: turn a data set into a prepared store with audit and Table 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.options import PlainJson

if TYPE_CHECKING:
    from ichlite.data.prepare_store import Prepared, Report

EPILOG = "Example: ichlite prepare rsna rsna-2019 store --processes 8 --table1"
FAILED = 1


def prepare(
    kind: Annotated[
        str, typer.Argument(help="Kind of data set: rsna, cq500, ct-ich, csv, phantom or tables.")
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of the data set.")],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the store, or CSV file for tables; required for all kinds but tables. "
            "The same command again resumes."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split preset: paper (patients with a bleed, 6122:765:765), all (all patients, in "
            "the same shares), test (everyone in test) or given (as the data set says). Default: "
            "paper for rsna, test for cq500, given for phantom, all for the rest."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed by which patients are dealt to splits.")
    ] = 0,
    processes: Annotated[
        int,
        typer.Option(
            help="Processes that work side by side; their number changes no byte of the store."
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster whose nodes all see SOURCE and OUT: local, auto or HOST:PORT.",
        ),
    ] = None,
    table1: Annotated[
        bool,
        typer.Option(
            "--table1",
            help="Print how many patients of each subtype are in each split, as in Table 1.",
        ),
    ] = False,
    as_json: PlainJson = False,
) -> None:
    """Read a data set in its own layout into a prepared store, with an audit of every fault."""
    from ichlite.commands.console import print_json, require, say
    from ichlite.errors import UsageError, check_name

    require("train", "h5py", "hdf5plugin", "nibabel")
    if seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {seed}")
    if kind == "tables":
        if ray is not None or processes != 1:
            raise UsageError("tables are read in one process: --ray and --processes do not apply")
        _tables(source, out, split, seed, as_json=as_json)
        return
    if out is None:
        raise UsageError("OUT is missing", remedy="name the folder of the store to make")
    if ray is not None and processes != 1:
        raise UsageError("--processes cannot be combined with --ray")
    from ichlite.cluster.ray_prepare import ray_engine
    from ichlite.data.prepare_store import READERS, prepare_store
    from ichlite.data.workers import local_engine

    check_name("kind of data set", kind, [*READERS, "tables"])
    place = local_engine(processes) if ray is None else ray_engine(ray)
    with _bars() as report, place as engine:
        made = prepare_store(
            kind, source, out, preset=split, seed=seed, engine=engine, report=report
        )
    document = _document(out, made)
    if made.unchanged:
        say(f"{out} is up to date: nothing to do")
    if as_json:
        print_json(document)
    else:
        _print(out, made, table1=table1)
    if document["quarantined"]:
        lost = ", ".join(f"{kind} {count}" for kind, count in document["quarantined"].items())
        say(f"left out: {lost}; see {out / 'audit.md'}")
        raise typer.Exit(FAILED)


def _document(out: Path, made: Prepared) -> dict[str, Any]:
    said = made.description
    return {
        "out": str(out),
        "kind": said["kind"],
        "label_level": said["label_level"],
        "hu_range": said["hu_range"],
        "images": said["images_found"],
        "slices": said["images"],
        "patients": said["patients"],
        "studies": said["studies"],
        "slices_prepared_now": made.done,
        "seconds": round(made.seconds, 3),
        "slices_per_s": round(made.done / made.seconds, 1) if made.done else None,
        "split": said["split"],
        "seed": said["seed"],
        "split_hash": said["split_hash"],
        "store_hash": said["hash"],
        **said["audit"],
        "table1": said["table1"],
    }


def _print(out: Path, made: Prepared, *, table1: bool) -> None:
    from ichlite.data.table1 import Table1

    said = made.description
    line = f"{said['images']:,} slices of {said['patients']:,} patients in {out}"
    typer.echo(f"{line}; audit: {out / 'audit.md'}")
    if table1:
        typer.echo(Table1(said["table1"], said["label_level"]).markdown(), nl=False)


def _tables(source: Path, out: Path | None, split: str | None, seed: int, *, as_json: bool) -> None:
    from ichlite.atomic_files import check_file
    from ichlite.commands.console import print_json, say
    from ichlite.data.store_tables import read_tables, split_tables
    from ichlite.errors import UsageError

    if out is not None:
        check_file(out)
    read = read_tables(source)
    folder = source if source.is_dir() else source.parent
    if out is not None and out.resolve() in [(folder / name).resolve() for name in read.names]:
        raise UsageError(
            f"{out} is one of the tables that are read", expected="another CSV file to write"
        )
    dealt = split_tables(read, preset=split or "all", seed=seed, out=out)
    if as_json:
        print_json(dealt.as_json())
    else:
        typer.echo(dealt.markdown(), nl=False)
    for finding in read.findings:
        say(f"left out: {finding.kind} {finding.item}: {finding.detail}")
    if read.findings:
        raise typer.Exit(FAILED)


@contextmanager
def _bars() -> Iterator[Report]:
    """Yield a function that shows one progress bar for each stage."""
    from ichlite.commands.console import progress

    with ExitStack() as stack:
        shown, before = "", 0
        advance: Callable[[int], None] = lambda _: None  # noqa: E731

        def report(stage: str, done: int, total: int) -> None:
            nonlocal shown, before, advance
            if stage != shown:
                stack.close()
                shown, before = stage, 0
                advance = stack.enter_context(progress(stage, total=total))
            advance(done - before)
            before = done

        yield report
