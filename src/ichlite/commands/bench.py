"""`ichlite bench`: a bundle in; milliseconds of inference and of a scan, and their limit, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ichlite.commands.needs import need_train

EPILOG = "Example: ichlite bench --json > bench.json"


def bench(
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Bundle folder; default: the embedded one.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also the four architectures (needs ichlite[train]).")
    ] = False,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Inferences timed for each entry.")
    ] = 200,
    scan_runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Readings of the sample study.")
    ] = 9,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Only so many threads, at most one a core; default: 1 and all."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure inference alone, and the sample study from files to result."""
    if every:
        need_train()
    from ichlite.bench.latency import all_core_counts, bench_model, bench_scan
    from ichlite.bench.machine import describe_machine
    from ichlite.commands.console import print_json, progress
    from ichlite.infer.bundle import load_bundle
    from ichlite.samples import GE_HEAD

    loaded = load_bundle(bundle)
    counts = all_core_counts() if threads is None else (min(threads, max(all_core_counts())),)
    name = "embedded" if bundle is None else loaded.name
    with progress("measuring") as advance:
        # The scan comes first: its peak memory is that of reading, not of the other models.
        scan = bench_scan(loaded, GE_HEAD.files, scan_runs)
        advance(1)
        measured = [bench_model(loaded, count, name=name, runs=runs) for count in counts]
        if every:
            from ichlite.bench.architectures import architecture_bundles

            for built in architecture_bundles():
                measured += [
                    bench_model(built, count, name=built.name, runs=runs) for count in counts
                ]
                advance(1)
    document = {"machine": describe_machine(), "runs": measured, "scan": scan}
    if as_json:
        print_json(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    import sys

    lines = [f"{document['machine']['cpu']}, {document['machine']['cores']} cores", ""]
    lines += [
        f"{run['model']:<16} {run['precision']:<8} {run['threads']} "
        f"thread{'s' * (run['threads'] != 1)}  "
        f"p50 {run['p50_ms']:.2f} ms  p95 {run['p95_ms']:.2f} ms  {run['bytes']} bytes"
        for run in document["runs"]
    ]
    scan = document["scan"]
    lines += [
        "",
        f"scan of {scan['slices']} slices, files to result, one thread: "
        f"{scan['ms_per_slice']:.2f} ms a slice",
        f"limit (bytes + bare inference): {scan['limit_ms_per_slice']:.2f} ms a slice; "
        f"ratio {scan['ratio']:.2f}, on two threads {scan['two_thread_ratio']:.2f}",
        *(f"  {stage:<12} {ms:.3f} ms" for stage, ms in scan["stages_ms"].items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
