"""Snippets are checked as strictly as the package, and errors name the line of the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.type_check_snippets import check

PAGE = """# Read

```python
import ichlite

scan = ichlite.read_scan("study")
print({})
```
"""


@pytest.mark.long
def test_an_error_names_the_line_of_its_page(tmp_path: Path) -> None:
    assert check(tmp_path)[1] == 1
    (tmp_path / "README.md").write_text(PAGE.format('scan.scan["any"]'))
    said, status = check(tmp_path)
    assert (said, status) == ("Success: no issues found in 1 source file\n", 0)
    (tmp_path / "README.md").write_text(PAGE.format("scan.haemorrhage"))
    said, status = check(tmp_path)
    assert status == 1
    assert 'README_md_3.py:7: error: "Analysed" has no attribute "haemorrhage"' in said
