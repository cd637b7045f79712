"""Result documents and costs with numbers of one's choice, as the measuring code writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ichlite.contracts.bench import Machine
from ichlite.contracts.evaluation import MetricRow
from ichlite.contracts.run import RunManifest, RunResult, TrainingData
from ichlite.evaluate.intervals import METRICS
from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import Grid, paper_grid
from ichlite.reproduce.campaign_summary import Summary, summarise_runs
from ichlite.reproduce.costs import Costs, Latency
from ichlite.reproduce.kept_runs import MEASURED, Inputs, KeptRun, Metrics, Training
from ichlite.reproduce.results import ROWS, Result
from ichlite.train.recipe import Recipe

METRIC_KEYS = (
    "roc_auc", "average_precision", "sensitivity", "specificity", "accuracy", "balanced_accuracy",
)  # fmt: skip
PLAIN = dict.fromkeys(METRIC_KEYS, 0.8)
Values = Mapping[str, float | None]


def kept_run(
    recipe: Recipe,
    values: Values | None = None,
    *,
    sensitivities: Mapping[str, float] | None = None,
    baseline: float = 0.9,
    draws: int = 0,
    rarest: str = "epidural",
) -> tuple[KeptRun, NDArray[np.float32] | None]:
    """Recipe and metrics of the mean → what is kept of a run, every subtype with the mean's."""
    mean: dict[str, Any] = {**PLAIN, **(values or {}), "positives": 50, "undefined": {}}
    per_class = {
        name: {**mean, "sensitivity": (sensitivities or {}).get(name, mean["sensitivity"])}
        for name in NAMES
    }
    redrawn = None
    if draws:
        noise = np.random.default_rng(0).normal(0, 0.01, (draws, 1, 1))
        middle = np.array([[mean[metric] for metric in METRICS]] * len(ROWS))
        redrawn = (middle + noise).astype(np.float32)
    document = KeptRun(
        schema=MEASURED,
        run=f"{recipe.model}-{recipe.loss}-e{recipe.epochs}-s{recipe.seed}",
        train=RunManifest(
            schema="ichlite-train/1",
            command="",
            recipe=recipe.as_dict(),
            data=TrainingData(
                store="toys",
                kind="phantom",
                store_hash="0",
                images={"train": 0, "validation": 0, "test": 0},
                train_positives={name: 9 - (name == rarest) for name in NAMES},
            ),
            init_sha256=None,
            versions={"keras": "3", "tensorflow": "2"},
            backend="tensorflow",
            machine="x86_64",
            result=RunResult(steps=1, validation_mean_auc=0.8),
        ),
        training=Training(
            epochs=5,
            judged_epoch="4",
            seconds=360.0,
            hours=0.1,
            images_per_s=50.0,
            wait_share=None,
        ),
        test=Metrics(
            slices=100,
            patients=10,
            all_negative_accuracy=baseline,
            mean=MetricRow(**mean),
            per_class={name: MetricRow(**one) for name, one in per_class.items()},
        ),
        inputs=Inputs(best_sha256="0", store_hash="0", draws=draws),
    )
    return document, redrawn


def result(recipe: Recipe, values: Values | None = None, **changes: Any) -> Result:
    """The result of a run that left metrics; arguments as of `kept_run`."""
    document, draws = kept_run(recipe, values, **changes)
    assert document.test is not UNSET
    return Result(document.run, document.train, document.test, draws)


def grid(seeds: tuple[int, ...] = (1, 2, 3)) -> Grid:
    """The paper's grid for some seeds."""
    return paper_grid(Recipe(), seeds=seeds)


def summary(
    models: Mapping[str, Values] | None = None,
    losses: Mapping[str, Values] | None = None,
    *,
    seeds: tuple[int, ...] = (1, 2, 3),
    noise: float = 0.001,
    sensitivities: Mapping[str, Mapping[str, float]] | None = None,
    draws: int = 0,
    rarest: str = "epidural",
) -> Summary:
    """Metrics of each model's and loss' mean → a summary whose seeds scatter by `noise`."""
    results = []
    of_group = {("light_fcn", loss, 6): values for loss, values in (losses or {}).items()}
    of_group |= {(model, "bce", 5): values for model, values in (models or {}).items()}
    for (model, loss, epochs), values in of_group.items():
        for place, seed in enumerate(seeds):
            shift = noise * (place - (len(seeds) - 1) / 2)
            moved = {k: None if v is None else v + shift for k, v in {**PLAIN, **values}.items()}
            own = (sensitivities or {}).get(model)
            results.append(
                result(
                    Recipe(model=model, loss=loss, epochs=epochs, seed=seed),
                    moved,
                    sensitivities=own and {name: v + shift for name, v in own.items()},
                    draws=draws,
                    rarest=rarest,
                )
            )
    return summarise_runs(results, grid(seeds))


def costs(**changes: Mapping[str, float]) -> Costs:
    """Costs near the real ones; a model's can be changed."""
    rows = {
        "light_fcn": (86_853, 187.9e6, 316_632, 1_270_480, 1.2),
        "sfcn": (998_469, 2245e6, 3_983_988, 12_090_816, 9.6),
        "sfcn_depthwise": (136_111, 72.6e6, 529_012, 1_794_848, 0.65),
        "mobilenet_v2": (2_264_389, 800.3e6, 8_828_492, 27_616_352, 4.4),
    }
    models = {
        name: {
            "params": params,
            "flops_256": flops,
            "flops_224": flops * 0.77,
            "tflite_float32_bytes": float32,
            "tflite_int8_bytes": float32 // 3,
            "h5_adam_bytes": h5,
            "saved_model_bytes": h5 * 1.2,
            "latency_float32_ms": Latency(ms, ms * 1.2),
            "latency_int8_ms": Latency(ms / 2, ms),
            **changes.get(name, {}),
        }
        for name, (params, flops, float32, h5, ms) in rows.items()
    }
    return Costs(
        machine=Machine(
            cpu="a test CPU", cores=2, system="Linux x86_64", python="3", ichlite="0", packages={}
        ),
        load_average=0.5,
        runtime="LiteRT, 1 thread",
        turns=100,
        models=models,
        counterparts={
            "no_projection": {"flops_256": 157e6},
            "wide_projection": {"flops_256": 328e6},
        },
    )
