"""Telling a process from the one that it was forked from, also where it got the number of one that has ended."""

from __future__ import annotations

import os

_forks = 0


def current_process() -> tuple[int, int]:
    """Return what stands for this process: its number, which may be used again, and how many forks lie behind it."""
    return os.getpid(), _forks


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - it is the process's
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)
