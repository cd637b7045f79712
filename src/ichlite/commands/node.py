"""`ichlite node`: run a box that reads what the scanner sends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.options import PlainJson

node = typer.Typer(
    name="node",
    help="Run a node: it takes studies over DICOM and HTTP, reads them and sends results back.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the node, which holds node.toml.")
]


@node.command(epilog="Example: ichlite node init /srv/ichlite --aet ICHLITE")
def init(
    folder: Folder,
    dicom_port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="Port for DICOM.")
    ] = 11_112,
    http_port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="Port for the web page.")
    ] = 8080,
    aet: Annotated[str, typer.Option(metavar="NAME", help="AE title of the node.")] = "ICHLITE",
) -> None:
    """Make a new node: its settings and an empty store."""
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings, write_initial_settings

    write_initial_settings(folder, dicom_port=dicom_port, http_port=http_port, aet=aet)
    open_database(folder, read_settings(folder)).close()
    sys.stdout.write(f"Made {folder}: look at {folder / 'node.toml'}, then ichlite node run\n")


@node.command(epilog="Example: ichlite node run /srv/ichlite")
def run(folder: Folder) -> None:
    """Run the node in the foreground until SIGTERM or Ctrl-C."""
    from ichlite.node.run import run_node

    run_node(folder)


@node.command("add-user", epilog="Example: ichlite node add-user /srv/ichlite anna --admin")
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
    """Add a user of the page, or give one that there is another password and role."""
    import time

    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings
    from ichlite.node.web.passwords import hash_password
    from ichlite.node.web.users import add_user as add

    settings = read_settings(folder)
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    kept = hash_password(password)
    database = open_database(folder, settings)
    try:
        new = database.write(lambda tables: add(tables, name, kept, admin=admin, now=time.time()))
    finally:
        database.close()
    role = "admin" if admin else "reader"
    sys.stdout.write(f"{'Added' if new else 'Changed'} {name}, {role}\n")


@node.command(epilog="Example: ichlite node status /srv/ichlite --json")
def status(folder: Folder, as_json: PlainJson = False) -> None:
    """Show where each study stands."""
    from ichlite.commands.console import print_json
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings
    from ichlite.node.studies import status_document

    database = open_database(folder, read_settings(folder))
    try:
        with database.read() as tables:
            document = status_document(tables)
    finally:
        database.close()
    if as_json:
        print_json(document)
        return
    for key in ("received", "queued", "running", "done", "parked"):
        sys.stdout.write(f"{key}: {document[key]}\n")
    for key, count in document["outbox"].items():
        sys.stdout.write(f"outbox, {key}: {count}\n")


@node.command("verify-audit", epilog="Example: ichlite node verify-audit /srv/ichlite")
def verify_audit(folder: Folder, as_json: PlainJson = False) -> None:
    """Check that no row of the audit log was changed, removed or put between others."""
    from ichlite.commands.console import print_json
    from ichlite.errors import StoreError
    from ichlite.node import audit
    from ichlite.node.run import open_database
    from ichlite.node.settings import read_settings

    database = open_database(folder, read_settings(folder))
    try:
        with database.read() as tables:
            found = audit.verify(tables)
    finally:
        database.close()
    if as_json:
        print_json({"rows": found.rows, "last_hash": found.last_hash, "broken_at": found.broken_at})
    if found.broken_at is not None:
        raise StoreError(
            f"the audit log of {folder} was changed: row {found.broken_at} does not follow",
            remedy="compare it with a backup",
        )
    if not as_json:
        sys.stdout.write(f"{found.rows} rows, each follows; last hash {found.last_hash}\n")
