"""`skew explain`: what a code means, why it matters, and what to do."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
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
    """Tell what CODE, of a lint rule, an audit's cause or a leak, means and what to do; without CODE, list them.

    \b
    Example:
      skew explain SKW003
      skew explain stale_online
      skew explain known_later
    """
    from skew_ext.errors import SettingsError, nearest
    from skew_ext.leakage.codes import CODES, REMEDIES
    from skew_ext.linting.pages import overview, page
    from skew_ext.linting.rules import RULES, find_rule

    causes = cause_meanings()
    if code is None:
        tables = {
            "Lint rules": overview(),
            "Causes of an audit, in the order in which they are tried": _table(
                {n: one.says for n, one in causes.items()}
            ),
            "Findings of skew leakage": _table(CODES),
        }
        click.echo("\n\n".join(f"{title}\n{lines}" for title, lines in tables.items()))
        return
    rule, name = find_rule(code), code.strip().lower()
    # A cause and a leak may be of one name, where they are one thing.
    pages = [page(rule)] if rule is not None else []
    if name in causes:
        pages.append(_cause_page(name, causes[name]))
    if name in CODES:
        pages.append(_cause_page(name, Meaning(CODES[name], REMEDIES[name]), "finding of skew leakage"))
    if pages:
        click.echo("\n\n".join(pages))
    else:
        names = (*causes, *CODES, *(one.name for one in RULES))
        known = nearest(code.upper(), (one.code for one in RULES)) or nearest(code.lower(), names)
        msg = f"{code!r} is no rule, no cause and no leak{known}: `skew explain` lists them"
        raise SettingsError(msg)


def _table(says: Mapping[str, str]) -> str:
    width = max(map(len, says))
    return "\n".join(f"{name:{width}}  {said}" for name, said in says.items())


def cause_meanings() -> dict[str, Meaning]:
    """Give what each cause of a differing cell means, in the order in which they are tried: its own docstring."""
    from skew_ext.audit.causes import ROW_CAUSES, TRANSFORM_CAUSES, UNEXPLAINED, VALUE_CAUSES
    from skew_ext.audit.findings import REMEDIES

    says = {name: _first_line(unit) for table in (ROW_CAUSES, VALUE_CAUSES, TRANSFORM_CAUSES) for name, unit in table}
    says[UNEXPLAINED] = "No cause reproduces what was served."
    return {name: Meaning(said, REMEDIES[name]) for name, said in says.items()}


def _first_line(unit: object) -> str:
    return (inspect.getdoc(unit) or "").partition("\n")[0]


def _cause_page(name: str, meaning: Meaning, kind: str = "cause of a differing cell") -> str:
    says = textwrap.fill(meaning.says, WIDTH)
    remedy = f"{meaning.remedy[0].upper()}{meaning.remedy[1:]}."
    todo = textwrap.indent(textwrap.fill(remedy, WIDTH - 4), " " * 4)
    return f"{name} [{kind}]\n\n{says}\n\nWhat to do\n{todo}"
