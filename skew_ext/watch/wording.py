"""An incident in words: what broke, since when, how bad, why, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skew_ext.clock import duration_text
from skew_ext.report import words
from skew_ext.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skew_ext.watch.incident import Incident

NAMES_SHOWN = 3
LONGEST_VALUE = 80


def title(incident: Incident, event: str) -> str:
    """Give one line: the service, what differs, and why."""
    heading = {"opened": incident.severity.upper(), "closed": "HEALED", "proposed": "RETRAIN?"}[event]
    return f"[{heading}] {visible(incident.feature_service)}: {what(incident)} ({incident.cause})"


def what(incident: Incident) -> str:
    """Name the features: of a view the first few."""
    if not incident.features:
        return visible(incident.group) or "the whole service"
    prefix = f"{incident.group}__"
    names = [visible(name.removeprefix(prefix)) for name in incident.features[:NAMES_SHOWN]]
    more = f" and {len(incident.features) - NAMES_SHOWN} more" if len(incident.features) > NAMES_SHOWN else ""
    within = f"{visible(incident.group)}: " if incident.features[0].startswith(prefix) else ""
    return f"{within}{', '.join(names)}{more}"


def extent(incident: Incident) -> str:
    """Say how bad it is; nothing where it is not about cells."""
    if not incident.compared:
        return ""
    share = words.percent(incident.cells / incident.compared)
    return f"{incident.cells:,} of {incident.compared:,} served cells ({share})"


def why(incident: Incident) -> str:
    """Say the cause in a few words."""
    return words.CAUSES.get(incident.cause, incident.cause)


def body(incident: Incident, event: str) -> str:
    """Give the whole message."""
    return "\n".join(_lines(incident, event))


def _lines(incident: Incident, event: str) -> Iterator[str]:
    if event == "closed":
        lasted = duration_text((incident.last_seen - incident.since).total_seconds())
        yield f"Healed: what is served now is right again. It lasted {lasted}."
    yield f"What: {what(incident)}"
    yield f"Since: {words.moment(incident.since)}; last seen before {words.moment(incident.last_seen)}"
    if extent(incident):
        yield f"How bad: {extent(incident)} in {words.plural(incident.windows, 'window')}"
    yield f"Why: {why(incident)}. In the last window that was judged: {visible(incident.message)}"
    if event != "closed":
        yield f"What to do: {incident.remedy}"
        for example in incident.evidence:
            yield _example(example)
    if incident.proposal:
        yield f"Proposed: {incident.proposal}"
    if incident.answer:
        yield f"The hook says: {visible(incident.answer)[:LONGEST_VALUE]}"
    yield f"Incident {incident.id}"


def _example(example: Mapping[str, Any]) -> str:
    key = ", ".join(f"{visible(str(name))}={_value(value)}" for name, value in example["key"].items())
    served = f"served {_value(example['served'])} of {_time(example['served_event'])}"
    right = f"training has {_value(example['baseline'])} of {_time(example['baseline_event'])}"
    where = f"request {visible(example['request_id'])} at {_time(example['served_at'])}"
    return f"For example {visible(example['feature'])} of {key}: {served}, {right} ({where})"


def _value(value: Any) -> str:
    text = "null" if value is None else visible(repr(value))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _time(text: str | None) -> str:
    return "no time" if text is None else text.replace("+00:00", "Z")
