"""The demo's progress on standard error: one line for each step, and none where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from typing_extensions import Self


class Steps:
    """A progress display with a step for each part of a long job.

    Parameters
    ----------
    shown
        False for no display at all; otherwise it shows if standard error is a terminal.
    """

    def __init__(self, *, shown: bool) -> None:
        # The stream is taken now: while Feast is kept quiet, sys.stderr is another one.
        console = Console(file=sys.stderr)
        columns = (
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(
            *columns,
            console=console,
            disable=not (shown and console.is_terminal),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Show a step while the block runs; with a `total`, the block calls what it is given for each part done."""
        task = self._progress.add_task(label, total=total)
        yield lambda: self._progress.advance(task)
        self._progress.update(task, total=total or 1, completed=total or 1)
