"""The rule that tells bleeds apart best is chosen, and what it was chosen by is kept."""

import numpy as np
from tests.evaluate.made_scores import made_scores

from ichlite.evaluate.judge import Cases, Judged
from ichlite.evaluate.rule_choice import any_auc, choose_rule
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import NAMES


def cases(probabilities: list[float]) -> Cases:
    labels = np.zeros((len(probabilities), 1 + len(NAMES)), np.uint8)
    labels[len(labels) // 2 :, 0] = 1
    columns = np.tile(np.array(probabilities)[:, None], (1, 1 + len(NAMES)))
    return Cases(labels, columns, np.arange(len(labels)).astype(str))


def test_each_rule_is_chosen_by_its_own_level():
    poor, good = cases([0.9, 0.1]), cases([0.1, 0.9])

    def judged_by(rule: Rule) -> list[Judged]:
        slices = good if rule.any_rule == "noisy_or" else poor
        scans = good if rule.scan_rule == "noisy_or" else poor
        return [Judged(slices, scans)]

    choice = choose_rule(judged_by)
    assert (choice.rule.any_rule, choice.rule.scan_rule) == ("noisy_or", "noisy_or")
    assert choice.aucs == {
        "any_rule": {"max": 0.0, "noisy_or": 1.0},
        "scan_rule": {"max": 0.0, "top3_mean": 0.0, "noisy_or": 1.0},
    }


def test_what_cannot_be_told_leaves_the_usual_rule():
    alike = cases([0.5, 0.5])
    quiet = Cases(np.zeros_like(alike.labels), alike.probabilities, alike.patients)
    for one in (alike, quiet):
        choice = choose_rule(lambda rule, one=one: [Judged(one, one)])  # type: ignore[misc]
        assert choice.rule == Rule()
    assert any_auc([quiet]) is None


def test_the_aucs_are_those_of_the_rules():
    table = made_scores()
    choice = choose_rule(lambda rule: [table.judged(Calibration(), rule)])
    for name, auc in choice.aucs["scan_rule"].items():
        rule = Rule(any_rule=choice.rule.any_rule, scan_rule=name)  # type: ignore[arg-type]
        assert auc == any_auc([table.judged(Calibration(), rule).scans])
    assert choice.as_dict()["scan_rule_auc"] == choice.aucs["scan_rule"]
