"""Write the JSON Schemas of ichlite's documents into the package, from their types.

python scripts/make_schemas.py
"""

from __future__ import annotations

import json

from ichlite.contracts.documents import DOCUMENTS, SCHEMAS, schema

if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for name in DOCUMENTS:
        path = SCHEMAS / f"{name}.json"
        path.write_text(json.dumps(schema(name), indent=2) + "\n", encoding="utf-8")
        print(path)
