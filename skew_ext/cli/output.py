"""Writing what a command found: to a file or to standard output, and tables to the terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skew_ext.clock import as_utc
from skew_ext.errors import SkewError
from skew_ext.private_files import GROUP, OWNER, make_private
from skew_ext.text import masked, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

STANDARD_OUTPUT = "-"


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time; one without a zone is taken as UTC, and that is said."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Give the time in UTC, or fail with how to write one."""
        if isinstance(value, datetime):
            return as_utc(value)
        try:
            # Python 3.10 does not read the Z that everybody writes.
            moment = datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
        except ValueError:
            self.fail(f"{value!r} is not a time: write it as 2026-03-01T12:00:00+00:00", param, ctx)
        if moment.tzinfo is None:
            name = param.opts[-1] if param is not None else "the time"
            complain(f"{name} {value} has no time zone: taken as UTC")
        return as_utc(moment)


class Target(click.ParamType[str]):
    """A file to write, made absolute before the repo becomes the working folder; `-` is standard output.

    What cannot be written is said before the work is done, not after.
    """

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the absolute path, or fail with why no file can be written there."""
        if str(value) == STANDARD_OUTPUT:
            return STANDARD_OUTPUT
        path = Path(str(value)).absolute()
        if path.is_dir():
            self.fail(f"{value} is a folder: name a file in it", param, ctx)
        there = next(folder for folder in path.parents if folder.exists())
        blocked = path if path.exists() and not os.access(path, os.W_OK) else there
        if not there.is_dir() or not os.access(blocked, os.W_OK):
            self.fail(f"{value} cannot be written: {blocked} is no folder, or not writable", param, ctx)
        return str(path)


class Sample(click.ParamType["int | float"]):
    """A number of rows, or a share of the entity keys: 100000, 0.1 or 10%."""

    name = "rows|share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Give rows as an int, a share as a float up to 1."""
        if isinstance(value, int | float):
            return value
        text = str(value).strip().replace(",", "").replace("_", "")
        try:
            sample = float(text[:-1]) / 100 if text.endswith("%") else float(text) if "." in text else int(text)
        except ValueError:
            sample = 0
        if not (0 < sample <= 1 if isinstance(sample, float) else sample >= 1):
            self.fail(f"{value!r} is no sample: write rows (100000) or a share of the keys (0.1, 10%)", param, ctx)
        return sample


def without_warnings() -> None:
    """Show no warnings of libraries to the user of a command, unless Python was told to.

    Once at the start and once when Feast is imported: on its import it has Python show some again.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def complain(text: str) -> None:
    """Say something on standard error that is not the result: one line, without secrets, that moves no cursor."""
    click.echo(f"skew: {one_line(masked(text))}", err=True)


class _OneLine(logging.Formatter):
    """Names and values are in what is logged: each message is one line, and moves no cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def log_to_terminal() -> None:
    """Show what is logged on standard error, as a service does that goes on until it is stopped."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def write_text(target: str, text: str) -> None:
    """Write to a file, or to standard output where the target is `-`; SkewError where that fails."""
    if target == STANDARD_OUTPUT:
        sys.stdout.write(text + "\n")
        return
    with writing(target) as path:
        path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def writing(target: str) -> Iterator[Path]:
    """Give the path of a file to write, its folder made; SkewError where that fails.

    What commands write holds served values: a new file is for its owner alone, or where `--report-access group` says
    so, for its group to read.
    """
    path = Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(path, _access())
        yield path
    except OSError as error:
        msg = f"{target} cannot be written ({error.strerror or error}): make room, or name another file"
        raise SkewError(msg) from error


def _access() -> int:
    context = click.get_current_context(silent=True)
    chosen = None if context is None else context.find_root().params.get("report_access")
    return GROUP if chosen == "group" else OWNER


def write_json(target: str, value: Any) -> None:
    """Write a value as JSON; times as ISO 8601, bytes and what else JSON lacks as text."""
    write_text(target, json.dumps(value, indent=1, default=str))


def console(*, err: bool = False) -> Console:
    """Give a console; with `err`, one on standard error for what is not the result."""
    from rich.console import Console as RichConsole

    return RichConsole(stderr=err)


@contextmanager
def progress(first: str = "") -> Iterator[Callable[[str], None]]:
    """Show the name of the present step with a spinner, on a terminal's standard error, and nothing elsewhere."""
    from skew_ext.text import harmless  # with rich, which takes long to import

    screen = console(err=True)
    if not screen.is_terminal:
        yield lambda _: None
        return
    with screen.status(first) as status:
        yield lambda text: status.update(harmless(text))
