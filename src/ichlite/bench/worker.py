"""Load a model in a process of its own, and time its inferences there when asked.

A process of its own gives each model threads, caches and a memory peak that are its alone. It is
`python -m ichlite.bench.worker RUNTIME MODEL_FILE THREADS SLICES.npy` and answers in lines of JSON:
first what its start took and the logits of every slice, then, for each number that it reads, the
milliseconds of so many warm inferences.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from timeit import repeat
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.peak_memory import peak_rss_mb, rss_mb
from ichlite.bench.runtimes import RUNTIMES, Contender, Engine
from ichlite.errors import IchliteError


@dataclass(frozen=True, slots=True)
class Start:
    """Time and memory that a fresh process needed to load its model and run it once.

    Attributes:
        init_ms: Milliseconds from the imported runtime to a model with allocated memory.
        first_ms: Milliseconds of the first inference.
        rss_growth_mb: Resident memory added by loading and the first inference, MB; None where
            unknown.
        peak_rss_mb: Peak resident memory of the process until then, MB; None where unknown.
    """

    init_ms: float
    first_ms: float
    rss_growth_mb: float | None
    peak_rss_mb: float | None


class Worker:
    """Handle on a child process that has loaded a model and times inferences on request.

    Attributes:
        start: Time and memory of loading the model and of the first inference.
        logits: (slice, 5) float64 logits of every slice that the process was started with.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._name, self._process, self._errors = name, process, errors
        start, logits = self._answer()
        self.start = Start(**start)
        self.logits: NDArray[np.float64] = np.array(logits)

    def times_ms(self, number: int) -> list[float]:
        """Time warm inferences in the child process.

        Args:
            number: Number of inferences.

        Returns:
            Milliseconds of each inference.
        """
        with suppress(BrokenPipeError):  # why it has gone is said by `_answer`
            print(number, file=self._process.stdin, flush=True)
        return list(self._answer())

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if line:
            return json.loads(line)
        self._process.wait()  # until all is said
        self._errors.seek(0)
        said = [one.strip() for one in self._errors.read().splitlines() if one.strip()]
        raise IchliteError(f"{self._name} cannot be measured", found=said[-1] if said else None)


@contextmanager
def started(contender: Contender, threads: int, slices: Path) -> Iterator[Worker]:
    """Start a process that loads a model and runs it once; stop it when the context ends.

    Args:
        contender: Model file and the runtime to load it with.
        threads: Threads of the runtime.
        slices: `.npy` file of windows (slice, 256, 256, 3) float32 in [0, 1].

    Raises:
        IchliteError: The runtime cannot load or run the model.
    """
    words = [contender.runtime, str(contender.path), str(threads), str(slices)]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "ichlite.bench.worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        try:
            yield Worker(f"{' '.join(contender.key)}, threads: {threads}", process, errors)
        finally:
            process.kill()


def main() -> None:
    """Load the model that the command line names, and answer requests until stdin closes."""
    runtime, path, threads, slices_path = sys.argv[1:]
    # Runtimes announce themselves on file descriptor 1, which is for answers.
    with os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii") as answers:
        os.dup2(2, 1)
        slices = np.load(slices_path, mmap_mode="r")
        for module in RUNTIMES[runtime].modules:
            import_module(module)
        before_mb, start_s = rss_mb(), perf_counter()
        engine = RUNTIMES[runtime].load(Path(path), int(threads))
        init_ms = (perf_counter() - start_s) * 1e3
        engine.put(slices[:1])
        (first_ms,) = _timed_ms(engine, 1)
        now_mb = rss_mb()
        grown_mb = None if before_mb is None or now_mb is None else max(0.0, now_mb - before_mb)
        start = Start(init_ms, first_ms, grown_mb, peak_rss_mb())
        logits = [engine.run(x[None]).tolist() for x in slices]
        engine.put(slices[:1])
        print(json.dumps([asdict(start), logits]), file=answers)
        for line in sys.stdin:
            engine.invoke()  # another process had the caches since our last turn
            print(json.dumps(_timed_ms(engine, int(line))), file=answers)


def _timed_ms(engine: Engine, times: int) -> list[float]:
    return [seconds * 1e3 for seconds in repeat(engine.invoke, number=1, repeat=times)]


if __name__ == "__main__":
    main()
