"""The errors that skew_ext raises: one line each that says what, why, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SkewError(Exception):
    """Something skew_ext cannot do, in one line: what, why, and what to do about it."""


class SettingsError(SkewError):
    """A `skew:` setting in feature_store.yaml that is unknown or does not fit; the message names it."""


class RepoError(SkewError):
    """The Feast repo, or an object in it, is not there or cannot be used."""


class SpoolError(SkewError):
    """A spool that is not ours, of another format, or damaged."""


class LogError(SkewError):
    """The serving log cannot be read, or holds nothing for what was asked."""


class RefusedError(LogError):
    """The log's destination will never take these rows as they are; the message says why. Nothing of them was stored.

    `whole`: it is no single row that it refuses.
    """

    def __init__(self, message: str, *, whole: bool = False) -> None:
        super().__init__(message)
        self.whole = whole


class AuditError(SkewError):
    """An audit cannot be run on what it was given."""


class WatchError(SkewError):
    """A watch cannot keep what it finds, or cannot tell anybody; the message says which."""


class TrainingSetError(SkewError):
    """A training set cannot be made of, or read from, what was given; the message names the column or the rows."""


class TransformError(SkewError):
    """A shared transform was declared or called wrongly."""


class DemoError(SkewError):
    """The demo cannot run here; the message says what is missing."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Say the nearest of `candidates` to `name`, as " (did you mean 'x'?)", or nothing if none is near."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
