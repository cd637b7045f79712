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
    """What one request brought.

    Attributes:
        services: Of the node.
        source: Who sent it.
        user: Who had logged in.
        study: UID of the one study that is taken; None for any.
        taken: In order.
    """

    services: Services
    source: str
    user: str
    study: str | None = None
    taken: list[Taken] = field(default_factory=list)

    def take(self, pieces: Iterable[bytes]) -> Taken:
        """Take one file, of which whoever reads it bounds the length.

        Raises:
            IchliteError: It is refused.
        """
        found = self.services.intake.take(pieces, self.source, study=self.study)
        self.taken.append(found)
        return found

    @property
    def studies(self) -> tuple[str, ...]:
        """UIDs of the studies that something came for."""
        return tuple(sorted({one.header.study_uid for one in self.taken}))

    @property
    def new(self) -> int:
        """How many files the node did not have."""
        return sum(one.new for one in self.taken)

    def note(self) -> None:
        """Write down in the audit log what came."""
        if not self.taken:
            return
        self.services.database.write(
            lambda tables: audit.append(
                tables, self.user, "instances.received", source=self.source,
                instances=len(self.taken), studies=list(self.studies),
            )
        )  # fmt: skip
