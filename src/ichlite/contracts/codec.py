"""Read and write JSON documents as frozen types, strictly; make their JSON Schemas.

What is read comes from elsewhere: what is missing, of another type or out of range is named, with
its place in the document, and never replaced in silence. Keys that a type does not know are passed
over, so that a later version may add some. What is written has no NaN: an undefined number is null.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_PLACE = re.compile(r"(?P<what>.*?) - at `\$\.?(?P<where>.*)`", re.DOTALL)


class Document(msgspec.Struct, frozen=True):
    """Base class of JSON objects: immutable, and compared by their values.

    Types and ranges are checked when an object is read from JSON, not when it is made in Python.
    """


class ContractError(ValueError):
    """A text is not the document that it should be; its message says what is wrong, and where."""


def read_document(kind: type[T], text: str | bytes) -> T:
    """Return the document that a JSON text holds.

    Args:
        kind: Type of the document.
        text: JSON; bytes in UTF-8.

    Raises:
        ContractError: The text is not JSON, or is another document; the message says where.

    Example:
        >>> read_document(dict[str, int], '{"slices": 28}')
        {'slices': 28}
        >>> read_document(dict[str, int], '{"slices": "many"}')
        Traceback (most recent call last):
        ichlite.contracts.codec.ContractError: expected `int`, got `str`
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise ContractError(_in_words(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"no JSON: {error}") from None
    except RecursionError:
        raise ContractError("nested too deep") from None


def convert_document(kind: type[T], value: object) -> T:
    """Convert parsed JSON to a document of the given type.

    Args:
        kind: Type of the document.
        value: Dictionaries, lists, texts and numbers, as `json.loads` returns them.

    Raises:
        ContractError: The value does not match the type; the message names the field, if it is
            within one.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ContractError(_in_words(str(error))) from None


def to_json_value(document: object) -> Any:
    """Return a document as dictionaries, lists, numbers and texts; unset keys are left out.

    Args:
        document: A `Document`, or a container of documents.

    Raises:
        ValueError: It holds a number that is infinite or undefined.
    """
    return json.loads(document_text(document))


def document_text(document: object) -> str:
    """Return a document as indented JSON text, with a line break at its end.

    Args:
        document: A `Document`, or a container of documents.

    Raises:
        ValueError: It holds a number that is infinite or undefined.
    """
    return json.dumps(msgspec.to_builtins(document), indent=2, allow_nan=False) + "\n"


def schema_of(kind: type[Any], identifier: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document's type.

    Args:
        kind: Type of the document.
        identifier: URI that the schema names itself by (`$id`).
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        **to_json_value(msgspec.json.schema(kind)),
    }


def _in_words(message: str) -> str:
    """Say a validation error with its place first: `decision.thresholds: expected …`."""
    found = _PLACE.fullmatch(message)
    what, where = (found["what"], found["where"]) if found else (message, "")
    key = re.fullmatch(r"Object missing required field `(.*)`", what)
    if key is not None:
        return f"no {'.'.join(filter(None, (where, key[1])))}"
    what = what[:1].lower() + what[1:]
    where = where.replace("[...]", "")  # some key of a mapping
    return f"{where}: {what}" if where else what
