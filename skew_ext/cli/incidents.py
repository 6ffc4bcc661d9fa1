"""`skew incidents`: what the watch has found, and what has healed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Target, console, write_json

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo
    from skew_ext.watch.incident import Incident


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Only those that have not healed.")
@click.option("--feature-service", help="Only those of this feature service.")
@click.option(
    "--json", "json_file", type=Target(), help="Write them as JSON, with their evidence; - is standard output."
)
@click.pass_obj
def incidents(repo: Repo, /, *, only_open: bool, feature_service: str | None, json_file: str | None) -> None:
    """List the incidents that `skew watch` has opened, the newest first: what, since when, how bad, why, what to do.

    \b
    Example:
      skew -c feature_repo incidents --open
    """
    from skew_ext.repo import settings_of
    from skew_ext.watch.store import open_watch_store

    store = repo.store()
    kept = open_watch_store(settings_of(store), store.project)
    found = kept.incidents(feature_service, only_open=only_open)
    if json_file is not None:
        write_json(json_file, {"schema": 1, "incidents": [one.to_json() for one in found]})
    if json_file == STANDARD_OUTPUT:
        return
    screen = console()
    if not found:
        screen.print("no open incident" if only_open else "no incident")
    for one in found:
        screen.print(line(one), markup=False, highlight=False)
        for said in _more(one):
            screen.print(f"  {said}", markup=False, highlight=False)


def line(incident: Incident) -> str:
    """Give an incident in one line."""
    from skew_ext.report import words
    from skew_ext.watch.wording import title

    since, until = words.moment(incident.since), incident.closed_at
    healed = "open" if until is None else f"healed {words.moment(until)}"
    return f"{incident.id}  {title(incident, 'opened')}  since {since}, {healed}"


def _more(incident: Incident) -> list[str]:
    from skew_ext.text import visible
    from skew_ext.watch.refusals import refusal_lines
    from skew_ext.watch.wording import extent, why

    badly = f"{extent(incident)}: " if extent(incident) else ""
    said = [f"{badly}{why(incident)}", incident.remedy, incident.proposal, incident.answer]
    said += refusal_lines(incident)
    return [visible(one) for one in said if one]
