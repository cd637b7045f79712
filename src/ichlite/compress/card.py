"""Write the model card of a bundle, as Markdown: what the model is and is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET

from ichlite.contracts.bundle import (
    BALANCED,
    BundleManifest,
    DecisionSpec,
    GateResult,
    Parity,
    Share,
)
from ichlite.contracts.evaluation import Evaluation
from ichlite.contracts.run import RunManifest
from ichlite.data.rows import SPLITS

LIMITS = """\
## What it is not

- **Research use only. Not a medical device.** Nobody may be treated, or not treated, by what it
  says. A low probability is no sign of health.
{origin}
- Expect false alarms from calcified choroid plexus and pineal, thick skull at the vertex, drains,
  shunts, coils and post-operative cavities, and misses of thin falx and tentorial subdural blood,
  subarachnoid blood in sulci near the vertex, and small dense bleeds.
- It judges slices of non-contrast head CT of adults, one by one, and looks at 256x256 pixels.
"""


PHANTOMS = """\
- It has seen no patient: it was trained on synthetic phantoms only. Real heads differ in ways
  that phantoms do not have, so probabilities and thresholds are those of phantoms."""
OTHERS = """\
- It was trained on {sources}. Other scanners, clinics and patients differ from them, so its
  probabilities and thresholds hold for such images only."""
SOURCES: Mapping[str, str] = {
    "phantom": "synthetic phantoms",
    "implant": "real scans with implanted bleeds",
    "rsna": "RSNA 2019 images",
    "cq500": "CQ500 images",
    "ct-ich": "scans of CT-ICH",
}
CREDITS: Mapping[str, str] = {
    "ct-ich": "CT-ICH: M.D. Hssayeni et al., Intracranial Hemorrhage Segmentation Using a Deep "
    "Convolutional Model, Data 5(1), 14 (2020), https://doi.org/10.3390/data5010014; Creative "
    "Commons Attribution 4.0. Greys were turned into Hounsfield units, air and bone filled in, "
    "slices resized.",
}
"""Credit that must accompany any model trained on a data set, by kind of data set."""


def model_card(
    manifest: BundleManifest,
    training: RunManifest,
    metrics: Evaluation,
    gate: GateResult,
    parity: Parity,
) -> str:
    """Return the model card of a bundle, as Markdown.

    Args:
        manifest: Manifest of the bundle.
        training: Manifest of the run that trained the model.
        metrics: Evaluation of the bundle on the test split, by slice.
        gate: ROC AUC on the validation split before and after compression.
        parity: Differences between the bundle's outputs and those of the Keras model.
    """
    data, recipe = training.data, training.recipe
    images = data.images
    sources = " and ".join(SOURCES.get(kind, f"{kind} images") for kind in data.kinds)
    origin = PHANTOMS if data.kinds == ["phantom"] else OTHERS
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"Five probabilities of intracranial haemorrhage for a slice of a head CT, by "
        f"{manifest.model} in {manifest.precision}.",
        "",
        LIMITS.format(origin=origin.format(sources=sources)),
        "## How it was made",
        "",
        f"- Data: {sources}, prepared as `{data.store}`, hash `{data.store_hash[:16]}`; "
        f"{images['train']:,} slices to train, {images['validation']:,} to validate, "
        f"{images['test']:,} to test, by patient"
        + ("; every patient of a real scan trained." if data.all_patients else "."),
        *(f"- {CREDITS[kind]}" for kind in data.kinds if kind in CREDITS),
        "- Positive training slices: "
        + ", ".join(f"{name} {count:,}" for name, count in data.train_positives.items())
        + ".",
        *_left_out(recipe.get("leave_out", ())),
        f"- Loss {recipe['loss']}, {recipe['crop_steps']} steps of {recipe['batch_size']} crops, "
        f"then {recipe['epochs']} epochs{_unless_ended(training)}; seed {recipe['seed']}.",
        f"- Command: `{training.command}`",
        *_compression(manifest),
        f"- Calibrated {_where(manifest.calibration.split)}; thresholds: "
        f"{manifest.decision.threshold_rule}.",
        "",
        f"## What it does on {metrics.data}",
        "",
        *metric_table(metrics),
        "",
        f"Answering no to everything: mean accuracy {_share(metrics.all_negative_accuracy)}.",
        "",
        *decision_lines(manifest.decision),
        "## What compression cost",
        "",
        *_lost(gate, parity),
    ]
    return "\n".join(lines) + "\n"


def _left_out(subtypes: Sequence[str]) -> list[str]:
    """Return the line on subtypes that the model was not trained for."""
    if not subtypes:
        return []
    names = ", ".join(subtypes)
    return [f"- **Not trained: {names}.** Its low probability does not say that it is absent."]


def _unless_ended(training: RunManifest) -> str:
    """Return the words on a run that was stopped."""
    ended = training.result is not UNSET
    return "" if ended else " were asked for, but the run was stopped before its end"


def metric_table(metrics: Evaluation) -> list[str]:
    """Return the lines of a Markdown table of an evaluation by slice, one row a class."""
    head = ("class", "positives", "ROC AUC", "AP", "sensitivity", "specificity", "accuracy")
    keys = ("roc_auc", "average_precision", "sensitivity", "specificity", "accuracy")
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *(
            f"| {name} | {row.positives:,} | "
            + " | ".join(_share(getattr(row, key)) for key in keys)
            + " |"
            for name, row in metrics.rows.items()
        ),
    ]


def _compression(manifest: BundleManifest) -> list[str]:
    """Return the lines on what was done to the model."""
    said = manifest.compression
    lines = [] if manifest.command is None else [f"- Compressed by: `{manifest.command}`"]
    if said is None:
        return lines
    shares = ", ".join(f"{share}" for share in said.keep_channels or ())
    done = [
        words
        for words, wanted in (
            (f"{shares} of the expansion channels kept", said.keep_channels),
            (f"{said.keep_width} of the channels between blocks kept", said.keep_width),
            (f"{said.sparsity} of the weights of each large kernel zero", said.sparsity),
            (f"{said.clusters} values a layer", said.clusters),
            ("trained with int8's rounding", said.quantization_aware),
        )
        if wanted
    ]
    tuning = said.tuning
    teacher = "none" if tuning.teacher_weight == 0 else said.teacher or "the model before"
    return [
        *lines,
        f"- What that did: {'; '.join(done)}; {tuning.crop_steps} steps on crops and "
        f"{tuning.steps} on frames of fine-tuning each, "
        f"learning rate {tuning.learning_rate}, seed {tuning.seed}, teacher: {teacher}.",
    ]


def _lost(gate: GateResult, parity: Parity) -> list[str]:
    """Return the lines on what compression cost."""
    undefined = ", ".join(gate.undefined)
    return [
        f"- Mean ROC AUC on the {gate.split} split: the trained model "
        f"{_share(gate.before['mean'], 4)}, this file {_share(gate.after['mean'], 4)}"
        + (f"; nothing is known of {undefined}." if undefined else "."),
        f"- The file against the Keras model that it was converted from, on {parity.images} "
        f"slices of the {parity.split} split: probabilities "
        f"{parity.max_probability_difference:.2g} apart at most, "
        f"{parity.mean_probability_difference:.2g} in the mean.",
    ]


def _where(split: str) -> str:
    """Return in words what a calibration was fitted on."""
    return f"on the {split} split" if split in SPLITS else split


def _share(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits, or the word `undefined`."""
    return "undefined" if value is None else f"{value:.{digits}f}"


def decision_lines(decision: DecisionSpec) -> list[str]:
    """Return the Markdown lines on a bundle's operating points; none where it has no evidence."""
    if decision.evidence is UNSET:
        return []
    data, points = decision.evidence.data, decision.evidence.points
    prevalences = [one.prevalence for one in points[BALANCED].nested.predictive]
    header = [
        "operating point", "threshold", "sensitivity", "specificity",
        "sensitivity, frozen", "specificity, frozen",
        *(f"PPV / NPV at {100 * p:g} %" for p in prevalences),
    ]  # fmt: skip
    rows = [
        [
            name,
            f"{point.threshold:.3f}",
            *(
                _in_words(share)
                for estimate in (point.nested, point.frozen)
                for share in (estimate.sensitivity, estimate.specificity)
            ),
            *(f"{_percent(one.ppv)} / {_percent(one.npv)}" for one in point.nested.predictive),
        ]
        for name, point in points.items()
    ]
    seeds = len(data.scores)
    return [
        "## What its operating points do",
        "",
        f"A scan's `any`, out of fold: {data.scans:,} scans of {data.patients:,} patients, "
        f"{data.bleeding_scans:,} with a bleed, in {data.folds} folds, "
        f"{seeds} seed{'s' if seeds > 1 else ''}, by models of the same recipe "
        "that never saw the patient. Sensitivity and specificity: threshold and calibration from "
        "the other folds; frozen: the threshold that ships, on the scans that it was chosen by. In "
        "brackets 95 % intervals (Wilson). PPV and NPV: share of flagged scans that bleed, and of "
        "others that do not, where so many scans bleed.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)),
        "",
    ]


def _in_words(share: Share) -> str:
    """Return a share with its interval and its counts."""
    count = f"{share.count:.1f}".removesuffix(".0")
    return (
        f"{_percent(share.value)} ({_percent(share.low)}-{_percent(share.high)}), "
        f"{count} of {share.cases}"
    )


def _percent(value: float | None) -> str:
    """Return a share in per cent, or the word `undefined`."""
    return "undefined" if value is None else f"{100 * value:.1f} %"
