"""Whole phantoms: same seed, same bytes; labels where the blood is; heads like heads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from ichlite.labels import NAMES
from ichlite.phantom import subject as module
from ichlite.phantom.bleed_plan import BleedPlan, Blob
from ichlite.phantom.plans import mix_named
from ichlite.phantom.subject import Subject, generate_subject, label_slice

Make = Callable[..., Subject]


@pytest.mark.long
def test_same_seed_same_bytes_whatever_came_before() -> None:
    mix = mix_named("training")
    one = generate_subject(3, 7, mix, grid=64)
    generate_subject(3, 8, mix, grid=64)
    two = generate_subject(3, 7, mix, grid=64)
    assert one.hu.tobytes() == two.hu.tobytes()
    assert one.labels.tobytes() == two.labels.tobytes()
    other = generate_subject(4, 7, mix, grid=64)
    assert other.hu.tobytes() != one.hu.tobytes()


def test_without_blood_there_is_no_label(phantom_with: Make) -> None:
    subject = phantom_with()
    assert not subject.labels.any()
    assert np.isnan(subject.lesion).all()
    assert not subject.lesion_cells.any()


@pytest.mark.parametrize("name", NAMES)
def test_each_bleed_is_labelled_and_brighter_than_without(name: str, phantom_with: Make) -> None:
    bled, free = phantom_with(name), phantom_with()
    column = NAMES.index(name)
    assert bled.labels[:, column].any()
    assert not np.delete(bled.labels, column, 1).any()
    assert bled.hu.shape == free.hu.shape
    positive = np.flatnonzero(bled.labels.any(1))
    assert not np.isnan(bled.lesion[positive]).any()
    assert np.isnan(np.delete(bled.lesion, positive, 0)).all()
    change = []
    for k in positive:
        row, column_px = (int(v) for v in bled.lesion[k])
        near = np.s_[k, row - 3 : row + 4, column_px - 3 : column_px + 4]
        change.append(float(bled.hu[near].mean()) - float(free.hu[near].mean()))
    assert np.median(change) > 5


def test_a_bleed_on_the_right_lies_in_the_left_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = Blob((34.0, -50.0, 30.0), (12.0, 12.0, 12.0), 0.0, 0.0, 70.0, 0.0, 0.1)
    plan = BleedPlan(blobs=(blob,), names=("intraparenchymal",))
    monkeypatch.setattr(module, "draw_plan", lambda _rng, _mix: plan)
    subject = generate_subject(1, 0, (), grid=128)
    rows, columns = np.nanmean(subject.lesion, 0)
    skull = np.flatnonzero((subject.hu > 600).any((0, 1)))
    depth = np.flatnonzero((subject.hu > 600).any((0, 2)))
    assert columns < skull.mean()  # MNI +x is the patient's right, which is on the image's left
    assert rows > depth.mean() - 5  # parietal: behind the middle
    slices = np.flatnonzero(subject.labels[:, 1])
    assert slices.mean() > len(subject.hu) * 0.4  # slices run from feet to head


def test_a_head_has_air_bone_and_brain_in_their_places(phantom_with: Make) -> None:
    subject = phantom_with()
    assert subject.hu.dtype == np.int16
    assert subject.hu.min() >= -1024
    assert subject.hu.max() <= 3071
    widest = int(np.argmax([(s > -300).sum() for s in subject.hu[len(subject.hu) // 2 :]]))
    middle = subject.hu[len(subject.hu) // 2 + widest]
    bone = middle > 300
    inside = ndimage.binary_fill_holes(bone) & ~bone
    brain = ndimage.binary_erosion(inside, iterations=6)
    assert brain.sum() * subject.view.pixel_mm**2 / 100 > 70  # cm²
    assert 15 < np.median(middle[brain]) < 42
    assert middle[0].max() < -200


def test_most_scans_reach_past_the_vertex() -> None:
    tops = [generate_subject(8, k, (((), 1.0),), grid=64).hu[-1] for k in range(2)]
    assert all((top > 300).mean() < 0.05 for top in tops)


def test_a_label_needs_enough_area() -> None:
    share = np.zeros((64, 64), np.float32)
    share[10:12, 20:22] = 1
    assert label_slice({"epidural": share}, 2.0)[0].sum() == 0
    share[10:14, 20:24] = 1
    labels, place = label_slice({"epidural": share}, 2.0)
    assert labels.tolist() == [1, 0, 0, 0, 0]
    assert place is not None
    assert 10 <= place[0] <= 13
    assert 20 <= place[1] <= 23


def test_the_larger_bleed_gives_the_position() -> None:
    small, large = np.zeros((2, 64, 64), np.float32)
    small[5:9, 5:9] = 1
    large[40:52, 40:52] = 1
    labels, place = label_slice({"epidural": small, "subdural": large}, 2.0)
    assert labels.tolist() == [1, 0, 0, 0, 1]
    assert place is not None
    assert place[0] > 30


def test_no_blood_map_no_label() -> None:
    assert label_slice({}, 1.0)[1] is None


@pytest.mark.parametrize("name", NAMES)
def test_lesion_cells_hold_the_subtypes_of_their_slice(name: str, phantom_with: Make) -> None:
    subject = phantom_with(name)
    for labels, cells in zip(subject.labels, subject.lesion_cells, strict=True):
        assert [int((cells >> kind & 1).any()) for kind in range(len(NAMES))] == labels.tolist()
