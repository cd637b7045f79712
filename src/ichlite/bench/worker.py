"""Run one model in a process of its own: requests on stdin, measurements as JSON lines.

The process is `python -m ichlite.bench.worker RUNTIME MODEL_FILE THREADS SLICES.npy`. Its first
line says how long loading and the first inference took. Then it takes its turns: for `time N` it
gives the milliseconds of N warm inferences, for `logits` those of every slice.
A process of its own gives each model threads, caches and a memory peak that are its alone.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ichlite.bench.machine import peak_rss_mb, rss_mb
from ichlite.bench.runtimes import RUNTIMES, Engine


def main() -> None:
    """Serve until stdin ends."""
    runtime, path, threads, slices_path = sys.argv[1:]
    # Runtimes announce themselves on file descriptor 1, which is for answers.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        slices = np.load(slices_path, mmap_mode="r")
        kind = RUNTIMES[runtime]
        for module in kind.modules:
            import_module(module)
        before_mb = rss_mb()
        start_s = perf_counter()
        engine = kind.engine(Path(path), int(threads))
        init_ms = (perf_counter() - start_s) * 1e3
        engine.load(slices[:1])
        started = {
            "init_ms": init_ms,
            "first_ms": timed_ms(engine, 1)[0],
            "rss_growth_mb": _grown(before_mb),
            "peak_rss_mb": peak_rss_mb(),
        }
        _answer(answers, started)
        for line in sys.stdin:
            _answer(answers, _serve(line.split(), engine, slices))


def timed_ms(engine: Engine, times: int) -> list[float]:
    """Engine and a number of inferences → milliseconds of each."""
    found = []
    for _ in range(times):
        start_s = perf_counter()
        engine.invoke()
        found.append((perf_counter() - start_s) * 1e3)
    return found


def _serve(words: list[str], engine: Engine, slices: Any) -> Any:
    if words[0] == "time":
        engine.invoke()  # another process had the caches since our last turn
        return timed_ms(engine, int(words[1]))
    found = []
    for x in slices:
        engine.load(x[None])
        engine.invoke()
        found.append([float(logit) for logit in engine.logits()])
    engine.load(slices[:1])
    return found


def _grown(before_mb: float | None) -> float | None:
    now_mb = rss_mb()
    return None if before_mb is None or now_mb is None else max(0.0, now_mb - before_mb)


def _answer(answers: Any, document: Any) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
