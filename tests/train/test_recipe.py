"""The recipe's defaults are the paper's, and nonsense is refused with its name."""

from __future__ import annotations

import json

import pytest

from ichlite.errors import IchliteError, UnknownName, UsageError
from ichlite.labels import NAMES
from ichlite.option_fields import option_of
from ichlite.train.recipe import Recipe
from ichlite.train.run_manifest import command


def test_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.model, recipe.batch_size, recipe.learning_rate) == ("light_fcn", 64, 0.01)
    assert (recipe.dropout, recipe.augment, recipe.crop_steps) == (0.1, False, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", -1), ("batch_size", 0), ("learning_rate", 0.0), ("dropout", 1.0), ("crop_size", 8),
     ("seed", -1), ("ema_momentum", 1.5), ("steps_per_epoch", 0),
     ("learning_rate", float("nan")), ("learning_rate", float("inf")), ("beta", 1.0),
     ("defer_share", 1.1), ("precision", "float16"), ("clipnorm", -1.0), ("clipnorm", 0.0),
     ("clipnorm", float("nan")), ("seed", 2**40), ("crop_size", 512), ("crop_size", 100),
     ("gamma", -1.0), ("max_margin", -0.1), ("map_weight", -1.0), ("warmup_steps", -1),
     ("crop_steps", -1), ("width", 0), ("bn_momentum", -0.1), ("bleeding_share", -0.1),
     ("brain_level_hu", -1.0), ("shares", (-0.5, 0.5)), ("shares", (0.5, 0.6))],
)  # fmt: skip
def test_nonsense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(IchliteError, match=option_of(Recipe, name)[2:]) as refused:
        Recipe(**{name: value})
    assert refused.value.exit_code == 2


def test_unknown_schedule_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match="constant, cosine"):
        Recipe(schedule="linear")  # type: ignore[arg-type]


def test_only_deferred_weights_change_the_loss_on_the_way() -> None:
    drw = Recipe(loss="ldam_drw", defer_share=0.5)
    assert [drw.loss_at(step, 4) for step in range(4)] == ["ldam", "ldam", "ldam_drw", "ldam_drw"]
    assert Recipe(loss="ldam_drw", defer_share=0.0).loss_at(0, 4) == "ldam_drw"
    assert Recipe(loss="ldam_drw", defer_share=1.0).loss_at(3, 4) == "ldam"
    assert {Recipe(loss="focal").loss_at(step, 4) for step in range(4)} == {"focal"}


def test_subtypes_are_left_out_by_name_and_in_one_order() -> None:
    recipe = Recipe(leave_out=("subdural", "epidural"))
    assert recipe.leave_out == ("epidural", "subdural")
    assert recipe.kept == [1, 2, 3]
    # A manifest is JSON, which has no tuples.
    assert Recipe(**json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert command(recipe, "store").endswith("--leave-out epidural --leave-out subdural")
    with pytest.raises(UnknownName, match=r"subtype to leave out; found dural; .*epidural"):
        Recipe(leave_out=("dural",))
    with pytest.raises(UsageError, match="every subtype is left out"):
        Recipe(leave_out=tuple(NAMES))


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (Recipe(), None),
        (Recipe(schedule="cosine"), "cosine schedule"),
        (Recipe(loss="ldam_drw"), "--defer-share"),
        (Recipe(loss="ldam_drw", defer_share=0.0), None),
        (Recipe(loss="ldam_drw", defer_share=1.0), None),
    ],
)
def test_only_steps_that_know_no_end_can_go_on(recipe: Recipe, reason: str | None) -> None:
    said = recipe.why_no_longer()
    assert said is None if reason is None else reason in str(said)


def test_a_command_says_the_recipe() -> None:
    recipe = Recipe(loss="ldam_drw", beta=0.99, device_windows=True, precision="bfloat16")
    assert command(recipe, "store") == (
        "ichlite train store OUT --loss ldam_drw --beta 0.99 --device-windows --precision bfloat16"
    )


def test_steps() -> None:
    assert Recipe(epochs=3).total_steps(100) == 6
    assert Recipe(epochs=3, crop_steps=10, steps_per_epoch=5).total_steps(100) == 25
    assert Recipe(epochs=1, batch_size=64).epoch_steps(1) == 1


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        Recipe(epochs=0)
    assert Recipe(epochs=0, crop_steps=5).total_steps(100) == 5


def test_scanners_are_varied_with_augmentation_alone() -> None:
    with pytest.raises(UsageError, match="--augment --vary-scanner"):
        Recipe(vary_scanner=True)
    assert Recipe(vary_scanner=True, augment=True).vary_scanner
