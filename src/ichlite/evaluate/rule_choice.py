"""Choose how slices become a scan, by labelled slices and scans: which `any`, which scan rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import numpy as np

from ichlite.evaluate.judge import Cases, Judged
from ichlite.evaluate.metrics import roc_auc
from ichlite.infer.decision import AnyRule, Rule, ScanRule
from ichlite.labels import ANY

RuleAucs = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class RuleChoice:
    """A rule, and what it was chosen by.

    Attributes:
        rule: Its thresholds are not chosen yet.
        aucs: `any_rule` → each rule → ROC AUC of slices with any bleed; `scan_rule` → each rule →
            that of scans. None where labels are all of one kind.
    """

    rule: Rule
    aucs: RuleAucs

    def as_dict(self) -> dict[str, Any]:
        """Return the rule's part of a manifest's `decision`."""
        return {
            "neighbour_weights": list(self.rule.neighbour_weights),
            "any_rule": self.rule.any_rule,
            "any_rule_auc": dict(self.aucs["any_rule"]),
            "scan_rule": self.rule.scan_rule,
            "scan_rule_auc": dict(self.aucs["scan_rule"]),
            "evidence_mm": self.rule.evidence_mm,
        }


def choose_rule(judged_by: Callable[[Rule], Sequence[Judged]]) -> RuleChoice:
    """Choose the `any` of slices, then with it the scan rule, each by ROC AUC of any bleed.

    Args:
        judged_by: A rule → slices and scans judged by it, of one data set or several.

    Returns:
        The best; of equals, and where nothing can be told, the rule that `Rule` has by default.

    Example:
        >>> labels, patients = np.array([[0] * 6, [1] * 6]), np.array(["a", "b"])
        >>> cases = Cases(labels, np.tile([[0.2], [0.7]], 6), patients)
        >>> choice = choose_rule(lambda rule: [Judged(cases, cases)])
        >>> choice.rule == Rule(), choice.aucs["any_rule"]
        (True, {'max': 1.0, 'noisy_or': 1.0})
    """
    rule = Rule()
    by_any = {
        name: any_auc([one.slices for one in judged_by(replace(rule, any_rule=name))])
        for name in get_args(AnyRule)
    }
    rule = replace(rule, any_rule=cast("AnyRule", _best(by_any, rule.any_rule)))
    by_scan = {
        name: any_auc([one.scans for one in judged_by(replace(rule, scan_rule=name))])
        for name in get_args(ScanRule)
    }
    rule = replace(rule, scan_rule=cast("ScanRule", _best(by_scan, rule.scan_rule)))
    return RuleChoice(rule, {"any_rule": by_any, "scan_rule": by_scan})


def any_auc(parts: Sequence[Cases]) -> float | None:
    """Return the ROC AUC of any bleed, all parts together; None where all are of one kind."""
    return roc_auc(
        np.concatenate([one.labels_of()[ANY] for one in parts]),
        np.concatenate([one.probabilities_of()[ANY] for one in parts]),
    )


def _best(aucs: Mapping[str, float | None], usual: str) -> str:
    return max([usual, *aucs], key=lambda name: aucs[name] or 0.0)
