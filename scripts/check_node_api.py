"""Ask a running node for everything that its OpenAPI file describes, in odd ways: no 5xx may come.

    echo PASSWORD | python scripts/check_node_api.py http://127.0.0.1:8080 anna --examples 500

A 507 is no fault: it says that the disk is full. Studies may be stored and completed on the way, so
point it at a node that holds nothing of a site.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

FULL = 507


@schemathesis.serializer("application/dicom", "application/zip", "multipart/related")
def as_it_is(context, value):
    """Send a body as it was drawn."""
    del context
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


def ask_everything(base: str, auth: tuple[str, str], examples: int) -> int:
    """Ask for each operation in many ways; return how many answers came.

    Args:
        base: Address of the page.
        auth: Name and password.
        examples: Of each operation.

    Raises:
        AssertionError: An answer was a fault of the node, or has a status that is not described.
    """
    with urllib.request.urlopen(f"{base}/api/openapi.json", timeout=30) as answer:
        schema = schemathesis.openapi.from_dict(json.load(answer))
    count = 0
    for found in schema.get_all_operations():
        strategy = found.ok().as_strategy()

        @settings(
            max_examples=examples, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategy)
        def ask(case):
            nonlocal count
            count += 1
            answer = case.call(base_url=base, auth=auth)
            if answer.status_code != FULL:
                case.validate_response(answer, checks=(not_a_server_error, status_code_conformance))

        ask()
    return count


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", help="address of the page")
    parser.add_argument("name", help="of an admin, whose password stands on stdin")
    parser.add_argument("--examples", type=int, default=500, help="of each operation")
    given_ = parser.parse_args()
    password = sys.stdin.readline().rstrip("\n")
    count = ask_everything(given_.base, (given_.name, password), given_.examples)
    print(f"{count} answers, no fault among them")


if __name__ == "__main__":
    main()
