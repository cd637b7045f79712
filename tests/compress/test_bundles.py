"""An order of bundles: where each goes, what it is called, and what is refused beforehand."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest
from tests.made_runs import run_on

from ichlite.compress import bundles
from ichlite.compress.bundles import Order, make_bundles
from ichlite.compress.export import Export, Exported, reference_auc
from ichlite.compress.settings import Gate, Shrinking, Tuning
from ichlite.compress.source import Source
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UnknownName, UsageError
from ichlite.train.recipe import Recipe

BOTH = Shrinking((0.5,), clusters=16)


@pytest.mark.parametrize(
    ("order", "folder", "label"),
    [
        (Order(Path("out")), "out", "net-int8"),
        (Order(Path("out"), name="small"), "out", "small"),
        (Order(Path("out"), ("float16", "int8")), "out/int8", "net-int8"),
        (Order(Path("out"), shrinking=BOTH, every_step=True), "out/pruned", "net-pruned-int8"),
        (
            Order(Path("out"), ("int8", "dynamic"), BOTH, every_step=True, name="small"),
            "out/pruned/int8",
            "small-pruned-int8",
        ),
    ],
)
def test_where_each_bundle_goes_and_what_it_is_called(
    order: Order, folder: str, label: str
) -> None:
    assert order.folder("pruned", "int8") == Path(folder)
    assert order.label("net", "pruned", "int8") == label


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"precisions": ("int4",)}, UnknownName),
        (
            {"precisions": ("float32", "int8"), "shrinking": Shrinking(quantization_aware=True)},
            None,
        ),
        ({"shrinking": Shrinking((0.5,)), "every_step": True}, None),
        ({"name": "two\nlines"}, None),
    ],
)
def test_orders_that_cannot_be_met_are_refused(
    wrong: dict[str, Any], fault: type[Exception] | None
) -> None:
    with pytest.raises(fault or UsageError):
        Order(Path("out"), **wrong)


@pytest.mark.parametrize("wrong", [{"sparsity": 2.0}, {"sparsity": -0.1}, {"clusters": 3}])
def test_shares_and_counts_are_checked_before_any_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Shrinking(**wrong)


def test_bundles_are_not_put_inside_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    Order(tmp_path, force=True).check_folders()
    for order in (
        Order(tmp_path, ("float32", "int8")),
        Order(tmp_path, shrinking=BOTH, every_step=True),
    ):
        with pytest.raises(UsageError, match="is a bundle"):
            order.check_folders()


def test_a_bundle_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    for order in (Order(tmp_path / "one"), Order(tmp_path / "two", ("float16", "int8"))):
        order.check_folders()
        folder = order.folder("", order.precisions[-1])
        folder.mkdir(parents=True)
        order.check_folders()  # an empty folder is as good as none
        (folder / "model.tflite").write_text("")
        with pytest.raises(UsageError, match=r"holds a bundle; name a new folder, .*--force"):
            order.check_folders()
        replace(order, force=True).check_folders()


def test_what_a_step_had_done_is_what_its_bundle_says() -> None:
    every = Shrinking((0.5,), 0.5, 0.3, 16, True)
    assert every.steps == ("pruned", "sparse", "clustered")
    assert every.until("pruned") == Shrinking((0.5,), 0.5)
    assert every.until("sparse") == Shrinking((0.5,), 0.5, 0.3, None, True)
    assert every.until("clustered") == every
    assert Shrinking(quantization_aware=True).steps == ("rounded",)
    assert Shrinking().steps == ()


def test_the_command_in_the_manifest_is_the_command_to_the_last_digit() -> None:
    order = Order(
        Path("out"), ("int8",), Shrinking((0.123456789,), clusters=16),
        Tuning(steps=1_234_567, seed=7_654_321), Gate(0.0123456789),
    )  # fmt: skip
    teacher = Path("/somewhere/runs/sfcn/best.keras")
    assert shlex.split(order.command("clustered", "int8", "a name", teacher)) == [
        *("ichlite", "compress", "RUN", "STORE", "OUT", "--precision", "int8"),
        *("--keep-channels", "0.123456789", "--clusters", "16", "--steps", "1234567"),
        *("--seed", "7654321", "--max-auc-drop", "0.0123456789"),
        *("--teacher", "sfcn/best.keras", "--name", "a name"),
    ]


@pytest.mark.long
def test_a_bundle_that_is_refused_stops_no_other(
    tmp_path: Path, store: Store, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    sizes: list[int] = []

    def export(
        model: keras.Model, store: Store, folder: Path, _: Any, wanted: Export, **words: Any
    ) -> Exported:
        asked.append(words)
        if folder.name == "float16":
            raise IchliteError(f"{wanted.name} fails")
        sizes.append(model.count_params())
        nothing: Any = None
        return Exported(folder, *[nothing] * 5)

    monkeypatch.setattr(bundles, "export", export)
    order = Order(
        tmp_path / "out", ("float16", "int8"), Shrinking((0.5,), clusters=4),
        Tuning(steps=1, batch_size=2), every_step=True,
    )  # fmt: skip
    training = run_on(store)
    told: list[Path] = []
    said: list[str] = []
    written, refused = make_bundles(
        order, Source(model, training, Recipe()), store,
        report=said.append, on_bundle=lambda one: told.append(one.path),
    )  # fmt: skip
    out = tmp_path / "out"
    assert told == [one.path for one in written] == [out / "pruned/int8", out / "clustered/int8"]
    assert [one.path for one in refused] == [out / "pruned/float16", out / "clustered/float16"]
    assert [str(one.fault) for one in refused] == [line for line in said if "fails" in line]
    # The gate is against the model as it was, whatever the step.
    assert all(one["reference"] == reference_auc(model, store) for one in asked)
    assert sizes[0] > sizes[1], "folded after the first step"
