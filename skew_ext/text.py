"""Text made of data, fit to show: a name or value must not move the cursor, turn a line round, nor call anybody."""

from __future__ import annotations

import re

_CALLS = re.compile(r"[@#!](?=\w)|<(?=[@#!&]|\w+/)")
_APART = "\u200b"
"""A space of no width: what stands on its two sides is no longer one word to whoever looks for whom to call."""
_SECRETS = (
    (re.compile(r"([A-Za-z][\w+.-]*:/{1,2})(?!/?user:password@)\S*@"), r"\1***@"),  # but how a DSN is written
    (
        re.compile(
            r"((?:pass|pwd|secret|token|api_?key)\w*\s*=\s*|'(?:pass|pwd|secret|token|api_?key)\w*'\s*:\s*)"
            r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,;&'")]+)""",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)


def visible(value: str) -> str:
    """Return `value` with control characters, bidi overrides and all else that does not print written as escapes.

    A line feed stays. This is the one rule for every name and value that is shown, whatever the form.
    """
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in value)


def one_line(value: str) -> str:
    """Return `value` as `visible` does, its line feeds written as escapes too."""
    return visible(value).replace("\n", "\\n")


def shortened(value: str, longest: int) -> str:
    """Return at most `longest` characters of `value`; an ellipsis shows that it was cut."""
    return value if len(value) <= longest else f"{value[: max(longest - 1, 0)]}…"


def brief(value: str, longest: int) -> str:
    """Return `value` as one line of at most `longest` characters; an ellipsis shows that it was cut."""
    return shortened(one_line(value[: longest + 1]), longest)


def harmless(value: str) -> str:
    """Return `value` as `visible` does, and with what rich would take for markup escaped."""
    from rich.markup import escape  # noqa: PLC0415 - it takes long to import, and all else here does without

    return escape(visible(value))


def calling_nobody(value: str) -> str:
    """Return `value` with what a chat could take for a mention taken apart: @everyone, <!channel>, <@U123>, #general.

    Chats look for whom to call in what is shown, markup resolved, so only something that stands in between stops them.
    """
    return _CALLS.sub(f"\\g<0>{_APART}", value)


def masked(value: str) -> str:
    """Return `value` without what looks like a secret in it: of a URL the login, of `password=...` what follows."""
    for pattern, instead in _SECRETS:
        value = pattern.sub(instead, value)
    return value
