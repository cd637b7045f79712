"""`ichlite node`: set up, run and look after a server that reads studies as they arrive."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.console import require
from ichlite.commands.help_panels import PanelCommand
from ichlite.commands.options import PlainJson

node = typer.Typer(
    name="node",
    help="Run a node: a server that receives studies by DICOM, reads them and returns results.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NODE_PACKAGES = (
    "argon2", "highdicom", "jinja2", "prometheus_client", "pynetdicom", "starlette", "structlog",
    "uvicorn",
)  # fmt: skip


@node.callback()
def need_node() -> None:
    """Check that the packages of the node are installed; help alone needs none of them."""
    if not {"-h", "--help"} & set(sys.argv):
        require("node", *NODE_PACKAGES)
        os.umask(0o077)  # what a node writes holds names, images and passwords


Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of the node, where its node.toml is.")
]


@node.command(cls=PanelCommand, epilog="Example: ichlite node init /srv/ichlite --aet ICHLITE")
def init(
    folder: Folder,
    dicom_port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, metavar="N", help="TCP port for DICOM; 0 for any free one."
        ),
    ] = 11_112,
    http_port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, metavar="N", help="TCP port for the web page; 0 for any free one."
        ),
    ] = 8080,
    aet: Annotated[str, typer.Option(metavar="NAME", help="AE title of the node.")] = "ICHLITE",
) -> None:
    """Make a new node: its settings and an empty store."""
    from ichlite.node.initial_settings import write_initial_settings
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings

    write_initial_settings(folder, dicom_port=dicom_port, http_port=http_port, aet=aet)
    open_database(folder, read_settings(folder)).close()
    sys.stdout.write(
        f"Made {folder}: check {folder / 'node.toml'}, then start the node: "
        f"ichlite node run {folder}\n"
    )


@node.command(cls=PanelCommand, epilog="Example: ichlite node run /srv/ichlite")
def run(folder: Folder) -> None:
    """Run the node in the foreground until SIGTERM or Ctrl-C."""
    from ichlite.node.run import run_node

    run_node(folder)


@node.command(
    "add-user", cls=PanelCommand, epilog="Example: ichlite node add-user /srv/ichlite anna --admin"
)
def add_user(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and . _ @ -")],
    from_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Take the password from the first line of stdin."),
    ] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="Let them see settings and export verdicts, too.")
    ] = False,
) -> None:
    """Add a user or change their password and role."""
    import time

    from ichlite.errors import UsageError
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings
    from ichlite.node.web.passwords import hash_password
    from ichlite.node.web.users import add_user as add

    settings = read_settings(folder)
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise UsageError(
            "there is no password, and nobody to ask, as stdin is no terminal",
            remedy="pipe the password in, and add --password-stdin",
        )
    if not password.isprintable():
        raise UsageError("the password has control characters, or is not UTF-8")
    kept = hash_password(password)
    with closing(open_database(folder, settings)) as database:
        new = database.write(lambda tables: add(tables, name, kept, admin=admin, now=time.time()))
    role = "admin" if admin else "reader"
    sys.stdout.write(f"{'Added' if new else 'Changed'} {name}, {role}\n")


@node.command(
    "remove-user", cls=PanelCommand, epilog="Example: ichlite node remove-user /srv/ichlite anna"
)
def remove_user(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")],
) -> None:
    """Remove a user of the page, and end their sessions."""
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings
    from ichlite.node.web.users import remove_user as remove

    with closing(open_database(folder, read_settings(folder))) as database:
        database.write(lambda tables: remove(tables, name))
    sys.stdout.write(f"Removed {name}\n")


@node.command(cls=PanelCommand, epilog="Example: ichlite node status /srv/ichlite --json")
def status(folder: Folder, as_json: PlainJson = False) -> None:
    """Show whether the node runs, and where each study stands."""
    from ichlite.commands.console import print_json
    from ichlite.node.run import is_running, open_database
    from ichlite.node.settings import read_settings
    from ichlite.node.studies import status_document

    with (
        closing(open_database(folder, read_settings(folder))) as database,
        database.read() as tables,
    ):
        document = {"up": is_running(folder), **status_document(tables)}
    if as_json:
        print_json(document)
        return
    sys.stdout.write("the node runs\n" if document["up"] else "the node does not run now\n")
    for key in ("received", "queued", "running", "done", "parked"):
        sys.stdout.write(f"{key}: {document[key]}\n")
    for key, count in document["outbox"].items():
        sys.stdout.write(f"outbox, {key}: {count}\n")


@node.command(
    "verify-audit", cls=PanelCommand, epilog="Example: ichlite node verify-audit /srv/ichlite"
)
def verify_audit(
    folder: Folder,
    known_hash: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Hash of a row that the log held earlier, as this command or the node's hourly "
            "log line printed it; an error if no row has it any longer.",
        ),
    ] = None,
    as_json: PlainJson = False,
) -> None:
    """Check the hash chain of the audit log.

    Each row must follow from the row before it. Rows that were cut off its end leave no gap: give a
    hash that was kept elsewhere to notice them.
    """
    from ichlite.commands.console import print_json
    from ichlite.errors import StoreError
    from ichlite.node import audit
    from ichlite.node.database import only_looked_at
    from ichlite.node.run import store_folder
    from ichlite.node.settings import read_settings

    with only_looked_at(store_folder(folder, read_settings(folder))) as tables:
        found = audit.verify(tables, known_hash or audit.START)
    if as_json:
        print_json(
            {
                "rows": found.rows, "last_hash": found.last_hash, "broken_at": found.broken_at,
                "known_hash_found": found.known if known_hash else None,
            }
        )  # fmt: skip
    if found.broken_at is not None:
        raise StoreError(
            f"the audit log of {folder} was changed: row {found.broken_at} does not follow",
            remedy="compare it with a backup",
        )
    if not found.known:
        raise StoreError(
            f"the audit log of {folder} was cut or replaced: none of its {found.rows} rows has the "
            f"hash {known_hash}",
            remedy="compare it with a backup",
        )
    if not as_json:
        sys.stdout.write(f"{found.rows} rows, each follows; last hash {found.last_hash}\n")


@node.command(
    "send-test",
    cls=PanelCommand,
    epilog="Example: ichlite node send-test /srv/ichlite STUDY_FOLDER",
)
def send_test(
    folder: Folder,
    files: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="Folder with DICOM files to send.")
    ],
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, metavar="N", help="Port, where node.toml leaves it open."),
    ] = None,
    as_json: PlainJson = False,
) -> None:
    """Send DICOM files to the node, as a scanner would."""
    from ichlite.commands.console import print_json, progress
    from ichlite.errors import IchliteError
    from ichlite.node.logs import set_up_logs
    from ichlite.node.send_test import send_test as send

    set_up_logs()
    with progress("sending files") as advance:
        sent = send(folder, files, port=port, advance=advance)
    if as_json:
        print_json(sent)
    else:
        for path in sent.skipped:
            sys.stdout.write(f"{path}: no DICOM file\n")
        for why, count in sent.reasons.items():
            sys.stdout.write(f"refused: {count} files: {why}\n")
        sys.stdout.write(f"{sent.aet} on port {sent.port} answers C-ECHO and took {sent.sent}\n")
    if sent.refused:
        raise IchliteError(f"the node refused {len(sent.refused)} files")


@node.command(cls=PanelCommand, epilog="Example: ichlite node check /srv/ichlite")
def check(folder: Folder, as_json: PlainJson = False) -> None:
    """Check the node's store, peers, model and disk.

    The sandbox that the kernel gives is checked, too.
    """
    from ichlite.commands.console import print_json, progress
    from ichlite.errors import IchliteError
    from ichlite.node.check import check_node
    from ichlite.node.logs import set_up_logs

    set_up_logs()
    with progress("comparing files") as advance:
        findings = list(check_node(folder, advance))
    faults = [one for one in findings if not one.ok and one.must]
    if as_json:
        print_json({"ok": not faults, "findings": findings})
    else:
        for one in findings:
            mark = "ok" if one.ok else "FAULT" if one.must else "weak"
            sys.stdout.write(f"{mark:5}  {one.check}: {one.says}\n")
    if faults:
        raise IchliteError(f"{len(faults)} of {len(findings)} checks found a fault")


@node.command(
    cls=PanelCommand, epilog="Example: ichlite node backup /srv/ichlite /mnt/usb/ichlite-monday"
)
def backup(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the backup.")],
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Make hard links instead of copies where possible: quick, but no protection "
            "against a failing disk.",
        ),
    ] = False,
    as_json: PlainJson = False,
) -> None:
    """Copy the store to a backup folder.

    The node may run meanwhile; every file is compared with its digest.
    """
    from ichlite.commands.console import print_json, progress
    from ichlite.node.backup import back_up

    with progress("copying files") as advance:
        made = back_up(folder, out, link=link, advance=advance)
    if as_json:
        print_json({"backup": str(out), "studies": made.studies, "instances": made.instances})
    else:
        sys.stdout.write(f"{out}: {made.studies} studies, {made.instances} instances\n")


@node.command(
    cls=PanelCommand, epilog="Example: ichlite node restore /mnt/usb/ichlite-monday /srv/ichlite"
)
def restore(
    out: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of the backup.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder of the node.")],
    as_json: PlainJson = False,
) -> None:
    """Restore a node from a backup.

    Every file is compared with its digest.
    """
    from ichlite.commands.console import print_json, progress
    from ichlite.node.backup import restore as make

    with progress("copying files") as advance:
        made = make(out, folder, advance=advance)
    if as_json:
        print_json({"node": str(folder), "studies": made.studies, "instances": made.instances})
    else:
        sys.stdout.write(f"{folder}: {made.studies} studies, {made.instances} instances\n")


@node.command(cls=PanelCommand, epilog="Example: ichlite node retry /srv/ichlite --peer pacs")
def retry(
    folder: Folder,
    peer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Peer or hook; all, if not given.")
    ] = None,
    as_json: PlainJson = False,
) -> None:
    """Resend results that were given up.

    These are results and notices that could not be sent for days.
    """
    import time

    from ichlite.errors import UnknownName
    from ichlite.node.deliveries import retry_dead
    from ichlite.node.hooks import target_names
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings

    settings = read_settings(folder)
    names = sorted(target_names(settings))
    if peer is not None and peer not in names:
        raise UnknownName("peer or hook of node.toml", peer, names)
    with closing(open_database(folder, settings)) as database:
        count = database.write(
            lambda tables: retry_dead(tables, time.time(), "command", peer, among=names)
        )
    _say_count(count, "retried", "will be tried again", as_json=as_json)


@node.command(cls=PanelCommand, epilog="Example: ichlite node discard /srv/ichlite --peer old-pacs")
def discard(
    folder: Folder,
    peer: Annotated[
        str, typer.Option(metavar="NAME", help="Peer or hook, also one that node.toml had once.")
    ],
    as_json: PlainJson = False,
) -> None:
    """Forget what could not be sent to a peer.

    Retention may then delete the studies.
    """
    from ichlite.errors import UsageError
    from ichlite.node.deliveries import discard_dead
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings

    with closing(open_database(folder, read_settings(folder))) as database:
        with database.read() as tables:
            query = "SELECT DISTINCT peer FROM delivery WHERE state = 'dead' ORDER BY peer"
            names = [row[0] for row in tables.execute(query)]
        if peer not in names:
            raise UsageError(
                f"nothing that was to be sent to {peer} was given up",
                found=f"given up for {', '.join(names) or 'nobody'}",
            )
        count = database.write(lambda tables: discard_dead(tables, "command", peer))
    _say_count(count, "discarded", "will not be sent", as_json=as_json)


def _say_count(count: int, key: str, words: str, *, as_json: bool) -> None:
    from ichlite.commands.console import print_json

    if as_json:
        print_json({key: count})
    else:
        sys.stdout.write(f"{count} {words}\n")
