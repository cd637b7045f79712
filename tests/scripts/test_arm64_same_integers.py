import json
from pathlib import Path

import numpy as np
import pytest
from scripts.arm64_same_integers import PROCESSORS, compare_arrays, compare_documents, emulated

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "arm64.json"


def test_one_changed_integer_is_counted():
    ours = {"map": np.zeros((2, 4, 4, 5), np.int8)}
    theirs = {"map": ours["map"].copy()}
    assert compare_arrays(ours, theirs)["map"]["differing"] == 0
    theirs["map"][1, 2, 3, 4] = -3
    found = compare_arrays(ours, theirs)["map"]
    assert (found["differing"], found["largest_difference"]) == (1, 3.0)


@pytest.mark.parametrize("other", [np.zeros(3, np.int8), np.zeros(2, np.int16)])
def test_other_shapes_and_types_are_no_comparison(other):
    with pytest.raises(SystemExit, match="other names, shapes or types"):
        compare_arrays({"map": np.zeros(2, np.int8)}, {"map": other})


def test_a_last_bit_is_told_from_another_answer():
    ours = {"any": 0.5, "urgent": True, "reasons": []}
    near = compare_documents(ours, {**ours, "any": 0.5 + 2**-53})
    assert near["others_differing"] == 0
    assert near["numbers_differing"] == 1
    assert compare_documents(ours, {**ours, "urgent": False})["others_differing"] == 1
    assert compare_documents(ours, {**ours, "reasons": ["gap"]})["others_differing"] == 1


def test_the_hosts_cpuinfo_is_never_written(tmp_path):
    (tmp_path / "proc").symlink_to("/proc")
    with pytest.raises(SystemExit, match="second stage"):
        emulated(tmp_path, tmp_path, "cortex-a72", tmp_path, tmp_path)


def test_each_processor_says_its_part():
    assert "CPU part\t: 0xd08\n" in PROCESSORS["cortex-a72"].cpuinfo()
    assert PROCESSORS["cortex-a76"].cpuinfo(2).count("processor\t: ") == 2


def test_the_kept_result_has_the_same_integers_on_both_boards_and_no_time():
    text = RESULT.read_text()
    document = json.loads(text)
    boards = {run["board"] for run in document["emulated"]}
    assert {"Raspberry Pi 4", "Raspberry Pi 5"} <= boards
    assert {run["python"][:4] for run in document["emulated"]} == {"3.11", "3.13"}
    for run in document["emulated"]:
        assert run["outputs"]["ge-head.map"]["values"] == 28 * 4 * 4 * 5
        assert all(one["differing"] == 0 for one in run["outputs"].values())
    assert not any(unit in text for unit in ("_ms", '_s"', "second"))
