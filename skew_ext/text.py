"""Text made of data, fit to print: a served value must not move the cursor, nor bring markup of its own."""

from __future__ import annotations

from rich.markup import escape


def visible(value: str) -> str:
    """Give `value` with its control characters, and all else that does not print, written as escapes."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in value)


def harmless(value: str) -> str:
    """Give `value` as `visible` does, and with what rich would take for markup escaped."""
    return escape(visible(value))
