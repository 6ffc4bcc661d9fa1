"""An incident in words: what broke, since when, how bad, why, and what to do. Each part has a bound of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skew_ext.clock import duration_text
from skew_ext.report import words
from skew_ext.text import brief
from skew_ext.watch.fitting import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skew_ext.watch.incident import Incident

NAMES_SHOWN = 3
LONGEST_NAME = 80
LONGEST_VALUE = 80
LONGEST_KEY = 240
LONGEST_PROSE = 500


def title(incident: Incident, event: str) -> str:
    """Return one line: the service, what differs, and why."""
    heading = {"opened": incident.severity.upper(), "closed": "HEALED", "proposed": "RETRAIN?"}[event]
    service, cause = brief(incident.feature_service, LONGEST_NAME), brief(incident.cause, LONGEST_NAME)
    return f"[{heading}] {service}: {what(incident)} ({cause})"


def what(incident: Incident) -> str:
    """Name the features: of a view the first few."""
    group = brief(incident.group, LONGEST_NAME)
    if not incident.features:
        return group or "the whole service"
    prefix = f"{incident.group}__"
    names = [brief(name.removeprefix(prefix), LONGEST_NAME) for name in incident.features[:NAMES_SHOWN]]
    more = f" and {len(incident.features) - NAMES_SHOWN} more" if len(incident.features) > NAMES_SHOWN else ""
    within = f"{group}: " if incident.features[0].startswith(prefix) else ""
    return f"{within}{', '.join(names)}{more}"


def extent(incident: Incident) -> str:
    """Say how bad it is; nothing where it is not about cells."""
    if not incident.compared:
        return ""
    share = words.percent(incident.cells / incident.compared)
    return f"{incident.cells:,} of {incident.compared:,} served cells ({share})"


def why(incident: Incident) -> str:
    """Say the cause in a few words."""
    return words.CAUSES.get(incident.cause) or brief(incident.cause, LONGEST_NAME)


def body(incident: Incident, event: str) -> str:
    """Return the whole message."""
    return "\n".join(line.text for line in lines(incident, event))


def lines(incident: Incident, event: str) -> list[Line]:
    """Return the whole message, line by line; where not all of it fits, the examples go before the rest."""
    return list(_lines(incident, event))


def _lines(incident: Incident, event: str) -> Iterator[Line]:
    if event == "closed":
        lasted = duration_text((incident.last_seen - incident.since).total_seconds())
        yield Line(f"Healed: what is served now is right again. It lasted {lasted}.")
    yield Line(f"What: {what(incident)}")
    yield Line(f"Since: {words.moment(incident.since)}; last seen before {words.moment(incident.last_seen)}", 1)
    if extent(incident):
        yield Line(f"How bad: {extent(incident)} in {words.plural(incident.windows, 'window')}")
    message = brief(incident.message, LONGEST_PROSE)
    yield Line(f"Why: {why(incident)}. In the last window that was judged: {message}", 2)
    if event != "closed":
        yield Line(f"What to do: {brief(incident.remedy, LONGEST_PROSE)}", 3)
        for example in incident.evidence:
            yield Line(_example(example), 6)
    if incident.proposal:
        yield Line(f"Proposed: {brief(incident.proposal, LONGEST_PROSE)}", 4)
    if incident.answer:
        yield Line(f"The hook says: {brief(incident.answer, LONGEST_VALUE)}", 5)
    yield Line(f"Incident {incident.id}")


def _example(example: Mapping[str, Any]) -> str:
    parts = (f"{brief(str(name), LONGEST_NAME)}={_value(value)}" for name, value in example["key"].items())
    feature, key = brief(example["feature"], LONGEST_NAME), brief(", ".join(parts), LONGEST_KEY)
    served = f"served {_value(example['served'])} of {_time(example['served_event'])}"
    right = f"training has {_value(example['baseline'])} of {_time(example['baseline_event'])}"
    where = f"request {brief(example['request_id'], LONGEST_NAME)} at {_time(example['served_at'])}"
    return f"For example {feature} of {key}: {served}, {right} ({where})"


def _value(value: Any) -> str:
    if isinstance(value, str | bytes | list):
        value = value[: LONGEST_VALUE + 1]  # written out, it may be megabytes
    return "null" if value is None else brief(repr(value), LONGEST_VALUE)


def _time(text: str | None) -> str:
    return "no time" if text is None else text.replace("+00:00", "Z")
