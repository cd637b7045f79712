"""What Python packs is unpacked by the viewer's own JavaScript, in node."""

import base64
import json
import subprocess
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.dicom_files import head_slice
from tests.write.browser import node

from ichlite.ct.hounsfield import HU_MAX, HU_MIN
from ichlite.write.pixels import _LEVEL_OF_HU, LEVELS, pack_maps, pack_slice
from ichlite.write.report_page import ASSETS

UNPACK = """
import {{ readFileSync, writeFileSync }} from "node:fs";
import {{ huOfLevels, unpackSlice }} from "{assets}/picture.js";
const jobs = JSON.parse(readFileSync(0, "utf8"));
const hu = huOfLevels(jobs.levels);
const shown = jobs.slices.map(([data, rows, columns]) =>
  Array.from(unpackSlice(Buffer.from(data, "base64"), rows, columns), (level) => hu[level]));
process.stdout.write(JSON.stringify(shown));
"""


def as_shown(slices):
    """Return the HU that the viewer has of slices of HU."""
    packed = [[pack_slice(hu), *hu.shape] for hu in slices]
    jobs = {
        "levels": LEVELS,
        "slices": [[base64.b64encode(data).decode(), *shape] for data, *shape in packed],
    }
    run = subprocess.run(
        [node(), "--input-type=module", "-e", UNPACK.format(assets=ASSETS.as_uri())],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    shown = json.loads(run.stdout)
    return [np.reshape(one, hu.shape) for one, hu in zip(shown, slices, strict=True)]


def test_levels_are_a_hounsfield_unit_where_blood_and_brain_lie():
    hu = np.arange(HU_MIN, HU_MAX + 1)
    assert len(_LEVEL_OF_HU) == len(hu)
    assert (np.diff(_LEVEL_OF_HU) >= 0).all()
    steps = np.bincount(_LEVEL_OF_HU)
    assert (steps > 0).all()
    fine = (hu >= -200) & (hu < 400)
    assert (steps[_LEVEL_OF_HU[fine]] == 1).all()
    assert steps[_LEVEL_OF_HU[hu >= 400]].max() == 8
    assert sum(step * count for _, step, count in LEVELS) == len(hu)


def test_the_viewer_has_the_hounsfield_units_that_python_packed():
    noise = np.random.default_rng(7)
    slices = [
        head_slice(0.5, side=64),
        noise.integers(HU_MIN, HU_MAX + 1, (48, 80)).astype(np.int16),
        noise.integers(0, 80, (90, 33)).astype(np.int16),
        np.full((16, 16), HU_MIN, np.int16),
        np.full((1, 1), HU_MAX, np.int16),
    ]
    steps = np.bincount(_LEVEL_OF_HU)
    for hu, shown in zip(slices, as_shown(slices), strict=True):
        fine = (hu >= -200) & (hu < 400)
        assert (shown[fine] == hu[fine]).all()
        assert (np.abs(shown - hu) <= steps[_LEVEL_OF_HU[hu - HU_MIN]] // 2 + 1).all()


@given(
    arrays(
        np.int16,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(-1024, 3071),
    )
)
def test_what_is_packed_is_two_planes_of_all_pixels(hu):
    assert len(zlib.decompress(pack_slice(hu))) == 2 * hu.size


def test_half_is_the_first_value_of_a_map_that_is_painted():
    packed = zlib.decompress(pack_maps(np.array([0.0, 0.499, 0.5, 1.0])))
    assert list(packed) == [0, 127, 128, 255]
