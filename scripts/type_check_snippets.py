"""Type-check the Python of the documentation, as strictly as the package: a block is a module.

    python scripts/type_check_snippets.py

Blocks are those fenced as `python` in README.md, docs/ and the package's docstrings. A line that is
named in an error is that of the page.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mypy import api

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("*.md", "docs/**/*.md", "src/**/*.py")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def write_modules(root: Path, folder: Path) -> list[str]:
    """Write each block to a file of its own, on the lines that it has in its page; return paths."""
    modules = []
    for page in sorted(page for pattern in PAGES for page in root.glob(pattern)):
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start(1))
            name = re.sub(r"\W", "_", str(page.relative_to(root)))
            module = folder / f"{name}_{line}.py"
            module.write_text("\n" * line + block[1], encoding="utf-8")
            modules.append(str(module))
    return modules


def check(root: Path) -> tuple[str, int]:
    """Return what mypy says of the blocks of a project, and its exit status: 1 without a block."""
    with TemporaryDirectory() as folder:
        modules = write_modules(root, Path(folder))
        if not modules:
            return f"no Python in the pages of {root}\n", 1
        out, err, status = api.run(["--config-file", str(ROOT / "pyproject.toml"), *modules])
        return out.replace(f"{folder}/", "") + err, status


if __name__ == "__main__":
    said, exit_status = check(ROOT)
    print(said, end="")
    sys.exit(exit_status)
