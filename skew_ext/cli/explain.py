"""`skew explain`: what a code means, why it matters, and what to do."""

from __future__ import annotations

import click


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Tell what CODE, a lint rule or a cause of an audit, means and what to do; without CODE, list them.

    \b
    Example:
      skew explain SKW003
    """
    from skew_ext.errors import SettingsError, nearest
    from skew_ext.linting.pages import overview, page
    from skew_ext.linting.rules import BY_CODE, find_rule

    if code is None:
        click.echo(overview())
        return
    rule = find_rule(code)
    if rule is None:
        known = nearest(code.upper(), BY_CODE) or nearest(code.lower(), (one.name for one in BY_CODE.values()))
        msg = f"{code!r} is no rule{known}: `skew explain` lists them"
        raise SettingsError(msg)
    click.echo(page(rule))
