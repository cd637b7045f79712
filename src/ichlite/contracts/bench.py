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
    """The computer that the benchmark ran on.

    Attributes:
        cpu: Name of the processor.
        cores: Number of cores that the process may use.
        system: Operating system and its version.
        python, ichlite: Versions.
        packages: Name of a package that takes part → its version; None where it is not installed.
    """

    cpu: str
    cores: Count
    system: str
    python: str
    ichlite: str
    packages: Mapping[str, str | None]


class LoadAverage(Document, frozen=True, kw_only=True):
    """The system's one-minute load average around the benchmark; None where it has none.

    Attributes:
        before, after: Processes that run or wait to run, before the first measurement and after
            the last.
    """

    before: float | None
    after: float | None


class Reference(Document, frozen=True, kw_only=True):
    """The entry that all others are compared with: their times are divided by its times.

    Attributes:
        model, precision, runtime: What ran.
        threads: Number of threads.
    """

    model: str
    precision: str
    runtime: str
    threads: Count


class Protocol(Document, frozen=True, kw_only=True):
    """How models were timed: they take turns, so that a busy moment slows all of them alike.

    Attributes:
        runs: Inferences of each entry in all.
        turn: Inferences that an entry does before the next entry's turn.
        starts: Fresh processes that are started for each entry, to time loading and measure memory.
        batch: Slices in one inference.
        input: Shape of the input.
        reference: Entry that the others are compared with.
    """

    runs: Count
    turn: Count
    starts: Count
    batch: Count
    input: tuple[int, ...]
    reference: Reference


class RunEntry(Document, frozen=True, kw_only=True):
    """Times and sizes of one model in one runtime; what cannot be measured is None.

    Attributes:
        model, precision, runtime: What ran.
        threads: Number of threads.
        min_ms, p50_ms, p95_ms, p99_ms: Shortest, median, 95th and 99th percentile of the times of
            one slice, in milliseconds.
        inferences: Number of times that these come from.
        init_ms: Time to load the model in a fresh process, in milliseconds.
        first_ms: Time of its first inference, in milliseconds.
        rss_growth_mb: Resident memory that loading and inference added, in MB (10^6 bytes).
        peak_rss_mb: Largest resident memory of that process, in MB.
        ratio: Median of this entry's times over the median of the reference's.
        ratio_quartiles: First quartile, median and third quartile of the quotients of each round.
        ratio_of_quickest: Shortest time over the reference's shortest time.
        bytes, gzip_bytes, zstd_bytes: Size of the model file as it is and compressed.
        arena_bytes: Working memory that the runtime reserves for tensors.
        params: Number of parameters.
        flops: Floating-point operations for one slice.
        max_probability_difference: Largest difference of a probability from the reference runtime.
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
    """The time of one entry divided by that of another, both on one thread.

    Attributes:
        fastest: Name of the runtime that was the fastest, where the comparison is with it.
        ratio: Quotient of the median times.
        ratio_quartiles: First quartile, median and third quartile of the quotients of each round.
        ratio_of_quickest: Quotient of the shortest times.
    """

    fastest: str | UnsetType = UNSET
    ratio: Ratio
    ratio_quartiles: Quartiles
    ratio_of_quickest: Ratio


class Comparisons(Document, frozen=True, kw_only=True):
    """The comparisons that README and figures lead with; None where not measured.

    Attributes:
        litert_to_fastest_runtime: LiteRT over the fastest other runtime, on the same network.
        mobilenet_v2_to_light_fcn: MobileNetV2 over LightFCN, as in the paper's table of times.
        mobilenet_v2_to_bundle: MobileNetV2 over the embedded bundle's network.
    """

    litert_to_fastest_runtime: Comparison | None
    mobilenet_v2_to_light_fcn: Comparison | None
    mobilenet_v2_to_bundle: Comparison | UnsetType | None = UNSET


class CompressedScan(Document, frozen=True, kw_only=True):
    """The time of each stage of reading the sample study from compressed files.

    Attributes:
        transfer_syntax_uid: TransferSyntaxUID of the files.
        stages_ms: Stage → milliseconds a slice.
    """

    transfer_syntax_uid: str
    stages_ms: StagesMs


class SyntaxEntry(Document, frozen=True, kw_only=True):
    """The time of reading the sample study in one transfer syntax, from files to result.

    Attributes:
        transfer_syntax_uid, name: UID and name of the transfer syntax (DICOM PS3.5).
        package: Package that decodes it; None where pixels are not compressed.
        bytes_per_slice: Mean size of a file.
        quickest_ms_per_slice: Time of the quickest reading on one thread, milliseconds a slice.
        two_thread_quickest_ms_per_slice: The same on two threads.
        ratio_of_quickest: Quickest time on one thread over that of uncompressed files (explicit
            VR little endian).
    """

    transfer_syntax_uid: str
    name: str
    package: str | None
    bytes_per_slice: Count
    quickest_ms_per_slice: Milliseconds
    two_thread_quickest_ms_per_slice: Milliseconds
    ratio_of_quickest: Ratio


class ScanEntry(Document, frozen=True, kw_only=True):
    """The time from the files of the sample study to its result, and the memory that it takes.

    Attributes:
        slices: Number of slices of the sample study.
        ms_per_slice: Time from files to result on one thread, milliseconds a slice.
        limit_ms_per_slice: Time that could not be saved: reading the files' bytes and inference
            alone, on one thread.
        ratio: `ms_per_slice` over `limit_ms_per_slice`.
        ratio_of_quickest: The same of the quickest readings.
        two_thread_ratio, two_thread_ratio_of_quickest: The same with the time on two threads, over
            the limit on one.
        stages_ms: Stage → milliseconds a slice when it runs alone.
        as_shipped: Stages of reading the compressed files that the package contains.
        syntaxes: Times for each transfer syntax that the study can be written in.
        peak_rss_mb: Largest resident memory of the benchmark's process, in MB.
        read_slices: Number of slices that a fresh process of `ichlite read` read.
        read_peak_rss_mb: Largest resident memory of that process, in MB.
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
    """How fast one core reads and writes memory.

    Attributes:
        working_set_bytes: Size of the memory that is gone through again and again; a small one
            stays in a cache.
        bytes_per_s: Bytes moved in a second.
    """

    working_set_bytes: Count
    bytes_per_s: float


class LayerBound(Document, frozen=True, kw_only=True):
    """The least time that one layer can take on this machine.

    Attributes:
        layer: Place of the layer in the model file, from 0.
        kind: Name of the operator.
        output_shape: Shape of its output.
        flops: Floating-point operations.
        bytes: Bytes of its inputs, weights and outputs.
        bytes_per_s: Memory speed at a working set of that size.
        bound_ms: The larger of the time for its operations and the time for its bytes.
        limit: Which of the two is larger: operations or bytes.
    """

    layer: int
    kind: str
    output_shape: tuple[int, ...]
    flops: Count
    bytes: Count
    bytes_per_s: float
    bound_ms: Milliseconds
    limit: str


class Roofline(Document, frozen=True, kw_only=True):
    """How near a model's time comes to the best that the machine could do (roofline model).

    Attributes:
        model, precision, runtime, threads: What ran.
        peak_flops_per_s: Most floating-point operations a second, measured.
        memory_bytes_per_s: Memory speed where no cache helps, measured.
        bandwidths: Memory speeds at other sizes.
        p50_ms, min_ms: Median and shortest time of a slice, in milliseconds.
        flops: Floating-point operations for one slice.
        bytes: Bytes that all layers move for one slice.
        bound_ms: Sum of the least times of all layers.
        share, share_of_quickest: `bound_ms` over the median and over the shortest time; 1 is best.
        simple_bound_ms: The larger of the time for all operations and the time for all bytes.
        simple_share: `simple_bound_ms` over the median time.
        layers: Least time of each layer.

    Source:
        Williams, Waterman and Patterson, Roofline, Communications of the ACM 52(4), 2009.
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
        date: When it ended, ISO 8601.
        machine: Computer that it ran on.
        load_average: How busy the computer was.
        protocol: How models were timed.
        runs: One entry for each model, precision, runtime and number of threads.
        comparisons: Ratios of some entries.
        scan: Time from files to result.
        roofline: How near the time comes to the machine's best; None where not asked for.
    """

    date: str
    machine: Machine
    load_average: LoadAverage
    protocol: Protocol
    runs: tuple[RunEntry, ...]
    comparisons: Comparisons
    scan: ScanEntry
    roofline: Roofline | None
