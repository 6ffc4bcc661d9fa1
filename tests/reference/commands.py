"""The commands, from click."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from skew_ext.cli.main import cli
from tests.reference.markdown import page, table


def commands() -> str:
    """Give docs/reference/commands.md."""
    parts = [part for path, command in _commands("skew", cli) for part in _section(path, command)]
    return page(
        "Commands",
        "Exit codes: 0 is fine, 1 is findings at or over `--fail-on`, 2 is that it could not run. `-c` and `-f` come "
        "before the command.",
        *parts,
    )


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, inner in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
        yield from _commands(f"{path} {name}", inner)


def _section(path: str, command: click.Command) -> Iterator[str]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    asked = " ".join(one.make_metavar(click.Context(command)) for one in arguments)
    yield f"## {path}"
    yield _text(command)
    usage = (path, "[OPTIONS]" if options else "", asked, _group(command))
    yield f"```\n{' '.join(part for part in usage if part)}\n```"
    if isinstance(command, click.Group):
        yield f"Commands: {', '.join(f'`{path} {name}`' for name in sorted(command.commands))}."
    if options:
        yield table(("option", "takes", "default", "does"), [_option(one) for one in options])


def _group(command: click.Command) -> str:
    return "COMMAND" if isinstance(command, click.Group) else ""


def _text(command: click.Command) -> str:
    """Give a command's help; a block that click must not wrap, its example, is one here too."""
    parts = []
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0] == "\b":
            parts.append(f"{lines[1].strip()}\n\n```\n{inspect.cleandoc(chr(10).join(lines[2:]))}\n```")
        else:
            parts.append(" ".join(block.split()))
    return "\n\n".join(parts)


def _option(option: click.Option) -> tuple[str, str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names, _takes(option), _default(option), option.help or ""


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    repeated = ", may be given again" if option.multiple else ""
    name = option.metavar or {"integer range": "number", "integer": "number"}.get(option.type.name, option.type.name)
    return f"{name}{repeated}{' (required)' if option.required else ''}"


def _default(option: click.Option) -> str:
    given = option.to_info_dict()["default"]
    shown = not option.is_flag and isinstance(given, (str, int, float)) and not isinstance(given, bool)
    return f"`{given}`" if shown and given != "" else ""
