"""Compress a trained model step by step: prune, fold, sparsify, share values.

Each step is made good by fine-tuning before the next. The result has no batch normalisation, and
its weights have the form that the file will keep: gone, zero, shared, or fit for int8's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import keras

from ichlite.compress.constraints import Clusters, Constraint, Sparsity
from ichlite.compress.fake_quant import quantization_aware, take_weights
from ichlite.compress.fine_tune import fine_tune, teacher_name
from ichlite.compress.fold import fold
from ichlite.compress.prune import CRITERION, prune_channels
from ichlite.compress.settings import CLUSTERED, PRUNED, ROUNDED, SPARSE, Shrinking, Tuning
from ichlite.contracts.bundle import CompressionSpec, TuningSpec
from ichlite.data.store import Store
from ichlite.train.recipe import Recipe


def compression_spec(
    shrinking: Shrinking, tuning: Tuning, teacher: Path | None
) -> CompressionSpec | None:
    """Return a description of the compression for a manifest; None where there was none.

    Args:
        shrinking: Compression that was done.
        tuning: Fine-tuning settings that were used.
        teacher: Run folder or `.keras` file of the teacher; None: the model before compression.
    """
    if not shrinking.changes:
        return None
    return CompressionSpec(
        **asdict(shrinking),
        criterion=CRITERION if shrinking.prunes else None,
        tuning=TuningSpec(**asdict(tuning)),
        teacher=None if teacher is None else teacher_name(teacher),
    )


def shrink_by_steps(
    model: keras.Model,
    store: Store,
    recipe: Recipe,
    shrinking: Shrinking,
    tuning: Tuning,
    *,
    teacher: keras.Model | None = None,
    report: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Iterator[tuple[str, keras.Model]]:
    """Compress a model step by step, with fine-tuning after each step.

    Args:
        model: Trained model; it is not changed.
        store: Store to fine-tune on.
        recipe: Recipe of the run that made the model.
        shrinking: Compression steps to do.
        tuning: Settings of each fine-tuning.
        teacher: Model that the compressed one learns from; None: the model before compression.
        report: Called with one line of text at each step.
        on_step: Called after each fine-tuning step with its number, from 1, and its loss.

    Yields:
        After each step its name, such as `pruned`, and the model at that stage, which must be used
        before the next is asked for. Nothing if no compression was asked for.

    Raises:
        UsageError: A share out of range.
        InputError: The model has no channels to remove.
        IchliteError: Fine-tuning diverged.
    """
    wise = teacher or model

    def tune(student: keras.Model, what: str, *constraints: Constraint) -> None:
        """Say what is done, and fine-tune the student."""
        report(f"{what}: {student.count_params():,} parameters, {tuning.total} steps")
        fine_tune(
            student, store, recipe, tuning, teacher=wise, constraints=constraints, on_step=on_step
        )

    if shrinking.prunes:
        model = prune_channels(model, shrinking.keep_channels, shrinking.keep_width)
        tune(model, "fewer channels")
        yield PRUNED, model
    plain = fold(model)
    form = quantization_aware(plain) if shrinking.quantization_aware else plain

    def tuned(what: str, *constraints: Constraint) -> keras.Model:
        """Fine-tune the form that weights are trained in; return the plain model."""
        tune(form, what, *constraints)
        if form is not plain:
            take_weights(plain, form)
        return plain

    if shrinking.sparsity is not None:
        yield (
            SPARSE,
            tuned(f"sparsity {shrinking.sparsity:.0%}", Sparsity(form, shrinking.sparsity)),
        )
    if shrinking.clusters is not None:
        yield (
            CLUSTERED,
            tuned(f"{shrinking.clusters} values a layer", Clusters(form, shrinking.clusters)),
        )
    if ROUNDED in shrinking.steps:
        yield ROUNDED, tuned("int8 rounding")
