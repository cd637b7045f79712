"""A run: its files, its best epoch, resuming where it stopped, refusing to become another."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError, StoreError, UsageError
from ichlite.evaluate.metrics import validation_auc
from ichlite.models import MODELS, light_fcn
from ichlite.models.saved import load, predict
from ichlite.train import training_loop
from ichlite.train.batches import Batches
from ichlite.train.checkpoint import averaged
from ichlite.train.devices import OUT_OF_MEMORY
from ichlite.train.recipe import Recipe
from ichlite.train.setup import (
    SILENT,
    compile_model,
    learning_rate,
    loss_of,
    prepare_model,
    training_arguments,
)
from ichlite.train.training_loop import Progress, Run, fit

RECIPE = Recipe(
    epochs=2, batch_size=6, steps_per_epoch=3, crop_steps=2, crop_size=64, learning_rate=0.003,
    loss="ldam", schedule="cosine", warmup_steps=2, clipnorm=1.0, ema_momentum=0.5, augment=True,
)  # fmt: skip
STEPS = 2 + 2 * 3


@pytest.fixture(autouse=True, scope="module")
def small_and_eager() -> Iterator[None]:
    """LightFCN with few channels, and no tracing of graphs, which takes longer than the steps."""

    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(expansions=(8, 8), width=4, head_width=8, **hyperparameters)

    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=15)


def run(store: Store, folder: Path, recipe: Recipe = RECIPE, **options: Any) -> Any:
    return fit(recipe, store, folder, **options)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Finished(NamedTuple):
    """A run that went through, and the steps that it reported."""

    run: Run
    seen: list[int]

    @property
    def folder(self) -> Path:
        return self.run.folder


@pytest.fixture(scope="module")
def finished(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    seen: list[int] = []
    folder = tmp_path_factory.mktemp("fit") / "run"
    done = run(store, folder, on_step=lambda p: seen.append(p.step), store_name="toy")
    return Finished(done, seen)


def test_a_run_leaves_all_its_files(store: Store, finished: Finished) -> None:
    assert finished.seen == list(range(1, STEPS + 1))
    assert (finished.run.steps, finished.run.resumed_at) == (STEPS, 0)
    rows = rows_of(finished.folder)
    assert [(r["step"], r["epoch"], r["phase"]) for r in rows] == [
        ("2", "0", "crops"), ("5", "1", "frames"), ("8", "2", "frames"),
    ]  # fmt: skip
    best = max(float(r["validation_mean_roc_auc"]) for r in rows)
    assert finished.run.best == pytest.approx(best)
    assert list((finished.folder / "tensorboard").iterdir())
    manifest = json.loads((finished.folder / "train.json").read_text())
    assert manifest["data"]["store_hash"] == store.hash
    assert manifest["data"]["images"] == {"train": 54, "validation": 18, "test": 18}
    assert manifest["recipe"]["loss"] == "ldam"
    chosen = max(rows, key=lambda r: float(r["validation_mean_roc_auc"]))
    assert manifest["result"] == {
        "steps": STEPS,
        "validation_mean_auc": pytest.approx(best),
        "chosen_by": "validation_mean_roc_auc",
        "best_step": int(chosen["step"]),
    }
    assert manifest["stretches"] == [{"epochs": 2, "steps": STEPS}]
    assert "--crop-steps 2" in manifest["command"]
    assert str(finished.folder.parent) not in json.dumps(manifest)


def test_best_is_the_model_of_the_best_score(store: Store, finished: Finished) -> None:
    rows = store.rows("validation")
    auc = validation_auc(store.labels[rows], predict(load(finished.folder), store, rows))["mean"]
    assert auc == pytest.approx(finished.run.best, abs=1e-5)


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), number)

    return stop


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_where_it_stopped(
    store: Store, finished: Finished, tmp_path: Path, number: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", on_step=stop_at(4, number))
    seen: list[int] = []
    done = run(store, tmp_path / "run", on_step=lambda p: seen.append(p.step))
    assert done.resumed_at == 4
    assert seen == [5, 6, 7, 8]
    broken, whole = rows_of(tmp_path / "run"), rows_of(finished.folder)
    assert [r["step"] for r in broken] == [r["step"] for r in whole]
    # The optimiser, its schedule and the data go on as if nothing had happened.
    for column in ("learning_rate", "validation_bce"):
        np.testing.assert_allclose(
            [float(r[column]) for r in broken], [float(r[column]) for r in whole], rtol=0.05
        )


@pytest.mark.long
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)

    def die(progress: Progress) -> None:
        if progress.step == 7:
            raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        run(store, tmp_path / "run", on_step=die)
    assert run(store, tmp_path / "run").resumed_at == 6
    assert [r["step"] for r in rows_of(tmp_path / "run")] == ["2", "5", "8"]


def test_a_finished_run_is_not_run_again(store: Store, finished: Finished) -> None:
    before = (finished.folder / "best.keras").read_bytes()
    again = run(
        store, finished.folder, on_step=lambda _: pytest.fail("trained again"), store_name="toy"
    )
    assert again.resumed_at == STEPS
    assert again.best == pytest.approx(finished.run.best)
    assert (finished.folder / "best.keras").read_bytes() == before


def test_another_recipe_or_store_is_refused(
    store: Store, finished: Finished, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"found .*loss ldam.*expected .*loss bce"):
        run(store, finished.folder, replace(RECIPE, loss="bce"), store_name="toy")
    other = make_store(tmp_path / "other", patients=15, seed=1)
    with pytest.raises(UsageError, match="data"):
        run(other, finished.folder, store_name="toy")


def test_a_refused_run_leaves_no_folder_that_refuses_later(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(store, tmp_path / "run", replace(RECIPE, model="resnet"))
    assert run(store, tmp_path / "run", replace(RECIPE, epochs=0)).steps == 2


@pytest.mark.long
def test_init_starts_from_a_checkpoint(store: Store, finished: Finished, tmp_path: Path) -> None:
    start = finished.folder / "best.keras"
    still = Recipe(batch_size=6, epochs=1, steps_per_epoch=2, learning_rate=1e-9)
    run(store, tmp_path / "second", still, init=start)
    one, two = load(start), load(tmp_path / "second")
    for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    light_fcn(expansions=(16,), width=4, head_width=8).save(tmp_path / "other.keras")
    with pytest.raises(UsageError, match="other weights"):
        run(store, tmp_path / "third", init=tmp_path / "other.keras")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model at"):
        load(tmp_path)
    (tmp_path / "best.keras").write_text("PK")
    with pytest.raises(InputError, match="is no Keras model"):
        load(tmp_path)


def test_the_seed_makes_the_weights(store: Store) -> None:
    one, again, other = (prepare_model(replace(RECIPE, seed=s), 10) for s in (1, 1, 2))
    weights = [np.concatenate([w.ravel() for w in m.get_weights()]) for m in (one, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_averaged_weights_are_only_lent(store: Store) -> None:
    model = prepare_model(RECIPE, 10)
    compile_model(model, model.optimizer, loss_of(RECIPE, "ldam", np.full(5, 4), 9), RECIPE)
    x, y = np.zeros((2, 64, 64, 3), np.float32), np.eye(5, dtype=np.float32)[:2]
    for _ in range(3):
        model.train_on_batch(x, y)
    own = [np.array(v) for v in model.trainable_variables]
    with averaged(model):
        lent = [np.array(v) for v in model.trainable_variables]
    assert any(not np.array_equal(a, b) for a, b in zip(own, lent, strict=True))
    for value, variable in zip(own, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_cosine_warms_up_and_comes_down() -> None:
    rates = [
        float(learning_rate(replace(RECIPE, learning_rate=1.0, warmup_steps=10), 110)(step))
        for step in range(0, 111, 10)
    ]
    assert rates[0] == pytest.approx(0.01)
    assert rates[1] == pytest.approx(1.0)
    assert rates[6] == pytest.approx(0.505, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert learning_rate(Recipe(), 100) == 0.01


def test_a_store_without_validation_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    whole = make_store(tmp_path / "store")
    only_train = replace(whole, split=np.full(len(whole), "train"))
    with pytest.raises(StoreError, match="the validation split is empty"):
        fit(RECIPE, only_train, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_stops_with_a_reason(tmp_path: Path) -> None:
    recipe = replace(RECIPE, learning_rate=1e30, schedule="constant", clipnorm=None)
    with pytest.raises(IchliteError, match="diverged"):
        fit(recipe, make_store(tmp_path / "store"), tmp_path / "run")


def test_a_seed_means_the_weights_that_it_always_meant() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "light_fcn", light_fcn)  # type: ignore[arg-type]
        prepared = prepare_model(Recipe(seed=3), 10)
    stem, logits = (prepared.get_layer(name).get_weights()[0] for name in ("stem", "logits"))
    np.testing.assert_allclose(stem[0, 0, 0, :2], [-0.00057097, -0.13361688], atol=1e-7)
    np.testing.assert_allclose(logits[0, :2], [-0.23195446, -0.1084718], atol=1e-7)
    assert prepared.get_layer("dropout").seed_generator.state.numpy().tolist() == [591400508, 0]


@pytest.mark.long
@pytest.mark.parametrize("loss", ["bce", "focal", "ldam"])
def test_training_is_the_bare_loop_of_the_papers_losses(
    store: Store, tmp_path: Path, loss: str
) -> None:
    recipe = Recipe(loss=loss, epochs=1, batch_size=6, steps_per_epoch=2, learning_rate=0.003)
    run(store, tmp_path / "run", recipe)
    batches = Batches(store, recipe)
    model = prepare_model(recipe, 2)
    counts = batches.labels.sum(axis=0), len(batches.labels)
    compile_model(model, model.optimizer, loss_of(recipe, loss, *counts), recipe)
    for step in range(2):
        model.train_on_batch(*training_arguments(model, batches.step(step)))
    for mine, theirs in zip(
        load(tmp_path / "run" / "last.keras").get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


DRW = replace(RECIPE, loss="ldam_drw", defer_share=0.6, augment=False, ema_momentum=None)
SWITCH = round(0.6 * STEPS)


def losses_of(store: Store, folder: Path, recipe: Recipe) -> list[float]:
    losses: list[float] = []
    run(store, folder, recipe, on_step=lambda progress: losses.append(progress.loss))
    return losses


def all_weights(folder: Path) -> np.ndarray:
    model = load(folder / "last.keras", compiled=True)
    return np.concatenate([np.ravel(v) for v in [*model.weights, *model.optimizer.variables]])


class Deferred(NamedTuple):
    """A run of `DRW` that was never stopped."""

    folder: Path
    losses: list[float]


@pytest.fixture(scope="module")
def deferred(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Deferred:
    folder = tmp_path_factory.mktemp("drw") / "whole"
    return Deferred(folder, losses_of(store, folder, DRW))


@pytest.mark.long
@pytest.mark.parametrize("step", [SWITCH - 1, SWITCH, SWITCH + 1])
def test_a_resumed_run_is_the_uninterrupted_one(
    store: Store, deferred: Deferred, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", DRW, on_step=stop_at(step))
    losses = losses_of(store, tmp_path / "run", DRW)
    np.testing.assert_allclose(losses, deferred.losses[step:], rtol=1e-5)
    np.testing.assert_allclose(
        all_weights(tmp_path / "run"), all_weights(deferred.folder), rtol=1e-4, atol=1e-6
    )
    # Of the whole epoch, too, and not of its steps after the stop alone.
    broken, whole = rows_of(tmp_path / "run"), rows_of(deferred.folder)
    np.testing.assert_allclose(
        [float(row["loss"]) for row in broken], [float(row["loss"]) for row in whole], rtol=1e-5
    )
    assert float(whole[1]["loss"]) == pytest.approx(np.mean(deferred.losses[2:5]), rel=1e-5)


@pytest.mark.long
def test_the_loss_changes_at_its_step_and_the_optimiser_does_not(
    store: Store, deferred: Deferred, tmp_path: Path
) -> None:
    plain = losses_of(store, tmp_path / "ldam", replace(DRW, loss="ldam"))
    np.testing.assert_allclose(deferred.losses[:SWITCH], plain[:SWITCH], rtol=1e-5)
    assert abs(deferred.losses[SWITCH] - plain[SWITCH]) > 1e-3
    last = load(deferred.folder / "last.keras", compiled=True)
    assert int(last.optimizer.iterations) == STEPS


@pytest.mark.long
def test_a_run_begun_before_an_argument_existed_goes_on(store: Store, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", DRW, on_step=stop_at(STEPS - 1))
    file = tmp_path / "run" / "train.json"
    begun = json.loads(file.read_text())
    for name in ("beta", "device_windows", "precision"):
        del begun["recipe"][name]
    file.write_text(json.dumps(begun))
    with pytest.raises(UsageError, match=r"found beta 0.9999.*expected beta 0.9;"):
        run(store, tmp_path / "run", replace(DRW, beta=0.9))
    assert run(store, tmp_path / "run", DRW).resumed_at == STEPS - 1


@pytest.mark.long
def test_windows_made_on_the_device_train_the_same_model(
    store: Store, deferred: Deferred, tmp_path: Path
) -> None:
    device = replace(DRW, device_windows=True)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", device, on_step=stop_at(SWITCH))
    losses = losses_of(store, tmp_path / "run", device)
    np.testing.assert_allclose(losses, deferred.losses[SWITCH:], rtol=1e-4)
    for kind in ("best.keras", "last.keras"):
        assert load(tmp_path / "run" / kind).input_shape == (None, None, None, 3)
    np.testing.assert_allclose(
        all_weights(tmp_path / "run"), all_weights(deferred.folder), rtol=1e-3, atol=1e-4
    )


@pytest.mark.long
def test_bfloat16_trains_and_leaves_a_float32_model(
    store: Store, deferred: Deferred, tmp_path: Path
) -> None:
    half = replace(DRW, precision="bfloat16")
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", half, on_step=stop_at(3))
    losses: list[float] = []
    done = run(store, tmp_path / "run", half, on_step=lambda p: losses.append(p.loss))
    np.testing.assert_allclose(losses, deferred.losses[3:], rtol=0.1)
    # In earnest: the same to the last bits would be no bfloat16 at all.
    assert not np.allclose(losses, deferred.losses[3:], rtol=1e-6)
    for kind in ("best.keras", "last.keras"):
        model = load(tmp_path / "run" / kind)
        assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
        assert {v.dtype for v in model.trainable_variables} == {"float32"}
    rows = store.rows("validation")
    logits = predict(load(tmp_path / "run"), store, rows)
    assert validation_auc(store.labels[rows], logits)["mean"] == pytest.approx(done.best, abs=1e-5)


def test_waiting_for_batches_is_counted(finished: Finished) -> None:
    def batches() -> Iterator[int]:
        for batch in range(3):
            time.sleep(0.05)
            yield batch

    clock = training_loop._Clock()
    for _ in clock.waiting(batches()):
        time.sleep(0.1)
    assert 0.15 <= clock.waited < clock.seconds() - 0.3
    for row in rows_of(finished.folder):
        assert 0 <= float(row["wait_share"]) <= 1


@pytest.mark.parametrize(("count", "message"), [(0, "from 1 to 1"), (2, "KERAS_BACKEND=jax")])
def test_devices_that_are_not_there_are_refused(
    store: Store, tmp_path: Path, count: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(store, tmp_path / "run", device_count=count)
    assert not (tmp_path / "run").exists()


def test_a_folder_has_one_run_at_a_time(store: Store, tmp_path: Path) -> None:
    refused: list[str] = []

    def another(progress: Progress) -> None:
        if progress.step == 1:
            with pytest.raises(UsageError, match="run is being written by another process") as two:
                run(store, tmp_path / "run", SHORT)
            refused.append(str(two.value))

    assert run(store, tmp_path / "run", SHORT, on_step=another).steps == 2
    assert len(refused) == 1
    assert "\n" not in refused[0]
    assert run(store, tmp_path / "run", SHORT).resumed_at == 2


SHORT = Recipe(epochs=1, batch_size=6, steps_per_epoch=2, learning_rate=0.003)


@pytest.mark.long
def test_a_finished_run_goes_on_to_more_epochs(store: Store, tmp_path: Path) -> None:
    once = run(store, tmp_path / "once", replace(SHORT, epochs=2))
    run(store, tmp_path / "twice", SHORT, store_name="toy")
    longer = run(store, tmp_path / "twice", replace(SHORT, epochs=2), store_name="toy")
    assert (longer.resumed_at, longer.steps) == (2, 4)
    np.testing.assert_allclose(
        all_weights(tmp_path / "twice"), all_weights(tmp_path / "once"), rtol=1e-4, atol=1e-6
    )
    assert longer.best_step == once.best_step
    manifest = json.loads((tmp_path / "twice" / "train.json").read_text())
    assert manifest["recipe"]["epochs"] == 2
    assert "--epochs 2" in manifest["command"]
    assert manifest["result"]["steps"] == 4
    assert manifest["stretches"] == [{"epochs": 1, "steps": 2}, {"epochs": 2, "steps": 4}]
    with pytest.raises(UsageError, match=r"found epochs 2; expected epochs 1"):
        run(store, tmp_path / "twice", SHORT, store_name="toy")


@pytest.mark.long
def test_a_run_that_goes_on_has_no_result_until_it_ends(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "run", SHORT)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", replace(SHORT, epochs=2), on_step=stop_at(3))
    manifest = json.loads((tmp_path / "run" / "train.json").read_text())
    assert "result" not in manifest
    assert run(store, tmp_path / "run", replace(SHORT, epochs=2)).resumed_at == 3
    manifest = json.loads((tmp_path / "run" / "train.json").read_text())
    assert manifest["stretches"] == [{"epochs": 1, "steps": 2}, {"epochs": 2, "steps": 4}]


@pytest.mark.long
def test_a_run_whose_steps_depend_on_its_length_does_not_go_on(
    store: Store, finished: Finished, deferred: Deferred
) -> None:
    for folder, recipe in ((finished.folder, RECIPE), (deferred.folder, DRW)):
        name = "toy" if folder == finished.folder else "STORE"
        with pytest.raises(UsageError, match=r"2 epochs, which cannot go on to 3; found a cosine"):
            run(store, folder, replace(recipe, epochs=3), store_name=name)
        assert "result" in json.loads((folder / "train.json").read_text())


def without(store: Store, split: str, subtypes: list[int]) -> Store:
    labels = np.array(store.labels)
    rows = store.rows(split)
    labels[np.ix_(rows, subtypes)] = 0
    return replace(store, labels=labels)


@pytest.mark.long
def test_without_any_auc_the_lowest_cross_entropy_is_the_best(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.3, 0.4])
    monkeypatch.setattr(training_loop, "_bce", lambda *_: next(losses))
    blank = without(store, "validation", [0, 1, 2, 3, 4])
    recipe = replace(SHORT, epochs=3)
    done = run(blank, tmp_path / "run", recipe)
    assert (done.best, done.best_step, done.chosen_by) == (None, 4, "validation_bce")
    result = json.loads((tmp_path / "run" / "train.json").read_text())["result"]
    assert (result["best_step"], result["chosen_by"]) == (4, "validation_bce")
    two = load(tmp_path / "run" / "best.keras", compiled=True)
    assert int(two.optimizer.iterations) == 4


@pytest.mark.long
def test_the_last_epoch_is_kept_when_asked(store: Store, tmp_path: Path) -> None:
    done = run(store, tmp_path / "run", replace(SHORT, epochs=2, keep="last"))
    assert (done.best_step, done.chosen_by) == (4, "last")


@pytest.mark.long
def test_a_subtype_that_no_image_has_is_left_out(store: Store, tmp_path: Path) -> None:
    poor = without(without(store, "train", [0]), "validation", [1, 2, 3, 4])
    recipe = replace(SHORT, loss="ldam", epochs=2)
    with pytest.raises(UsageError, match="--leave-out epidural"):
        run(poor, tmp_path / "run", recipe)
    recipe = replace(recipe, leave_out=("epidural",))
    with pytest.raises(KeyboardInterrupt):
        run(poor, tmp_path / "run", recipe, on_step=stop_at(3))
    done = run(poor, tmp_path / "run", recipe)
    assert done.resumed_at == 3
    # Validation has epidurals alone, of which the run says nothing.
    assert done.chosen_by == "validation_bce"
    assert {row["validation_roc_auc_epidural"] for row in rows_of(done.folder)} == {""}
    manifest = json.loads((done.folder / "train.json").read_text())
    assert manifest["recipe"]["leave_out"] == ["epidural"]
    logits = predict(load(done.folder), poor, poor.rows("validation"))
    np.testing.assert_allclose(logits[:, 0], SILENT, atol=1e-5)
    assert np.ptp(logits[:, 1]) > 0
    with pytest.raises(
        UsageError, match=r"found .*leave_out \['epidural'\].*expected .*leave_out \[\]"
    ):
        run(store, done.folder, replace(recipe, loss="bce", leave_out=()))


@pytest.mark.long
def test_a_start_knows_nothing_of_what_is_left_out(
    store: Store, finished: Finished, tmp_path: Path
) -> None:
    recipe = replace(SHORT, leave_out=("subdural",), crop_steps=2, crop_size=64)
    done = run(store, tmp_path / "run", recipe, init=finished.folder / "best.keras")
    logits = predict(load(done.folder), store, store.rows("validation"))
    np.testing.assert_allclose(logits[:, 4], SILENT, atol=1e-5)


def test_a_batch_that_no_memory_holds_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="100000000 images does not fit in memory"):
        run(store, tmp_path / "run", replace(SHORT, batch_size=100_000_000))
    assert not (tmp_path / "run").exists()


def own_model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((256, 256, 3)),
            keras.layers.AveragePooling2D(16),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(5, name="answers"),
        ],
        name="own_net",
    )


def squared(labels: Any, logits: Any) -> Any:
    return keras.ops.mean((labels - keras.ops.sigmoid(logits)) ** 2, axis=-1)


def test_a_model_and_a_loss_of_ones_own_are_trained_and_go_on(store: Store, tmp_path: Path) -> None:
    recipe = replace(SHORT, epochs=2, leave_out=("epidural",))
    own: dict[str, Any] = {"model": own_model, "loss": squared}
    run(store, tmp_path / "whole", recipe, **own)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", recipe, on_step=stop_at(3), **own)
    assert run(store, tmp_path / "run", recipe, **own).resumed_at == 3
    np.testing.assert_allclose(
        all_weights(tmp_path / "run"), all_weights(tmp_path / "whole"), rtol=1e-4, atol=1e-6
    )
    manifest = json.loads((tmp_path / "run" / "train.json").read_text())
    assert (manifest["recipe"]["model"], manifest["recipe"]["loss"]) == ("own_model", "squared")
    assert manifest["command"].endswith("# in Python, with a model and loss of its own")
    trained = keras.models.load_model(tmp_path / "run" / "best.keras")
    assert trained.get_layer("answers").get_weights()[1][0] == SILENT
    with pytest.raises(UsageError, match=r"found model own_model; expected model light_fcn"):
        run(store, tmp_path / "run", recipe, loss=squared)


@pytest.mark.parametrize(
    ("shape", "outputs", "found"),
    [((128, 128, 3), 5, r"\(None, 128, 128, 3\)"), ((256, 256, 3), 6, r"\(None, 6\)")],
)
def test_a_model_that_does_not_fit_is_refused(
    store: Store, tmp_path: Path, shape: tuple[int, ...], outputs: int, found: str
) -> None:
    image = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(outputs)(pooled))
    with pytest.raises(UsageError, match=f"cannot be trained on the slices of a store.*{found}"):
        run(store, tmp_path / "run", SHORT, model=model)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["best.keras", "last.keras"])
def test_a_saved_model_asks_for_nothing_but_keras(finished: Finished, kind: str) -> None:
    with ZipFile(finished.folder / kind) as archive:
        config = archive.read("config.json").decode()
    assert "ichlite" not in config
    loaded = keras.models.load_model(finished.folder / kind)
    assert int(loaded.optimizer.iterations) > 0


def test_too_little_memory_is_one_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object) -> None:
        raise MemoryError("Unable to allocate 9.9 GiB")

    monkeypatch.setattr(Batches, "step", step)
    with pytest.raises(IchliteError, match=r"not enough memory.*9\.9 GiB.*--batch-size") as failure:
        run(store, tmp_path / "run", SHORT)
    assert failure.value.code == OUT_OF_MEMORY


@pytest.mark.long
def test_a_damaged_checkpoint_is_one_line(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "run", SHORT)
    (tmp_path / "run" / "last.keras").write_text("PK")
    with pytest.raises(InputError, match=r"last.keras is damaged"):
        run(store, tmp_path / "run", SHORT)
