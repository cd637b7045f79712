"""Take files and archives that people choose on the page, one raw body each."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from functools import partial

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ichlite.errors import IchliteError
from ichlite.node.store import NoSpace
from ichlite.node.web.bodies import TooLarge, content_type, pieces_of
from ichlite.node.web.documents import Refused, UploadAnswer
from ichlite.node.web.replies import json_reply
from ichlite.node.web.services import services_of
from ichlite.node.web.taking import MOST_BODY_BYTES, Takings
from ichlite.node.web.zips import BadArchive, BadMember, members

SOURCE = "upload"
DICOM, ZIP = "application/dicom", "application/zip"
MOST_REFUSED = 500
"""Largest number of refused files that an answer lists."""


@dataclass
class _Upload:
    takings: Takings
    refused: list[Refused] = field(default_factory=list)
    passed_over: int = 0

    def refuse(self, file: str, reason: object) -> None:
        if len(self.refused) < MOST_REFUSED:
            self.refused.append(Refused(file=file, reason=str(reason)))

    def answer(self) -> UploadAnswer:
        return UploadAnswer(
            stored=len(self.takings.taken),
            new=self.takings.new,
            studies=self.takings.studies,
            passed_over=self.passed_over,
            refused=tuple(self.refused),
        )


async def upload(request: Request) -> Response:
    """Handle POST /api/uploads: one DICOM file, or one ZIP archive."""
    kind = content_type(request)
    if kind not in (DICOM, ZIP):
        raise HTTPException(415, f"expected {DICOM} or {ZIP}")
    services = services_of(request)
    length = request.headers.get("content-length", "")
    coming = int(length) if length.isdigit() and len(length) < 20 else 0
    if coming > MOST_BODY_BYTES:
        raise HTTPException(413, f"an upload has at most {MOST_BODY_BYTES} bytes")
    if not services.store.has_space(coming):
        raise HTTPException(507, "the disk is full but for its reserve; send it again later")
    done = _Upload(Takings(services, SOURCE, request.state.user.name))
    take = _take_file if kind == DICOM else _take_archive
    try:
        await anyio.to_thread.run_sync(partial(take, request, done), limiter=services.taking)
    except TooLarge as error:
        raise HTTPException(413, str(error), {"Connection": "close"}) from None
    except NoSpace as error:
        raise HTTPException(507, str(error), {"Connection": "close"}) from None
    answer = done.answer()
    return json_reply(answer, 200 if answer.stored or not answer.refused else 422)


def _take_file(request: Request, done: _Upload) -> None:
    most = done.takings.services.settings.dicom.max_instance_bytes
    try:
        done.takings.take(pieces_of(request, most))
    except NoSpace:
        raise
    except IchliteError as error:
        done.refuse("", error)
    done.takings.note()


def _take_archive(request: Request, done: _Upload) -> None:
    services = done.takings.services
    try:
        with services.store.arriving(pieces_of(request, MOST_BODY_BYTES)) as archive:
            for member in members(archive.path, services.settings.dicom.max_instance_bytes):
                if member.passed_over:
                    done.passed_over += 1
                    continue
                try:
                    done.takings.take(member.pieces())
                except NoSpace:
                    raise
                except (IchliteError, BadMember) as error:
                    done.refuse(member.name, error)
    except (BadArchive, zipfile.BadZipFile) as error:
        done.refuse("", error)
    finally:
        done.takings.note()
