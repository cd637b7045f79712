"""Print the options of a command's `--help` in panels, in plain text."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class PanelCommand(TyperCommand):
    """A command whose help lists arguments, then options by `rich_help_panel`, then the others.

    Panels come in the order of their first option. Typer shows them with rich alone, which takes
    longer to load than everything else that a help needs.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                sections["Arguments"].append(record)
                continue
            panel = getattr(param, "rich_help_panel", None)
            (rest if panel is None else sections.setdefault(panel, [])).append(record)
        for title, records in {**sections, "Options": rest}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
