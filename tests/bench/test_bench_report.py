"""A document as people get it: Markdown and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.documents import document, timing

from ichlite.bench.bench_report import bench_markdown

PNG = b"\x89PNG"


def test_everything_measured_is_in_the_tables() -> None:
    text = bench_markdown(
        document(
            timing("light_fcn", ms=2.0),
            timing("light_fcn", runtime="onnxruntime", ms=1.0, of_ms=2.0, difference=0.0),
            timing("mobilenet_v2", ms=9.0),
            with_roofline=True,
        )
    )
    row = next(line for line in text.splitlines() if "| onnxruntime |" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "light_fcn", "float32", "onnxruntime", "1", "3.00", "2.50", "1.00", "1.00", "1.00", "0.50",
        "0.50 0.50 0.50", "0e+00",
    ]  # fmt: skip
    text = " ".join(text.split())
    assert "LiteRT takes 2.00 times the time (quartiles of the rounds 2.00 2.00 2.00;" in text
    assert "MobileNetV2 float32 takes 4.50" in text
    assert "load average 0.1 before, unknown after." in text
    assert "50% of the bound is reached (75% by the quickest inference)" in text
    assert "`ichlite read` holds 73.0 MB at most, with 36 slices 74.0 MB" in text
    assert "| 1 | ADD | 4x4x2 |" in text
    assert "| RLE | codec | 250 | 5.00 | 1.50 | 2.00 |" in text


def test_tables_are_tables() -> None:
    text = bench_markdown(document(timing("embedded", "int8"), with_roofline=True))
    blocks = [part.strip().split("\n") for part in text.split("\n\n") if part.startswith("|")]
    assert len(blocks) == 5
    for lines in blocks:
        assert len({line.count("|") for line in lines}) == 1
        assert len({len(line) for line in lines}) == 1


def test_a_light_document_has_no_ratios_of_what_was_not_measured() -> None:
    text = bench_markdown(document(timing("embedded", "int8")))
    assert "Roofline" not in text
    assert "Ratios in this run" not in text
    assert "None" not in text


@pytest.mark.parametrize("several", [True, False])
def test_pictures(tmp_path: Path, several: bool) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with ichlite[train]")
    from ichlite.bench.bench_plots import plot_bench, plot_roofline

    timings = [timing("embedded", "int8", ms=0.9)]
    if several:
        timings += [
            timing(model, runtime=runtime, threads=threads, ms=2.5 / threads)
            for model in ("light_fcn", "sfcn")
            for runtime in ("litert", "keras")
            for threads in (1, 2)
        ]
    made = document(*timings, with_roofline=True)
    assert made.roofline is not None
    for path in (
        plot_bench(made, tmp_path / "bench.png"),
        plot_roofline(made.roofline, tmp_path / "roofline.png"),
    ):
        assert path.read_bytes()[:4] == PNG
