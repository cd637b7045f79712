"""Measure what keeping freed memory does for a training step, as one JSON document.

Fresh processes take turns: the system's allocator as it is, and as `ichlite` sets it up
(`allocator.py`). Each warms up, then times full-frame steps of Keras' `train_on_batch` on one
ready batch and counts page faults and processor time. The ratio is of medians of the same rounds.

    python benchmarks/step_memory.py --rounds 3 --out benchmarks/results/step_memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

WARM_UP = 3
SIDES = ("as it is", "kept")


def one_side(side: str, model_name: str, batch_size: int, steps: int) -> dict[str, float]:
    """Measure what a step of one side costs, in this process, which must be a fresh one."""
    import resource

    from ichlite.allocator import keep_memory

    if side == "kept" and not keep_memory():
        raise SystemExit("the allocator cannot be told: not glibc, or set up by hand")
    import keras
    import numpy as np

    from ichlite.models import build
    from ichlite.train.losses import Bce

    model = build(model_name)
    model.compile(keras.optimizers.Adam(1e-3), Bce(), jit_compile=False)
    images = np.random.default_rng(0).random((batch_size, 256, 256, 3), np.float32)
    labels = np.zeros((batch_size, 5), np.float32)
    for _ in range(WARM_UP):
        model.train_on_batch(images, labels)
    before, times = resource.getrusage(resource.RUSAGE_SELF), []
    for _ in range(steps):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        times.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "s_per_step": median(times),
        "faults_per_step": (after.ru_minflt - before.ru_minflt) / steps,
        "user_s_per_step": (after.ru_utime - before.ru_utime) / steps,
        "system_s_per_step": (after.ru_stime - before.ru_stime) / steps,
        "peak_rss_mb": after.ru_maxrss / 1e3,
    }


def fresh(side: str, words: argparse.Namespace) -> dict[str, float]:
    """Return `one_side` as a process of its own measures it."""
    command = [sys.executable, __file__, "--side", side, "--model", words.model]
    command += ["--batch-size", str(words.batch_size), "--steps", str(words.steps)]
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    env["TF_CPP_MIN_LOG_LEVEL"] = "2"
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="light_fcn")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    if words.side is not None:
        print(json.dumps(one_side(words.side, words.model, words.batch_size, words.steps)))
        return
    from msgspec import structs

    from ichlite.bench.machine import describe_machine

    rounds = [{side: fresh(side, words) for side in SIDES} for _ in range(words.rounds)]
    result: dict[str, Any] = {
        "benchmark": "step_memory",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": structs.asdict(describe_machine(("keras", "tensorflow-cpu"))),
        "model": words.model,
        "batch_size": words.batch_size,
        "steps": words.steps,
        "rounds": rounds,
        "times_faster": median(
            one["as it is"]["s_per_step"] / one["kept"]["s_per_step"] for one in rounds
        ),
    }
    text = json.dumps(result, indent=2) + "\n"
    if words.out:
        words.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
