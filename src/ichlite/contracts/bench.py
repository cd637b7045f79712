"""What `ichlite bench --json` prints: models by runtime, a scan by stage, and the roofline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ichlite.contracts.codec import Document
from ichlite.contracts.values import Count

Milliseconds = Annotated[float, Meta(ge=0)]
Ratio = Annotated[float, Meta(ge=0)]
Quartiles = tuple[Ratio, Ratio, Ratio]
StagesMs = Mapping[str, Milliseconds]
"""Stage → milliseconds a slice, in the order of the stages."""


class Machine(Document, frozen=True, kw_only=True):
    """What was measured on."""

    cpu: str
    cores: Count
    system: str
    python: str
    ichlite: str
    packages: Mapping[str, str | None]


class LoadAverage(Document, frozen=True, kw_only=True):
    """The machine's load before and after; None where the system does not say."""

    before: float | None
    after: float | None


class Reference(Document, frozen=True, kw_only=True):
    """The entry whose times, of the same rounds, the ratios are against."""

    model: str
    precision: str
    runtime: str
    threads: Count


class Protocol(Document, frozen=True, kw_only=True):
    """How it was measured: inferences of an entry, of its turn, and starts of its process."""

    runs: Count
    turn: Count
    starts: Count
    batch: Count
    input: tuple[int, ...]
    reference: Reference


class RunEntry(Document, frozen=True, kw_only=True):
    """A model under a runtime on so many threads; what cannot be told is None.

    Attributes:
        model, precision, runtime, threads: What was run.
        min_ms, p50_ms, p95_ms, p99_ms, inferences: Times of a slice.
        init_ms, first_ms, rss_growth_mb, peak_rss_mb: Of a process that starts.
        ratio, ratio_quartiles, ratio_of_quickest: Against the reference.
        bytes, gzip_bytes, zstd_bytes, arena_bytes: Of the model file, and of its work space.
        params, flops: Of the architecture.
        max_probability_difference: Between this runtime and the reference.
    """

    model: str
    precision: str
    runtime: str
    threads: Count
    min_ms: Milliseconds
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    inferences: Count
    init_ms: Milliseconds
    first_ms: Milliseconds
    rss_growth_mb: float | None
    peak_rss_mb: float | None
    ratio: Ratio | UnsetType | None = UNSET
    ratio_quartiles: Quartiles | UnsetType | None = UNSET
    ratio_of_quickest: Ratio | UnsetType | None = UNSET
    bytes: Count
    gzip_bytes: Count
    zstd_bytes: Count | None
    arena_bytes: Count | UnsetType | None = UNSET
    params: Count | None
    flops: Count | None
    max_probability_difference: float | None


class Comparison(Document, frozen=True, kw_only=True):
    """One entry's time over another's, of the same rounds on one thread."""

    fastest: str | UnsetType = UNSET
    ratio: Ratio
    ratio_quartiles: Quartiles
    ratio_of_quickest: Ratio


class Comparisons(Document, frozen=True, kw_only=True):
    """The ratios that are asked for most; None where not measured."""

    litert_to_fastest_runtime: Comparison | None
    mobilenet_v2_to_light_fcn: Comparison | None
    mobilenet_v2_to_bundle: Comparison | UnsetType | None = UNSET


class CompressedScan(Document, frozen=True, kw_only=True):
    """The sample study as it is shipped, compressed."""

    transfer_syntax_uid: str
    stages_ms: StagesMs


class SyntaxEntry(Document, frozen=True, kw_only=True):
    """The sample study in a transfer syntax, from files to result.

    Attributes:
        transfer_syntax_uid, name: The syntax.
        package: What decodes it; None where nothing has to.
        bytes_per_slice: Of its files.
        quickest_ms_per_slice, two_thread_quickest_ms_per_slice: Of the quickest readings.
        ratio_of_quickest: On one thread, over that of explicit little endian.
    """

    transfer_syntax_uid: str
    name: str
    package: str | None
    bytes_per_slice: Count
    quickest_ms_per_slice: Milliseconds
    two_thread_quickest_ms_per_slice: Milliseconds
    ratio_of_quickest: Ratio


class ScanEntry(Document, frozen=True, kw_only=True):
    """From the files of a scan to its result.

    Attributes:
        slices: Of the sample study.
        ms_per_slice: Files to result, one thread.
        limit_ms_per_slice: Reading the files' bytes and bare inference, one thread.
        ratio, ratio_of_quickest: The first over the second.
        two_thread_ratio, two_thread_ratio_of_quickest: Two threads over the same limit.
        stages_ms: Each stage alone.
        as_shipped: The same study compressed.
        syntaxes: The same study in every transfer syntax that can be written.
        peak_rss_mb: Of this process.
        read_slices, read_peak_rss_mb: A fresh `ichlite read` of so many slices.
    """

    slices: Count
    ms_per_slice: Milliseconds
    limit_ms_per_slice: Milliseconds
    ratio: Ratio
    ratio_of_quickest: Ratio | UnsetType = UNSET
    two_thread_ratio: Ratio | None
    two_thread_ratio_of_quickest: Ratio | UnsetType | None = UNSET
    stages_ms: StagesMs
    as_shipped: CompressedScan | UnsetType | None = UNSET
    syntaxes: tuple[SyntaxEntry, ...] | UnsetType = UNSET
    peak_rss_mb: float | None
    read_slices: Count | UnsetType = UNSET
    read_peak_rss_mb: float | UnsetType | None = UNSET


class Bandwidth(Document, frozen=True, kw_only=True):
    """Bytes a second that one core moves within a working set of that size."""

    working_set_bytes: Count
    bytes_per_s: float


class LayerBound(Document, frozen=True, kw_only=True):
    """The least time that a layer can take, and what limits it: operations or bytes."""

    layer: int
    kind: str
    output_shape: tuple[int, ...]
    flops: Count
    bytes: Count
    bytes_per_s: float
    bound_ms: Milliseconds
    limit: str


class Roofline(Document, frozen=True, kw_only=True):
    """A model's time against what the machine could do at best.

    Attributes:
        peak_flops_per_s, memory_bytes_per_s, bandwidths: Of the machine, measured.
        p50_ms, min_ms: Of the model.
        flops, bytes: That it needs and moves.
        bound_ms, share, share_of_quickest: The sum of its layers' bounds, over its times.
        simple_bound_ms, simple_share: The larger of all operations and all bytes, and the same.
        layers: Each one's bound.
    """

    model: str
    precision: str
    runtime: str
    threads: Count
    peak_flops_per_s: float
    memory_bytes_per_s: float
    bandwidths: tuple[Bandwidth, ...]
    p50_ms: Milliseconds
    min_ms: Milliseconds
    flops: Count
    bytes: Count
    bound_ms: Milliseconds
    share: Ratio
    share_of_quickest: Ratio
    simple_bound_ms: Milliseconds
    simple_share: Ratio
    layers: tuple[LayerBound, ...]


class BenchDocument(Document, frozen=True, kw_only=True):
    """Everything that one benchmark measured.

    Attributes:
        date: Of its end, ISO 8601.
        machine, load_average, protocol: Where and how.
        runs: One entry a model, runtime and number of threads.
        comparisons: Ratios of some of them.
        scan: Files to result.
        roofline: None where it was not asked for.
    """

    date: str
    machine: Machine
    load_average: LoadAverage
    protocol: Protocol
    runs: tuple[RunEntry, ...]
    comparisons: Comparisons
    scan: ScanEntry
    roofline: Roofline | None
