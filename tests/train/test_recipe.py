"""The recipe's defaults are the paper's, and nonsense is refused with its name."""

from __future__ import annotations

import pytest

from ichlite.errors import IchliteError, UnknownName, UsageError
from ichlite.train.recipe import Recipe


def test_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.model, recipe.batch_size, recipe.learning_rate) == ("light_fcn", 64, 0.01)
    assert (recipe.dropout, recipe.augment, recipe.crop_steps) == (0.1, False, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", -1), ("batch_size", 0), ("learning_rate", 0.0), ("dropout", 1.0), ("crop_size", 8),
     ("seed", -1), ("ema_momentum", 1.5), ("steps_per_epoch", 0),
     ("learning_rate", float("nan")), ("learning_rate", float("inf"))],
)  # fmt: skip
def test_nonsense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(IchliteError, match=name) as refused:
        Recipe(**{name: value})
    assert refused.value.exit_code == 2


def test_unknown_schedule_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match="constant, cosine"):
        Recipe(schedule="linear")  # type: ignore[arg-type]


def test_steps() -> None:
    assert Recipe(epochs=3).total_steps(100) == 6
    assert Recipe(epochs=3, crop_steps=10, steps_per_epoch=5).total_steps(100) == 25
    assert Recipe(epochs=1, batch_size=64).epoch_steps(1) == 1


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        Recipe(epochs=0)
    assert Recipe(epochs=0, crop_steps=5).total_steps(100) == 5
