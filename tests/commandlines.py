"""Command lines that stand in pages and manifests: whether there are such commands, options and values."""

from __future__ import annotations

import click
from feast.cli.cli import cli as feast

from skew_ext.cli.main import cli as skew

PROGRAMS: dict[str, click.Command] = {"skew": skew, "feast": feast}


def parsed(words: list[str]) -> tuple[str, dict[str, object]]:
    """Read a command line as the program itself would, and do nothing; give the command and its options.

    Raises
    ------
    click.UsageError
        There is no such command or option, a value does not fit, or one that is required is missing.
    """
    program, *rest = words
    options: dict[str, object] = {}
    command, name = PROGRAMS[program], program
    context: click.Context | None = None
    while True:
        context = command.make_context(name, list(rest), parent=context)
        options |= context.params
        if not isinstance(command, click.Group):
            return context.command_path, options
        asked = [*context._protected_args, *context.args]
        _, found, rest = command.resolve_command(context, asked)
        if found is None:
            msg = f"{' '.join(words)}: no such command"
            raise click.UsageError(msg)
        command, name = found, asked[0]
