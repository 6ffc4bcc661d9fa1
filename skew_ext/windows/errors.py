"""The error of this package: one line that says what, why, and what to do."""

from __future__ import annotations

from skew_ext.errors import SkewError


class WindowError(SkewError):
    """A windowed aggregate was declared or asked for wrongly, or an event does not fit its declaration."""
