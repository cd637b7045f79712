"""A deterministic run gives the same bits again, interrupted or not, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

_SCRIPT = """
import csv, hashlib, json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.toy import make_store
from ichlite.errors import UsageError
from ichlite.evaluate.metrics import validation_auc
from ichlite.models import MODELS, light_fcn
from ichlite.models.saved import load
from ichlite.train import setup
from ichlite.train.training_loop import fit
from ichlite.train.recipe import Recipe

def small(**options):
    return light_fcn(expansions=(32, 64), width=32, head_width=64, **options)

# Keras' own, whose sums come out otherwise from run to run where several operations run at a time.
setup.fuse_normalization = lambda _: None
MODELS["light_fcn"] = small
folder = Path(sys.argv[1])
store = make_store(folder / "store", patients=10)
recipe = Recipe(
    loss="ldam", epochs=2, steps_per_epoch=2, batch_size=16, learning_rate=0.003, augment=True,
    ema_momentum=0.5, deterministic=True,
)

def train(name, recipe=recipe, stop=None):
    def interrupt(progress):
        if progress.step == stop:
            os.kill(os.getpid(), signal.SIGINT)
    try:
        fit(recipe, store, folder / name, on_step=interrupt)
    except KeyboardInterrupt:
        return
    digest = hashlib.sha256()
    for kind in ("best.keras", "last.keras"):
        model = load(folder / name / kind, compiled=True)
        for variable in [*model.weights, *model.optimizer.variables]:
            digest.update(variable.numpy().tobytes())
    with (folder / name / "history.csv").open(newline="") as file:
        rows = [
            {k: v for k, v in row.items() if k not in ("images_per_s", "seconds", "wait_share")}
            for row in csv.DictReader(file)
        ]
    return {"weights": digest.hexdigest(), "history": rows}

document = {}
if "late" in sys.argv:
    train("late", replace(recipe, deterministic=False))
    try:
        train("refused")
    except UsageError as refusal:
        document["late"] = str(refusal)
else:
    document["whole"] = train("whole")
    document["again"] = train("again")
    train("resumed", stop=3)
    document["resumed"] = train("resumed")
    train("longer", replace(recipe, epochs=1))
    document["longer"] = train("longer")
print(json.dumps(document))
"""


def in_a_process(*words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *words],
        env={k: v for k, v in os.environ.items() if k != "TF_NUM_INTEROP_THREADS"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return in_a_process(str(tmp_path_factory.mktemp("runs")))


@pytest.mark.parametrize("name", ["again", "resumed", "longer"])
def test_a_deterministic_run_is_the_same_to_the_last_bit(runs: Any, name: str) -> None:
    assert runs[name] == runs["whole"]
    assert len(runs[name]["history"]) == 2


def test_determinism_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    line = in_a_process(str(tmp_path), "late")["late"]
    assert "--deterministic comes too late" in line
    assert "train in a new process" in line
    assert not (tmp_path / "refused").exists()
