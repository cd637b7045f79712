from itertools import pairwise

import pytest
from scripts.arm64_wheels import (
    SYSTEMS,
    Wheel,
    light_requirements,
    pip_download,
    pip_options,
    table,
    wheel_of,
    without_wheels,
)

NO_NETWORK = ("Connection", "connection", "resolve", "Network is unreachable", "timed out")


def test_every_glibc_up_to_the_systems_own_is_asked_for_and_none_newer():
    options = pip_options(SYSTEMS["3.11"])
    tags = [tag for flag, tag in pairwise(options) if flag == "--platform"]
    assert tags[0] == "manylinux2014_aarch64"
    assert tags[1:] == [f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)]
    assert "--only-binary=:all:" in options


def test_the_light_half_is_asked_for_and_nothing_of_the_training_half():
    names = {one.split(">")[0] for one in light_requirements()}
    assert {"ai-edge-litert", "numpy", "pydicom", "pylibjpeg-openjpeg", "pyjpegls"} <= names
    assert not names & {"tensorflow", "tensorflow-cpu", "keras", "imagecodecs"}
    (fast,) = set(light_requirements("fast")) - set(light_requirements())
    assert fast.startswith("imagecodecs>=")


def test_the_table_ends_with_the_total():
    wheels = [Wheel("a", "1", "a-1-py3-none-any.whl", 0.25), wheel_of("b-2-x.whl", 1_500_000)]
    assert table(wheels).splitlines()[-1] == "| 2 wheels | | | 1.75 |"


@pytest.mark.long
@pytest.mark.parametrize("python", SYSTEMS)
def test_codecs_have_wheels_for_arm64_and_what_has_none_is_named(python, tmp_path):
    codecs, system = ["pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls"], SYSTEMS[python]
    quick = ["--no-deps", "--retries=0", "--timeout=10"]
    done = pip_download([*codecs, "imagecodecs"], pip_options(system), tmp_path, quick)
    if done.returncode != 0 and any(word in done.stderr for word in NO_NETWORK):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr
    files = [file.name for file in tmp_path.glob("*.whl")]
    assert len(files) == 4
    assert all("aarch64" in file for file in files)
    none = pip_options(system, "no_such_machine")
    assert without_wheels(codecs[:1], none) == codecs[:1]
