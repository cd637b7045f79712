"""Take files that come over HTTP into the node, and collect what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ichlite.node import audit
from ichlite.node.intake import Taken
from ichlite.node.web.services import Services

MOST_FILES = 20_000
MOST_BODY_BYTES = 4 << 30


@dataclass
class Takings:
    """Files that one HTTP request brought, and how to store them.

    Attributes:
        services: Services of the node.
        source: Name of the sender, as shown for its studies.
        user: Name of the user who is logged in.
        study: StudyInstanceUID that all files must have; None for any.
        taken: Instances stored so far, in order.
    """

    services: Services
    source: str
    user: str
    study: str | None = None
    taken: list[Taken] = field(default_factory=list)

    def take(self, pieces: Iterable[bytes]) -> Taken:
        """Store one DICOM file; the caller limits its length.

        Args:
            pieces: Bytes of the file, in order.

        Raises:
            IchliteError: The file is refused.
        """
        found = self.services.intake.take(pieces, self.source, study=self.study)
        self.taken.append(found)
        return found

    @property
    def studies(self) -> tuple[str, ...]:
        """StudyInstanceUIDs of the stored files, sorted."""
        return tuple(sorted({one.header.study_uid for one in self.taken}))

    @property
    def new(self) -> int:
        """Number of stored files that the node did not have yet."""
        return sum(one.new for one in self.taken)

    def note(self) -> None:
        """Record in the audit log which files were stored."""
        if not self.taken:
            return
        self.services.database.write(
            lambda tables: audit.append(
                tables, self.user, "instances.received", source=self.source,
                instances=len(self.taken), studies=list(self.studies),
            )
        )  # fmt: skip
