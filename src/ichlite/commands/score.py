"""`ichlite score`: score an archive of studies on a Ray cluster, into Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.options import BundleFolder, Force, PlainJson

if TYPE_CHECKING:
    from ichlite.contracts.score import ScoreSummary

EPILOG = (
    "Example: ichlite score archive/ scores/ --ray auto. The same command again resumes. Exit "
    "code 1: a series was not analysed, or a file was skipped."
)
SHOWN = 20
"""Lines about what was not analysed; all of it is in the data set."""


def score(
    archive: Annotated[
        Path, typer.Argument(help="Folder of DICOM studies, in any tree of folders.")
    ],
    out: Annotated[
        Path, typer.Argument(help="Folder to make for two Parquet data sets, slices and studies.")
    ],
    bundle: BundleFolder = None,
    ray: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Ray cluster to run on: local, auto or HOST:PORT."),
    ] = "local",
    force: Force = False,
    as_json: PlainJson = False,
) -> None:
    """Read every study of an archive on many cores or machines, into Parquet."""
    from ichlite.atomic_files import check_place
    from ichlite.commands.console import print_json, progress, require, say

    check_place(archive, out)
    require("ray", "ray", "pyarrow")
    from ichlite.cluster.ray_score import score_archive
    from ichlite.cluster.session import session
    from ichlite.contracts.codec import to_json_value

    with session(ray) as cluster, progress("scoring studies") as advance:
        summary = score_archive(
            archive,
            out,
            cluster,
            bundle=bundle,
            force=force,
            on_found=lambda count: say(
                f"studies to read: {count}; cores: {cluster.cpus}; machines: {cluster.nodes}"
            ),
            on_studies=advance,
        )
    for line in _problems(summary):
        say(line)
    if as_json:
        print_json(to_json_value(summary))
    else:
        say(
            f"{summary.scored} studies in {summary.seconds:.1f} s "
            f"({summary.studies_per_s:.2f} studies/s), {summary.scored_before} done before: "
            f"{summary.series.analysed} series analysed, {summary.series.not_analysed} not, "
            f"{summary.slices} slices in {out}"
        )
    if not summary.succeeded:
        raise typer.Exit(1)


def _problems(summary: ScoreSummary) -> list[str]:
    from ichlite.write.escaping import printable

    lines = [
        f"{what}: study {one.study}: {' | '.join(one.reasons)}"
        for what, some in (
            ("not analysed", summary.not_analysed),
            ("not cleared", summary.not_cleared),
        )
        for one in some
    ]
    lines += [f"skipped: {one.file}: {one.reason}" for one in summary.skipped_files]
    lines += summary.warnings
    lines += [f"study {uid} has other files than when it was read" for uid in summary.changed]
    more = [f"and {len(lines) - SHOWN} more; see the data set"] if len(lines) > SHOWN else []
    return [printable(line) for line in lines[:SHOWN]] + more
