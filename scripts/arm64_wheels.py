"""Check whether a Raspberry Pi needs nothing but wheels.

    python scripts/arm64_wheels.py                             # CPython 3.11 to 3.13, a table each
    python scripts/arm64_wheels.py --extra fast                # with an extra
    python scripts/arm64_wheels.py --python 3.11 --out WHEELS  # keep the files

Asks pip, with its own options for another platform, for the light half's dependencies as wheels
alone; exit code 1, and the names, where something has none. pip judges environment markers by the
interpreter that runs it; no dependency of the light half has one that differs on Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
OLDEST_GLIBC = 17


@dataclass(frozen=True, slots=True)
class System:
    """A system that a Raspberry Pi runs: its name, its CPython, and y of its glibc 2.y."""

    name: str
    python: str
    glibc: int


SYSTEMS = {
    "3.11": System("Bookworm", "3.11", 36),
    "3.12": System("Ubuntu 24.04", "3.12", 39),
    "3.13": System("Trixie", "3.13", 41),
}


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file's package and version, its name and its size in MB of 10^6 bytes."""

    package: str
    version: str
    file: str
    size_mb: float


def light_requirements(extra: str | None = None) -> list[str]:
    """Return what `pip install ichlite` asks for, or `ichlite[extra]`, from pyproject.toml.

    Example:
        >>> any(one.startswith("numpy") for one in light_requirements())
        True
    """
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    listed = project["dependencies"]
    if extra is not None:
        listed = listed + project["optional-dependencies"][extra]
    return [str(requirement) for requirement in listed]


def pip_options(system: System, machine: str = "aarch64") -> list[str]:
    """Return pip's options for wheels of another machine.

    pip takes each tag literally: `manylinux_2_28` does not stand for the older ones (PEP 600), so
    every glibc up to the system's own is listed.

    Example:
        >>> pip_options(System("a", "3.11", 17))[:5]
        ['--only-binary=:all:', '--implementation', 'cp', '--python-version', '3.11']
    """
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(OLDEST_GLIBC, system.glibc + 1)]
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", system.python]
    for tag in (f"manylinux2014_{machine}", *tags):
        options += ["--platform", tag]
    return options


def wheel_of(file: str, size: int) -> Wheel:
    """Return what a wheel is, by its file name and size in bytes.

    Example:
        >>> wheel_of("numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl", 15_966_692)
        Wheel(package='numpy', version='2.4.6', \
file='numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl', size_mb=15.966692)
    """
    package, version = file.split("-")[:2]
    return Wheel(package, version, file, size / 1e6)


def table(wheels: Sequence[Wheel]) -> str:
    """Return wheels as a table of Markdown, with the total."""
    lines = ["| package | version | wheel | MB |", "|---|---|---|---|"]
    lines += [f"| {w.package} | {w.version} | `{w.file}` | {w.size_mb:.2f} |" for w in wheels]
    total = sum(wheel.size_mb for wheel in wheels)
    return "\n".join([*lines, f"| {len(wheels)} wheels | | | {total:.2f} |"])


def pip_download(
    requirements: Sequence[str],
    options: Sequence[str],
    out: Path,
    extra: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Download the wheels of requirements into a folder; return how it went."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    constraint = ["--constraint", str(CONSTRAINTS), "--dest", str(out)]
    return subprocess.run(
        [*pip, *options, *constraint, *extra, *requirements],
        capture_output=True,
        text=True,
        check=False,
    )


def without_wheels(requirements: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the requirements that pip cannot satisfy with wheels, asked one by one."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            one
            for one in requirements
            if pip_download([one], options, Path(folder)).returncode != 0
        ]


def main() -> None:
    """Print a table for each Python, or what has no wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", choices=SYSTEMS, help="default: all")
    parser.add_argument("--extra", metavar="NAME", help="such as fast; default: the light half")
    parser.add_argument("--machine", default="aarch64", help="such as armv7l, of a 32-bit system")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the wheels (of one --python)")
    chosen = parser.parse_args()
    if chosen.out is not None and chosen.python is None:
        parser.error("--out needs --python: wheels of two Pythons do not share a folder")
    requirements, failed = light_requirements(chosen.extra), False
    for system in [SYSTEMS[chosen.python]] if chosen.python else SYSTEMS.values():
        print(f"CPython {system.python} ({system.name}), {chosen.machine}\n")
        options = pip_options(system, chosen.machine)
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) if chosen.out is None else chosen.out
            done = pip_download(requirements, options, out)
            files = sorted(out.glob("*.whl"))
            wheels = [wheel_of(file.name, file.stat().st_size) for file in files]
        if done.returncode == 0:
            print(table(wheels) + "\n")
        else:
            failed = True
            missing = without_wheels(requirements, options)
            print(f"no wheels for: {', '.join(missing) or 'see below'}\n{done.stderr}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
