"""Take instances over DICOMweb: STOW-RS, of DICOM files in multipart/related.

Source:
    DICOM PS3.18 section 10.5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.to_thread
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ichlite.errors import IchliteError
from ichlite.node.intake import Mismatch
from ichlite.node.store import NoSpace
from ichlite.node.web.bodies import TooLarge, pieces_of
from ichlite.node.web.multipart import Malformed, PartTooLarge, parse_related, read_parts
from ichlite.node.web.services import services_of
from ichlite.node.web.taking import MOST_BODY_BYTES, MOST_FILES, Takings

SOURCE = "stow"
MEDIA_TYPE = "application/dicom+json"
_DICOM = "application/dicom"
_UID = re.compile(r"[0-9.]{1,64}")
NO_SPACE, MISMATCH, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000
"""Failure reasons (PS3.18 table 10.5.3-2)."""
_ACCEPTED = ("*/*", "application/*", MEDIA_TYPE, "application/json")

_log = structlog.get_logger("stow")


@dataclass
class Answer:
    """Outcome of a STOW-RS request, part by part.

    Attributes:
        takings: Instances that were stored.
        failed: SOP Class UID, SOP Instance UID and failure reason of refused instances that could
            be identified.
        others: Failure reasons of parts that could not be identified.
        fault: HTTP status code and reason why the rest of the body was not read; None if all was.
    """

    takings: Takings
    failed: list[tuple[str, str, int]] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    fault: tuple[int, str] | None = None

    @property
    def status(self) -> int:
        """HTTP status code of the response to the whole request."""
        reasons = [reason for *_, reason in self.failed] + self.others
        if self.fault is not None:
            return self.fault[0]
        if not reasons:
            return 200
        if self.takings.taken:
            return 202
        return 507 if set(reasons) == {NO_SPACE} else 409

    def document(self) -> dict[str, Any]:
        """Return the Store Instances Response as DICOM JSON."""
        found: dict[str, Any] = {}
        if self.fault is not None:
            found["00081196"] = {"vr": "US", "Value": [CANNOT_UNDERSTAND]}
        taken = [one.header for one in self.takings.taken]
        if taken:
            found["00081199"] = _sequence(_reference(one.class_uid, one.uid) for one in taken)
        if self.failed:
            found["00081198"] = _sequence(
                {**_reference(class_uid, uid), "00081197": {"vr": "US", "Value": [reason]}}
                for class_uid, uid, reason in self.failed
            )
        if self.others:
            found["0008119A"] = _sequence(
                {"00081197": {"vr": "US", "Value": [reason]}} for reason in self.others
            )
        return found


async def store_instances(request: Request) -> Response:
    """Handle POST /dicomweb/studies and /dicomweb/studies/UID: store instances (STOW-RS)."""
    study = request.path_params.get("uid")
    if study is not None and not _UID.fullmatch(study):
        raise HTTPException(400, "no UID of a study: expected 1 to 64 digits and dots")
    if not _accepts(request.headers.get("accept", "*/*")):
        raise HTTPException(406, f"the answer is {MEDIA_TYPE}")
    related = parse_related(request.headers.get("content-type", ""))
    if related is None or related.kind != _DICOM:
        raise HTTPException(
            415, f'expected multipart/related; type="{_DICOM}"; boundary=…, of DICOM files'
        )
    services = services_of(request)
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BODY_BYTES:
        raise HTTPException(413, f"a body has at most {MOST_BODY_BYTES} bytes")
    if not services.store.has_space(int(length) if length.isdigit() else 0):
        raise HTTPException(507, "the disk is full but for its reserve; send it again later")
    answer = Answer(Takings(services, SOURCE, request.state.user.name, study))
    read = partial(_read, request, related.boundary, answer)
    await anyio.to_thread.run_sync(read, limiter=services.taking, abandon_on_cancel=False)
    if answer.status != 200:
        why = answer.fault[1] if answer.fault is not None else "some parts were refused"
        _log.warning("not all was stored", source=SOURCE, status=str(answer.status), why=why)
    headers = {} if answer.fault is None else {"Connection": "close"}
    return Response(json.dumps(answer.document()), answer.status, headers, MEDIA_TYPE)


def _read(request: Request, boundary: bytes, answer: Answer) -> None:
    """Take each part, in a worker thread: one that is refused does not keep the others out."""
    most = answer.takings.services.settings.dicom.max_instance_bytes
    try:
        for part in read_parts(
            pieces_of(request, MOST_BODY_BYTES), boundary,
            most_parts=MOST_FILES, most_part_bytes=most,
        ):  # fmt: skip
            if part.content_type not in (_DICOM, ""):
                answer.others.append(CANNOT_UNDERSTAND)
                continue
            _take(part.body, answer)
    except Malformed as error:
        answer.fault = (400, str(error))
    except (PartTooLarge, TooLarge) as error:
        answer.fault = (413, str(error))
    finally:
        answer.takings.note()


def _take(body: Iterator[bytes], answer: Answer) -> None:
    try:
        answer.takings.take(body)
    except Mismatch as error:
        answer.failed.append((error.header.class_uid, error.header.uid, MISMATCH))
    except NoSpace:
        answer.others.append(NO_SPACE)
    except IchliteError:
        answer.others.append(CANNOT_UNDERSTAND)


def _accepts(accept: str) -> bool:
    """Return whether a client takes DICOM JSON.

    Example:
        >>> _accepts("application/dicom+json, application/json;q=0.5"), _accepts("text/html")
        (True, False)
    """
    kinds = (kind.partition(";")[0].strip().lower() for kind in accept.split(","))
    return any(kind in _ACCEPTED for kind in kinds)


def _sequence(items: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _reference(class_uid: str, uid: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [class_uid]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }
