"""Tell people of urgent studies: a signed webhook, an e-mail; neither says who the patient is.

A notice waits in the same durable queue as results do. Off unless `node.toml` has `[[webhook]]` or
`[email]`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from ichlite.node.deliveries import Parcel
from ichlite.node.http_post import request
from ichlite.node.outbox import Answers, Send, Unreachable
from ichlite.node.settings import EmailSettings, Settings, WebhookSettings

EMAIL = "e-mail"
RESEARCH = "Research use only. Notification of a result of an algorithm; not a diagnosis."
_SMTP_SECONDS = 30


def hook_names(settings: Settings) -> tuple[str, ...]:
    """Return the names under which notices are queued for webhooks and e-mail.

    They contain a colon, so that no peer can have the same name. Each recipient of e-mail is a
    target of its own: one whom the mail server refuses is tried again, and nobody else.
    """
    names = tuple(_webhook_name(hook) for hook in settings.webhook)
    recipients = settings.email.to if settings.email is not None else ()
    return (*names, *(f"{EMAIL}: {address}" for address in recipients))


def target_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of everything that results or notices are sent to: peers and hooks."""
    return (*(peer.name for peer in settings.peer), *hook_names(settings))


def hook_senders(settings: Settings) -> dict[str, Send]:
    """Return the function that sends notices to each webhook and e-mail target, by target name."""
    senders: list[Send] = [_webhook_sender(hook, settings) for hook in settings.webhook]
    if settings.email is not None:
        senders += [_email_sender(settings.email, to, settings) for to in settings.email.to]
    return dict(zip(hook_names(settings), senders, strict=True))


def notice(parcel: Parcel, settings: Settings) -> dict[str, Any]:
    """Return the content of a notice of an urgent study, without name, ID or dates of the patient.

    Its `id` stays the same when it is sent again, and differs for each reading and target.
    """
    identity = f"{settings.dicom.aet}\n{parcel.target}\n{parcel.study_uid}\n{parcel.version}"
    return {
        "type": "study.urgent",
        "id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "node": settings.dicom.aet,
        "study": parcel.study_uid,
        "version": parcel.version,
        "any": parcel.any_probability,
        "read_at": datetime.fromtimestamp(parcel.finished_at, UTC).isoformat(timespec="seconds"),
        "note": RESEARCH,
    }


def signature(secret: str, identity: str, at: int, body: bytes) -> str:
    """Return the `webhook-signature` header for a notice, which proves its origin.

    Args:
        secret: `whsec_` followed by the key in base64.
        identity: Value of the header `webhook-id`.
        at: Value of the header `webhook-timestamp`, s since 1970.
        body: Body of the request, exactly as sent.

    Source:
        Standard Webhooks 1.0, "Signature scheme": HMAC-SHA256 over `id.timestamp.body`.

    Example:
        >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
        ...           1614265330, b'{"test": 2432232314}')
        'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{identity}.{at}.".encode() + body
    mark = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{mark}"


def _webhook_name(hook: WebhookSettings) -> str:
    return f"webhook: {hook.name}"


def _webhook_sender(hook: WebhookSettings, settings: Settings) -> Send:
    def send(parcels: tuple[Parcel, ...]) -> Answers:
        for parcel in parcels:
            said = notice(parcel, settings)
            body = json.dumps(said).encode()
            at = int(time.time())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": said["id"],
                "webhook-timestamp": str(at),
                "webhook-signature": signature(hook.secret, said["id"], at, body),
            }
            answer = request("POST", hook.url, body, headers, authorities=hook.authorities)
            taken = 200 <= answer.status < 300
            yield parcel, None if taken else f"it answers {answer.status}"

    return send


def _email_sender(email: EmailSettings, to: str, settings: Settings) -> Send:
    def send(parcels: tuple[Parcel, ...]) -> Answers:
        with mail_server(email) as server:
            for parcel in parcels:
                try:
                    server.send_message(_message(parcel, email, to, settings))
                except smtplib.SMTPServerDisconnected:
                    raise Unreachable(f"{email.host} closed the connection") from None
                except smtplib.SMTPResponseException as error:
                    yield parcel, f"the mail server answers {error.smtp_code}"
                except smtplib.SMTPException as error:
                    yield parcel, f"the mail server refuses it: {type(error).__name__}"
                except OSError as error:
                    raise Unreachable(f"the connection to {email.host} was lost: {error}") from None
                else:
                    yield parcel, None

    return send


@contextmanager
def mail_server(email: EmailSettings) -> Iterator[smtplib.SMTP]:
    """Provide a connection to the mail server, encrypted and logged in as the settings say.

    Raises:
        Unreachable: It cannot be connected to, or refuses encryption or login.
    """
    server: smtplib.SMTP | None = None
    try:
        context = ssl.create_default_context(cafile=email.authorities)
        if email.security == "tls":
            server = smtplib.SMTP_SSL(
                email.host, email.port, timeout=_SMTP_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(email.host, email.port, timeout=_SMTP_SECONDS)
        if email.security == "starttls":
            server.starttls(context=context)
        if email.user is not None:
            server.login(email.user, email.password or "")
    except (OSError, smtplib.SMTPException) as error:
        if server is not None:
            server.close()
        why = getattr(error, "verify_message", "") or type(error).__name__
        raise Unreachable(f"{email.host} does not take mail: {why}") from None
    try:
        yield server
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()


def _message(parcel: Parcel, email: EmailSettings, to: str, settings: Settings) -> EmailMessage:
    said = notice(parcel, settings)
    message = EmailMessage()
    message["Subject"] = f"ichlite {said['node']}: urgent head CT"
    message["From"] = email.sender
    message["To"] = to
    message["Message-ID"] = f"<{said['id']}@ichlite>"
    message["Date"] = datetime.fromtimestamp(parcel.finished_at, UTC)
    message["Auto-Submitted"] = "auto-generated"
    lines = [
        "A head CT was read as urgent. Look at the worklist of the node, or in the PACS.",
        "",
        *(f"{name}: {said[name]}" for name in ("node", "study", "version", "read_at")),
        "",
        RESEARCH,
    ]
    message.set_content("\n".join(lines) + "\n")
    return message
