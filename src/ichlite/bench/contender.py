"""Start a process for one model, runtime and thread count, and ask it for measurements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from msgspec import UNSET

from ichlite.errors import IchliteError
from ichlite.infer.bundle import MODEL_FILE, Bundle


@dataclass(frozen=True, slots=True)
class Contender:
    """A model file and the runtime that is to run it.

    Attributes:
        model, precision, runtime: As they are listed.
        path: What the runtime loads.
        params, flops: Of the architecture; None where not known.
    """

    model: str
    precision: str
    runtime: str
    path: Path
    params: int | None = None
    flops: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Model, precision and runtime."""
        return self.model, self.precision, self.runtime


def bundle_contender(bundle: Bundle, name: str, runtime: str) -> Contender:
    """A bundle, the name it is to have in the list, and a runtime → what is to be measured."""
    cost = bundle.manifest.cost
    return Contender(
        name,
        bundle.manifest.precision,
        runtime,
        bundle.path / MODEL_FILE,
        None if cost is UNSET else cost.params,
        None if cost is UNSET else cost.flops_256,
    )


@dataclass(frozen=True, slots=True)
class Start:
    """What a fresh process says of loading its model.

    Attributes:
        init_ms: From the runtime, imported, to a model whose memory is allocated.
        first_ms: Of the first inference.
        rss_growth_mb: Memory that the two took; None where the system does not say.
        peak_rss_mb: Of the whole process until then, Python, numpy and runtime included.
    """

    init_ms: float
    first_ms: float
    rss_growth_mb: float | None
    peak_rss_mb: float | None


class Worker:
    """A process of `worker.py`, seen from here."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._name = name
        self._process = process
        self._errors = errors
        self.start = Start(**self._answer())

    def times_ms(self, number: int) -> list[float]:
        """Milliseconds of so many warm inferences."""
        return list(self._ask(f"time {number}"))

    def logits(self) -> list[list[float]]:
        """Logits (slice, 5) of every slice that it was started with."""
        return list(self._ask("logits"))

    def _ask(self, words: str) -> Any:
        with suppress(BrokenPipeError):  # why it has gone is said by `_answer`
            print(words, file=self._process.stdin, flush=True)
        return self._answer()

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
    """Within: a process of its own that has loaded a model and run it once.

    Args:
        contender: What to run.
        threads: Of the runtime.
        slices: `.npy` of windows (slice, 256, 256, 3) float32.

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
