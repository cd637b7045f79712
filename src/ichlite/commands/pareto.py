"""`ichlite pareto`: compare bundles by cost and accuracy, and say which one to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.needs import need_train

EPILOG = "Example: ichlite pareto bundles --reference light_fcn-float32 --out pareto"


def pareto(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles of `ichlite compress`, or folders of them.")
    ],
    reference: Annotated[
        str | None,
        typer.Option(help="Bundle that none may fall behind; default: the first by name."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for pareto.json, pareto.md and pareto.png.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Inferences timed of each.")] = 200,
    max_auc_drop: Annotated[float, typer.Option(help="Gate: mean test ROC AUC lost.")] = 0.005,
    max_subtype_drop: Annotated[
        float, typer.Option(help="Gate: test ROC AUC lost by any one subtype.")
    ] = 0.02,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Set bundles beside each other: ROC AUC against time, size and FLOPs."""
    need_train()
    import tempfile
    from datetime import UTC, datetime

    import numpy as np

    from ichlite.atomic_files import replacing, write_json
    from ichlite.bench.machine import describe_machine
    from ichlite.bench.pareto_front import bundles_in, measure_bundles, pareto_document
    from ichlite.bench.pareto_plot import plot_pareto
    from ichlite.bench.pareto_report import pareto_markdown
    from ichlite.bench.study import some_windows
    from ichlite.commands.console import check_is_folder, print_json, progress
    from ichlite.compress.gate import Gate
    from ichlite.errors import UnknownName
    from ichlite.infer.bundle import load_bundle
    from ichlite.samples import GE_HEAD

    gate = Gate(max_auc_drop, max_subtype_drop)
    if out is not None:
        check_is_folder(out)
    loaded = [load_bundle(path) for path in bundles_in(bundles)]
    names = [one.name for one in loaded]
    chosen = reference or names[0]
    if chosen not in names:
        raise UnknownName("bundle", chosen, names)
    with tempfile.TemporaryDirectory() as folder, progress("measuring") as advance:
        slices = Path(folder) / "slices.npy"
        np.save(slices, some_windows(GE_HEAD.files))
        points = measure_bundles(loaded, slices, runs=runs, advance=advance)
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        **pareto_document(points, points[names.index(chosen)], gate),
    }
    text = pareto_markdown(document)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "pareto.json", document)
        with replacing(out / "pareto.md") as part:
            part.write_text(text, encoding="utf-8")
        plot_pareto(document, out / "pareto.png")
    if as_json:
        print_json(document)
    else:
        typer.echo(text, nl=False)
