"""The state machine: burn-in, two windows in a row, one incident, healing; on an injected clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from skew_ext.watch.detector import DetectorState, Observation, Outcome, observe
from skew_ext.watch.incident import Incident, Sighting, incident_id
from tests.kit import MINUTE, NOON


def sighting(cause: str = "rescaled", group: str = "stats", features: Sequence[str] = ("stats__rating",)) -> Sighting:
    return Sighting(group, cause, "fail", tuple(features), 5, 20, f"because {cause}", f"mend {cause}", ({"key": 1},))


class Watching:
    """Windows of a minute, one after the other; each round trips through JSON, as between two processes."""

    def __init__(self, burn_in: int = 0) -> None:
        self.state = DetectorState()
        self.incidents: dict[str, Incident] = {}
        self.burn_in = burn_in
        self.at = NOON

    def window(self, *sightings: Sighting, rows: int = 20, start: datetime | None = None) -> Outcome:
        begin = start or self.at
        if start is None:
            self.at += MINUTE
        outcome = observe(
            "scoring",
            DetectorState.from_json(json.loads(json.dumps(self.state.to_json()))),
            Observation(begin, begin + MINUTE, rows, sightings),
            [one for one in self.incidents.values() if one.open],
            burn_in=self.burn_in,
            now=self.at,
        )
        self.state = outcome.state
        for incident in outcome.changed:
            stored = Incident.from_json(json.loads(json.dumps(incident.to_json())))
            assert stored == incident
            self.incidents[incident.id] = stored
        return outcome

    def open(self) -> list[tuple[str, str]]:
        return [(one.group, one.cause) for one in self.incidents.values() if one.open]


def test_two_windows_in_a_row_open_one_incident() -> None:
    watching = Watching()
    assert watching.window(sighting()).changed == []
    (opened,) = watching.window(sighting()).opened
    assert (opened.since, opened.opened_at, opened.last_seen) == (NOON, NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    assert (opened.cells, opened.compared, opened.windows) == (10, 40, 2)
    (seen,) = watching.window(sighting(features=["stats__trips"])).seen
    assert (seen.id, seen.cells, seen.windows) == (opened.id, 15, 3)
    assert seen.features == ("stats__rating", "stats__trips")
    assert len(watching.incidents) == 1


def test_one_bad_window_between_good_ones_is_no_incident() -> None:
    watching = Watching()
    for _ in range(3):
        watching.window(sighting())
        watching.window()
    assert watching.incidents == {}


def test_the_burn_in_is_only_observed() -> None:
    watching = Watching(burn_in=3)
    watching.window(rows=0)  # says nothing, and is no part of it
    for _ in range(4):
        assert watching.window(sighting()).opened == []
    assert len(watching.window(sighting()).opened) == 1
    assert watching.state.observed == 5


def test_an_incident_closes_after_two_windows_without_it_and_may_come_back() -> None:
    watching = Watching()
    watching.window(sighting())
    watching.window(sighting())
    assert watching.window().closed == []
    watching.window(sighting())  # not healed after all
    assert watching.window().closed == []
    (closed,) = watching.window().closed
    assert (closed.open, closed.closed_at, closed.last_seen) == (False, NOON + 6 * MINUTE, NOON + 4 * MINUTE)
    watching.window(sighting())
    (again,) = watching.window(sighting()).opened
    assert again.id != closed.id


def test_windows_without_rows_neither_open_nor_heal() -> None:
    watching = Watching()
    watching.window(sighting())
    watching.window(rows=0)
    assert len(watching.window(sighting()).opened) == 1
    for _ in range(5):
        assert watching.window(rows=0).changed == []
    assert watching.open() == [("stats", "rescaled")]


def test_rows_that_came_late_do_not_heal_what_was_seen_after_them() -> None:
    watching = Watching()
    watching.window(sighting())
    watching.window(sighting())
    for _ in range(3):
        assert watching.window(start=NOON - 5 * MINUTE).closed == []


def test_groups_and_causes_have_incidents_of_their_own() -> None:
    watching = Watching()
    pair = sighting(), sighting("stale_online", "other", ["other__x"])
    watching.window(*pair)
    watching.window(*pair)
    assert watching.open() == [("stats", "rescaled"), ("other", "stale_online")]
    watching.window(pair[1])
    watching.window(pair[1])
    assert watching.open() == [("other", "stale_online")]


def test_cells_that_few_others_could_explain_belong_to_the_cause_that_is_known() -> None:
    watching = Watching()
    watching.window(sighting("unexplained"))
    (opened,) = watching.window(sighting("rescaled")).opened
    assert opened.cause == "rescaled"
    assert watching.window(sighting("unexplained")).opened == []
    assert watching.open() == [("stats", "rescaled")]


def test_a_cause_found_later_takes_the_place_of_none() -> None:
    watching = Watching()
    watching.window(sighting("unexplained"))
    (opened,) = watching.window(sighting("unexplained")).opened
    (seen,) = watching.window(sighting("rescaled")).seen
    assert (seen.id, seen.cause, seen.message) == (opened.id, "rescaled", "because rescaled")
    assert (seen.remedy, list(seen.evidence)) == ("mend rescaled", [{"key": 1}])


def test_an_incident_has_one_name_however_often_it_is_opened() -> None:
    names = {incident_id("scoring", sighting(), NOON), incident_id("scoring", sighting(), NOON)}
    assert len(names) == 1
    assert incident_id("other", sighting(), NOON) not in names
    assert incident_id("scoring", sighting(), NOON + MINUTE) not in names


def test_data_in_an_incident_is_json_whatever_it_is() -> None:
    odd: dict[str, Any] = {"key": {"driver": b"\xff"}, "served": float("nan"), "at": NOON, "name": "<script>"}
    watching = Watching()
    watching.window(sighting())
    (opened,) = watching.window(Sighting("s", "c", "fail", (), 1, 1, "m", "r", (odd,)), sighting()).opened
    text = json.dumps(opened.to_json(), allow_nan=False)
    assert Incident.from_json(json.loads(text)).id == opened.id
