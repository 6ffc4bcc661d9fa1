"""Every command line of ours that the pages show, and every example of a command's help: there is such a command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from skew_ext.cli.main import cli
from tests.commandlines import parsed

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((PROJECT / "docs").rglob("*.md")), *sorted(PROJECT.glob("*/README.md")), PROJECT / "README.md"]
_BLOCK = re.compile(r"^ *```([\w ]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SHELL = ("", "sh", "sh service", "console", "bash")
_INLINE = re.compile(r"`((?:skew|feast) [^`]+)`")
_ENDS = {"|", "||", "&&", ";", ">", ">>", "&"}
_STARTS = re.compile(r"^(?:[A-Z_]+=\S* )*(?=(?:skew|feast) )")
_LEFT_OUT = ("...", "…", "[OPTIONS]", "{", "<", "COMMAND")


def shown(text: str) -> Iterator[str]:
    """Give the command lines in a page's blocks and sentences; what has a gap to fill in is none."""
    for block in (block for language, block in _BLOCK.findall(text) if language in _SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            start = _STARTS.match(line.strip().removeprefix("$ "))
            if start is not None:
                yield line.strip().removeprefix("$ ")[start.end() :]
    yield from (" ".join(found.split()) for found in _INLINE.findall(text))


def examples(command: click.Command) -> Iterator[str]:
    """Give the examples of a command's help, and of those below it."""
    for line in re.sub(r"\\\s*\n\s*", " ", command.help or "").splitlines():
        start = _STARTS.match(line.strip())
        if start is not None and line.startswith("  "):
            yield line.strip()[start.end() :]
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        yield from examples(inner)


def words(line: str) -> list[str]:
    """Split a line as a shell does, up to a pipe or a comment; what a shell would fill in is a time, or a number."""
    filled = re.sub(r"\$\([^)]*\)", "2026-03-01T00:00Z", line)
    filled = re.sub(r"\"?\$(START|END|WINDOW_\w+)\"?", "2026-03-01T00:00Z", filled)
    filled = re.sub(r"\$\{?\{?[^}\s\"]+\}?\}?", "1", filled)
    split = shlex.split(filled, comments=True)
    return split[: next((place for place, word in enumerate(split) if word in _ENDS), len(split))]


LINES = sorted({line for page in PAGES for line in shown(page.read_text())} | {*examples(cli)})
WHOLE = [line for line in LINES if len(line.split()) > 1 and not any(gap in line for gap in _LEFT_OUT)]


def named(line: str) -> list[str]:
    """Give the path of the command that a line names: its words up to the first that names none, options skipped."""
    command: click.Command = cli
    path = ["skew"]
    for word in words(line)[1:]:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            path.append(word)
    return path


def test_pages_are_read() -> None:
    assert len(WHOLE) > 60
    assert {"skew lint", "skew log stats", "skew ship --drain"} <= set(WHOLE)


@pytest.mark.parametrize("line", WHOLE)
def test_a_command_that_is_shown_is_one_that_there_is(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In sentences a command may stand without what it requires, or an option without its value: both are there."""
    monkeypatch.chdir(tmp_path)
    for option in ("-c", "--chdir"):
        said = words(line)
        if option in said:
            (tmp_path / said[said.index(option) + 1]).mkdir(parents=True, exist_ok=True)
    try:
        parsed(words(line))
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        assert line.startswith("feast ") or len(named(line)) > 1
    except click.exceptions.Exit:
        assert line.endswith("--help")
    except click.UsageError as error:
        # A file of the reader's is not here.
        assert re.search(r"does not exist|requires an argument", str(error)), f"{line}: {error}"  # noqa: PT017
