"""Read a node's settings, the file `node.toml`."""

from __future__ import annotations

import base64
import ssl
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePath
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ichlite.errors import UsageError

FILE = "node.toml"
R = TypeVar("R", bound=msgspec.Struct)
Port = Annotated[int, Meta(ge=0, le=65_535)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]

_AE_TITLE = r"^(?=.*[^ ])[\x20-\x5b\x5d-\x7e]{1,16}$"
_WEB_ADDRESS = r"^https?://[!-.0-~]+(/[!-~]*)?$"
_EMAIL_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
_PEER_NAME = r"^[^:]{1,64}$"
_SIGNING_KEY = r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$"
_IN_WORDS = {
    _AE_TITLE: "1 to 16 ASCII characters without a backslash, not spaces alone",
    _WEB_ADDRESS: "an address of ASCII characters that begins with http:// or https://",
    _EMAIL_ADDRESS: "an e-mail address",
    _PEER_NAME: "1 to 64 characters without a colon",
    _SIGNING_KEY: "whsec_ and 24 to 64 bytes in base64",
}
"""What each pattern asks for, for those who read an error."""

AeTitle = Annotated[str, Meta(pattern=_AE_TITLE)]
"""DICOM PS3.5 table 6.2-1."""
WebAddress = Annotated[str, Meta(pattern=_WEB_ADDRESS)]
EmailAddress = Annotated[str, Meta(pattern=_EMAIL_ADDRESS)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class for tables of `node.toml`; unknown keys are errors, since they may be misspelt."""


class DicomSettings(Record, frozen=True):
    """Settings of the DICOM port, and of who may connect to it.

    Attributes:
        host, port: Where to listen; port 0 takes a free one.
        aet: This node's AE title; calls to another are rejected.
        allow_aets: Calling AE titles that are accepted; empty for all.
        allow_hosts: Addresses or networks (`192.168.1.0/24`) that are accepted; empty for all.
        max_associations: Largest number of simultaneous associations; further ones are rejected,
            and the sender tries again.
        max_instance_bytes: Largest instance that is accepted, bytes.
        tls_certificate, tls_key: PEM files, relative to the folder of `node.toml`; both or none.
        tls_authorities: PEM file; senders must then hold a certificate signed by one of these.
    """

    host: str = "0.0.0.0"  # noqa: S104  scanners are on the network; the lists below restrict them
    port: Port = 11_112
    aet: AeTitle = "ICHLITE"
    allow_aets: tuple[AeTitle, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    max_associations: Annotated[int, Meta(ge=1, le=200)] = 25
    max_instance_bytes: Annotated[int, Meta(ge=1 << 20)] = 256 << 20
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_authorities: str | None = None


class HttpSettings(Record, frozen=True):
    """Settings of the port for web pages and DICOMweb; by default only this machine can connect.

    Attributes:
        host, port: Where to listen; port 0 takes a free one.
        behind_https: Whether a proxy in front of the node provides HTTPS; cookies are then sent
            over HTTPS only.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    behind_https: bool = False


class StudySettings(Record, frozen=True):
    """When a study counts as complete.

    Attributes:
        quiet_s: Seconds without a new instance after which it does.
    """

    quiet_s: PositiveSeconds = 60


class SourceSettings(Record, frozen=True):
    """Settings for one sender of studies.

    Attributes:
        aet: Calling AE title of the sender.
        quiet_s: As in `[study]`, for this sender; None for the same.
        complete_after: SeriesDescriptions of the sender's protocol: a study that has all of them is
            complete as soon as the association is released. Empty if unknown.
    """

    aet: AeTitle
    quiet_s: PositiveSeconds | None = None
    complete_after: tuple[str, ...] = ()


class StoreSettings(Record, frozen=True):
    """Where studies are stored, and for how long.

    Attributes:
        path: Folder; relative to that of `node.toml`.
        reserve_bytes: Free disk space that is never used; instances that would use it are refused.
        retention_days: Studies older than this that were read and reported are deleted; 0 keeps
            all.
    """

    path: str = "store"
    reserve_bytes: Annotated[int, Meta(ge=0)] = 2_000_000_000
    retention_days: Annotated[float, Meta(ge=0)] = 30


class PeerSettings(Record, frozen=True):
    """A PACS or workstation that results are sent to.

    Attributes:
        name: Unique name, without a colon.
        aet, host, port: AE title, host and port for C-STORE.
        stow_url: Address of the DICOMweb resource `/studies`, to send by STOW-RS instead of
            C-STORE.
        authorization: Value of the `Authorization` header for STOW-RS, such as `Basic …`.
        tls: Whether C-STORE goes over TLS, with this node's certificate if it has one.
        tls_authorities: PEM file of the authorities to trust in place of the system's.
    """

    name: Annotated[str, Meta(pattern=_PEER_NAME)]
    aet: AeTitle = "ANY-SCP"
    host: str = ""
    port: Port = 104
    stow_url: WebAddress | None = None
    authorization: str | None = None
    tls: bool = False
    tls_authorities: str | None = None


class OutboxSettings(Record, frozen=True):
    """How long sending a result is tried.

    Attributes:
        longest_pause_s: Longest pause between attempts, seconds; pauses double up to it.
        dead_after_s: Seconds of failed attempts after which a delivery is given up until someone
            retries it.
    """

    longest_pause_s: PositiveSeconds = 600
    dead_after_s: Annotated[float, Meta(gt=0)] = 3 * 86_400


class WebhookSettings(Record, frozen=True):
    """A web service that is notified of urgent studies.

    Attributes:
        name: Unique name.
        url: Address that notices are posted to.
        secret: `whsec_` and 24 to 64 bytes in base64, the key that signs notices.
        authorities: PEM file of the authorities to trust in place of the system's.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    url: WebAddress
    secret: Annotated[str, Meta(pattern=_SIGNING_KEY)]
    authorities: str | None = None


class EmailSettings(Record, frozen=True):
    """Mail server and addresses for notices of urgent studies.

    Attributes:
        host, port: Host and port of the mail server.
        security: Encryption: `starttls`, `tls`, or `none`.
        user, password: Login for the mail server; both or none.
        sender, to: Address of the sender, and those of the recipients; each gets a message of its
            own.
        authorities: PEM file of the authorities to trust in place of the system's.
    """

    host: str
    sender: EmailAddress
    to: Annotated[tuple[EmailAddress, ...], Meta(min_length=1)]
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = None
    authorities: str | None = None


class ReadSettings(Record, frozen=True):
    """Settings for reading studies with the model.

    Attributes:
        bundle: Folder of the bundle, relative to that of `node.toml`; None for the embedded one.
        operating_point: Name of the operating point whose thresholds decide.
        child_memory_mb, child_seconds: Memory (MiB) and time (seconds) allowed for the process that
            reads one study.
    """

    bundle: str | None = None
    operating_point: str = "balanced"
    child_memory_mb: Annotated[int, Meta(ge=256)] = 2048
    child_seconds: PositiveSeconds = 300


class WatchSettings(Record, frozen=True):
    """A folder from which DICOM files are taken in.

    Attributes:
        folder: Folder; files unchanged for `settle_s` seconds are taken in and removed, and refused
            ones are moved to its sub-folder `refused`.
    """

    folder: str
    settle_s: PositiveSeconds = 5

    @property
    def source(self) -> str:
        """Name of the folder as sender of its studies."""
        return f"folder {PurePath(self.folder).name}"


class Settings(Record, frozen=True):
    """All settings of a node, as in `node.toml`."""

    dicom: DicomSettings = DicomSettings()
    http: HttpSettings = HttpSettings()
    study: StudySettings = StudySettings()
    store: StoreSettings = StoreSettings()
    read: ReadSettings = ReadSettings()
    source: tuple[SourceSettings, ...] = ()
    peer: tuple[PeerSettings, ...] = ()
    watch: tuple[WatchSettings, ...] = ()
    outbox: OutboxSettings = OutboxSettings()
    webhook: tuple[WebhookSettings, ...] = ()
    email: EmailSettings | None = None

    def quiet_s(self, aet: str) -> float:
        """Return the seconds without new instances after which a study of a sender is complete.

        Args:
            aet: Calling AE title of the sender.
        """
        for source in self.source:
            if source.aet == aet and source.quiet_s is not None:
                return source.quiet_s
        return self.study.quiet_s

    @property
    def longest_quiet_s(self) -> float:
        """Longest quiet time of any sender, seconds."""
        own = (source.quiet_s for source in self.source)
        return max(self.study.quiet_s, *(one for one in own if one is not None), 0.0)


def load_own_certificate(context: ssl.SSLContext, dicom: DicomSettings) -> None:
    """Load certificate and key of the node into a TLS context, if its settings name them.

    Raises:
        OSError: They cannot be read, do not belong together, or the key has a pass phrase.
    """

    def ask() -> str:
        raise OSError("the key has a pass phrase, and nobody is there to type it")

    if dicom.tls_certificate is not None:
        context.load_cert_chain(dicom.tls_certificate, dicom.tls_key, ask)


def networks(hosts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Convert IP addresses and CIDR networks to network objects.

    Args:
        hosts: Addresses such as `192.168.1.7`, or networks such as `10.0.0.0/8`.

    Raises:
        UsageError: A text is neither.

    Example:
        >>> networks(("192.168.1.7", "10.0.0.0/8"))
        (IPv4Network('192.168.1.7/32'), IPv4Network('10.0.0.0/8'))
    """
    try:
        return tuple(ip_network(host) for host in hosts)
    except ValueError as error:
        raise UsageError(
            f"allow_hosts of {FILE} holds no address or network",
            found=error,
            expected="such as 192.168.1.7 or 192.168.1.0/24",
        ) from None


def read_settings(folder: Path) -> Settings:
    """Read the settings of the node in a folder from its `node.toml`.

    Args:
        folder: Folder of the node.

    Raises:
        UsageError: There is no `node.toml`, or its content is invalid.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder} holds no node: {FILE} cannot be read: {error.strerror}",
            remedy=f"make one: ichlite node init {folder}",
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", remedy="save it as UTF-8") from None
    try:
        settings = settings_of(text)
    except ValueError as error:
        raise UsageError(f"{path} is not valid: {error}") from None
    networks(settings.dicom.allow_hosts)
    for kind, names in (
        ("peers", [peer.name for peer in settings.peer]),
        ("webhooks", [hook.name for hook in settings.webhook]),
        ("sources", [source.aet.strip() for source in settings.source]),
        ("watched folders", [watch.source for watch in settings.watch]),
        ("recipients of e-mail", list(settings.email.to) if settings.email else []),
    ):
        if len(set(names)) < len(names):
            raise UsageError(f"{path} names two {kind} alike", found=", ".join(names))
    _check_watched(folder, settings)
    for fault in _faults(settings):
        raise UsageError(f"{path}: {fault}")
    return _with_files_of(settings, folder)


def _faults(settings: Settings) -> Iterator[str]:
    """Yield what cannot work, though each value by itself is valid."""
    dicom = settings.dicom
    if (dicom.tls_certificate is None) != (dicom.tls_key is None):
        yield "[dicom] has only one of tls_certificate and tls_key"
    if dicom.tls_authorities is not None and dicom.tls_certificate is None:
        yield "[dicom] has tls_authorities but no tls_certificate, so nothing would be encrypted"
    for peer in settings.peer:
        if not peer.host and peer.stow_url is None:
            yield f"peer {peer.name} has no host; it needs host or stow_url"
        secure = peer.tls or (peer.stow_url or "").startswith("https:")
        if peer.tls_authorities is not None and not secure:
            yield f"peer {peer.name} has tls_authorities, but neither tls nor an https address"
    for name, url in (
        *((f"peer {peer.name}: stow_url", peer.stow_url) for peer in settings.peer),
        *((f"webhook {hook.name}: url", hook.url) for hook in settings.webhook),
    ):
        try:
            if url is not None and not (urlsplit(url).hostname and urlsplit(url).port != 0):
                yield f"{name} is no address: {url}"
        except ValueError as error:
            yield f"{name} is no address: {error}"
    for hook in settings.webhook:
        try:
            base64.b64decode(hook.secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            yield f"webhook {hook.name}: secret is whsec_ and no base64"
    email = settings.email
    if email is not None and (email.user is None) != (email.password is None):
        yield "[email] has only one of user and password"


def _with_files_of(settings: Settings, folder: Path) -> Settings:
    """Return settings whose files and bundle are found from anywhere: relative to `folder`."""

    def placed(record: R, *names: str) -> R:
        there = {name: getattr(record, name) for name in names}
        return msgspec.structs.replace(
            record, **{name: str(folder / path) for name, path in there.items() if path is not None}
        )

    return msgspec.structs.replace(
        settings,
        dicom=placed(settings.dicom, "tls_certificate", "tls_key", "tls_authorities"),
        peer=tuple(placed(peer, "tls_authorities") for peer in settings.peer),
        webhook=tuple(placed(hook, "authorities") for hook in settings.webhook),
        email=None if settings.email is None else placed(settings.email, "authorities"),
        read=placed(settings.read, "bundle"),
    )


def _check_watched(folder: Path, settings: Settings) -> None:
    """Refuse to watch a folder of the node's own files, which would be taken in and removed."""
    store = (folder / settings.store.path).resolve()
    for watch in settings.watch:
        watched = (folder / watch.folder).resolve()
        if watched.is_relative_to(store) or any(
            own.is_relative_to(watched) for own in (folder.resolve(), store)
        ):
            raise UsageError(
                f"{folder / FILE}: a watched folder holds files of the node, or lies in its store",
                found=watch.folder,
                expected="a folder of its own, such as inbox",
            )


def settings_of(text: str) -> Settings:
    """Return the settings that the text of a `node.toml` gives.

    Args:
        text: TOML.

    Raises:
        ValueError: It is no TOML, or a value is unknown or out of range; the message says which.
    """
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        for pattern, words in _IN_WORDS.items():
            said = said.replace(f"`str` matching regex {pattern!r}", words)
        said = said[:1].lower() + said[1:]
        raise ValueError(f"{place.rstrip('`')}: {said}" if place else said) from None
