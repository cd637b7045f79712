"""`ichlite pareto`: compare bundles by cost and accuracy, and say which one to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import PlainJson

EPILOG = "Example: ichlite pareto bundles --reference light_fcn-float32 --out pareto"


def pareto(
    bundles: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE...", help="Bundles (embedded: the shipped one), or folders of bundles."
        ),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Bundle that the others are judged against; by default the first by name.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder to make for pareto.json, pareto.md and pareto.png."
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Inferences to time for each bundle.")
    ] = 200,
    max_auc_drop: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", help="Mean test ROC AUC that a bundle may lose and still be shipped."
        ),
    ] = 0.005,
    max_subtype_drop: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", help="Test ROC AUC that a bundle may lose of any one subtype."
        ),
    ] = 0.02,
    as_json: PlainJson = False,
) -> None:
    """Compare bundles by ROC AUC, time, size and FLOPs, and name the one to ship."""
    from ichlite.atomic_files import check_folder, write_json, write_text

    if out is not None:
        check_folder(out)
    need_train()
    from ichlite.bench.bench_report import pareto_markdown
    from ichlite.bench.pareto_front import bundles_in, measure_bundles, pareto_document
    from ichlite.bench.pareto_plot import plot_pareto
    from ichlite.commands.console import print_json, progress
    from ichlite.compress.settings import Gate
    from ichlite.errors import UsageError
    from ichlite.infer.bundle import load_bundle

    gate = Gate(max_auc_drop, max_subtype_drop)
    loaded = [load_bundle(path) for path in bundles_in(bundles)]
    names = [one.name for one in loaded]
    chosen = reference or names[0]
    if chosen not in names:
        raise UsageError(
            "--reference names no bundle of this comparison",
            found=chosen,
            expected=f"one of {', '.join(names)}",
        )
    with progress("measuring") as advance:
        points = measure_bundles(loaded, runs=runs, advance=advance)
    document = pareto_document(points, points[names.index(chosen)], gate)
    text = pareto_markdown(document)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "pareto.json", document)
        write_text(out / "pareto.md", text)
        plot_pareto(document, out / "pareto.png")
    if as_json:
        print_json(document)
    else:
        typer.echo(text, nl=False)
