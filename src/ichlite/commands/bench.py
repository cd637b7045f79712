"""`ichlite bench`: compare the cost of models and runtimes, and time the reading of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import BundleFolder, PlainJson

if TYPE_CHECKING:
    from ichlite.contracts.bench import BenchDocument

EPILOG = "Example: ichlite bench --all --runtimes litert,onnxruntime --roofline --out bench"


def bench(
    bundle: BundleFolder = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Time the paper's four models, too (needs ichlite[train])."),
    ] = False,
    runtimes: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Runtimes to compare, separated by commas: litert, onnxruntime, openvino, keras. "
            "Each runs float32 LightFCN, with --all all four models (needs ichlite[train,bench]).",
        ),
    ] = "litert",
    with_roofline: Annotated[
        bool,
        typer.Option(
            "--roofline",
            help="Compare LightFCN's time with the least that this machine's peak rates allow "
            "(needs ichlite[train]).",
        ),
    ] = False,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Inferences to time for each line of the table.")
    ] = 200,
    scan_runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Readings of the sample study to time.")
    ] = 25,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Threads of an inference, at most one a core; by default both 1 and all cores.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder to make for bench.json, bench.md and plots."),
    ] = None,
    as_json: PlainJson = False,
) -> None:
    """Time the inference of models, turn by turn, and a sample study from files to result."""
    from ichlite.atomic_files import check_folder
    from ichlite.bench.bench_document import Plan, bench_document
    from ichlite.bench.bench_report import bench_markdown
    from ichlite.commands.console import print_json, progress
    from ichlite.errors import UsageError
    from ichlite.infer.bundle import EMBEDDED, EMBEDDED_WORD, load_bundle
    from ichlite.infer.reader import usable_cores

    chosen = _runtimes(runtimes)
    cores = usable_cores()
    counts = tuple(sorted({1, cores})) if threads is None else (min(threads, cores),)
    if with_roofline and 1 not in counts:
        raise UsageError("--roofline is of one thread", found=f"--threads {threads}")
    if out is not None:
        check_folder(out)
    architectures: tuple[str, ...] = ()
    if every or with_roofline or len(chosen) > 1:
        need_train()
        from ichlite.bench.interleaved_timing import REFERENCE
        from ichlite.models import MODELS

        # lesion_fcn is measured as what it is made for, a bundle.
        paper = tuple(name for name in MODELS if name != "lesion_fcn")
        architectures = paper if every else REFERENCE[:1]
    loaded = load_bundle(bundle)
    plan = Plan(
        bundle=loaded,
        name=EMBEDDED_WORD if loaded.path == EMBEDDED else loaded.name,
        architectures=architectures,
        runtimes=chosen,
        threads=counts,
        runs=runs,
        scan_runs=scan_runs,
        with_roofline=with_roofline,
    )
    with progress("measuring") as advance:
        document = bench_document(plan, advance)
    if out is not None:
        _write(document, out)
    if as_json:
        print_json(document)
    else:
        typer.echo(bench_markdown(document), nl=False)


def _runtimes(words: str) -> tuple[str, ...]:
    """Return the names in `litert,openvino`, LiteRT always the first, all of them installed."""
    from ichlite.bench.runtimes import LITERT, RUNTIMES
    from ichlite.commands.console import require
    from ichlite.errors import check_name

    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        check_name("runtime", name, RUNTIMES)
        kind = RUNTIMES[name]
        if kind.extra is not None:
            require(kind.extra, *kind.needs)
    return tuple(dict.fromkeys([LITERT, *names]))


def _write(document: BenchDocument, out: Path) -> None:
    """Write bench.json, bench.md and, where matplotlib is installed, the plots."""
    from importlib.util import find_spec

    from ichlite.atomic_files import write_json, write_text
    from ichlite.bench.bench_report import bench_markdown
    from ichlite.commands.console import say
    from ichlite.errors import MissingExtra

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "bench.json", document)
    write_text(out / "bench.md", bench_markdown(document))
    if find_spec("matplotlib") is None:
        say(f"no plots: {MissingExtra('train', 'matplotlib')}")
        return
    from ichlite.bench.bench_plots import plot_bench, plot_roofline

    plot_bench(document, out / "bench.png")
    if document.roofline is not None:
        plot_roofline(document.roofline, out / "roofline.png")
