"""`skew explain`: what a code means, why it matters, and what to do."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass

import click

WIDTH = 88


@dataclass(frozen=True)
class Meaning:
    """What a cause of an audit says, and what to do about it."""

    says: str
    remedy: str


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Tell what CODE, a lint rule or a cause of an audit, means and what to do; without CODE, list them.

    \b
    Example:
      skew explain SKW003
      skew explain stale_online
    """
    from skew_ext.errors import SettingsError, nearest
    from skew_ext.linting.pages import overview, page
    from skew_ext.linting.rules import RULES, find_rule

    causes = cause_meanings()
    if code is None:
        width = max(map(len, causes))
        listed = "\n".join(f"{cause:{width}}  {meaning.says}" for cause, meaning in causes.items())
        click.echo(f"Lint rules\n{overview()}\n\nCauses of an audit, in the order in which they are tried\n{listed}")
        return
    rule, cause = find_rule(code), causes.get(code.strip().lower())
    if rule is not None:
        click.echo(page(rule))
    elif cause is not None:
        click.echo(_cause_page(code.strip().lower(), cause))
    else:
        names = (*causes, *(one.name for one in RULES))
        known = nearest(code.upper(), (one.code for one in RULES)) or nearest(code.lower(), names)
        msg = f"{code!r} is no rule and no cause{known}: `skew explain` lists them"
        raise SettingsError(msg)


def cause_meanings() -> dict[str, Meaning]:
    """Give what each cause of a differing cell means, in the order in which they are tried: its own docstring."""
    from skew_ext.audit.causes import ROW_CAUSES, TRANSFORM_CAUSES, UNEXPLAINED, VALUE_CAUSES
    from skew_ext.audit.findings import REMEDIES

    says = {name: _first_line(unit) for table in (ROW_CAUSES, VALUE_CAUSES, TRANSFORM_CAUSES) for name, unit in table}
    says[UNEXPLAINED] = "No cause reproduces what was served."
    return {name: Meaning(said, REMEDIES[name]) for name, said in says.items()}


def _first_line(unit: object) -> str:
    return (inspect.getdoc(unit) or "").partition("\n")[0]


def _cause_page(name: str, meaning: Meaning) -> str:
    says = textwrap.fill(meaning.says, WIDTH)
    remedy = f"{meaning.remedy[0].upper()}{meaning.remedy[1:]}."
    todo = textwrap.indent(textwrap.fill(remedy, WIDTH - 4), " " * 4)
    return f"{name} [cause of a differing cell]\n\n{says}\n\nWhat to do\n{todo}"
