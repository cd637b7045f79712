"""Log what the node does as JSON lines on stderr, of which no field can hold patient data."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

FIELDS = frozenset(
    {"event", "level", "logger", "timestamp", "why", "source", "host", "status", "instances"}
    | {"studies", "study", "version", "parked", "parts_removed", "readings_queued_again"}
    | {"files_taken_in_again", "files_without_row"}
    | {"peer", "file", "attempt", "user", "path", "port", "seconds", "count", "folder", "state"}
    | {"hash"}
)
"""Names of the fields that a log line may have; all others are dropped."""


def set_up_logs() -> None:
    """Configure all logging of this process to write JSON lines to stderr, without patient data."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it prints data sets
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # pydicom's quote what a file says
    logging.getLogger("uvicorn.access").disabled = True  # it prints paths, and with them UIDs
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            allowed_fields,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lines())),
    )


class _Lines:
    """A stderr that loses lines, rather than the work that they are about, where it is full."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def allowed_fields(
    logger: Any, method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Return only those fields of a log line that cannot hold patient data (a structlog processor).

    Args:
        logger: Ignored.
        method: Ignored.
        fields: Fields of the line by name.

    Example:
        >>> allowed_fields(None, "info", {"event": "sent", "patient_name": "Doe^Jane"})
        {'event': 'sent'}
    """
    del logger, method
    return {name: value for name, value in fields.items() if name in FIELDS}
