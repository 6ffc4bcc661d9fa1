"""Alerts fit what their address takes, call nobody, and one that is refused is told of by whoever takes something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.cli.incidents import _more
from skew_ext.cli.incidents import line as incident_line
from skew_ext.text import brief, calling_nobody
from skew_ext.watch.alerts import Notifier, _room
from skew_ext.watch.drift import Training
from skew_ext.watch.fitting import Line, Room, fitted
from skew_ext.watch.hooks import Hook
from skew_ext.watch.incident import Incident
from skew_ext.watch.metrics import ServiceView, WatchView, metrics_text
from skew_ext.watch.refusals import LONGEST_PAUSE, MANY_TRIES, told_to_nobody
from skew_ext.watch.round import ServiceWatch
from skew_ext.watch.state import ServiceState
from skew_ext.watch.telling import TELL_WITHIN, Teller
from skew_ext.watch.wording import body, lines, title
from tests.kit import MINUTE, NOON
from tests.watching import Webhook, webhook

DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dv_js"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"
SMS = "twilio://AC735c307c62944b5a90e7be2a7a3b9a8b:e1b5d5b8b5d5b8b5d5b8b5d5b8b5d5b8@15555555555/15555555556"
LONG = "r" * 5000


def example(**more: Any) -> dict[str, Any]:
    known = {"feature": "v__f", "key": {"driver": 1}, "served": 9.0, "baseline": 1.0, "request_id": "r-1"}
    times = dict.fromkeys(("served_event", "baseline_event", "served_at"), NOON.isoformat())
    return {**known, **times, **more}


def incident(**more: Any) -> Incident:
    known: dict[str, Any] = {
        "id": "skw-1", "feature_service": "scoring", "group": "v", "cause": "rescaled", "severity": "fail",
        "features": ("v__f",), "since": NOON, "opened_at": NOON, "last_seen": NOON, "message": "m", "remedy": "r",
        "cells": 30, "compared": 30, "windows": 2, "evidence": (example(),),
    }  # fmt: skip
    return Incident(**known | more)


ENDLESS: dict[str, dict[str, Any]] = {
    "request id": {"evidence": (example(request_id=LONG),) * 3},
    "key": {"evidence": (example(key={LONG: LONG, "b": [LONG] * 9, "c": {"d": LONG}}),) * 3},
    "value": {"evidence": (example(served=LONG, baseline=[1.0] * 5000),) * 3},
    "feature": {"features": (f"v__{LONG}",) * 9, "evidence": (example(feature=f"v__{LONG}"),) * 3},
    "view": {"group": LONG, "features": (f"{LONG}__f",)},
    "service": {"feature_service": LONG},
    "cause": {"cause": LONG},
    "message": {"message": LONG},
    "remedy": {"remedy": LONG},
    "proposal": {"proposal": LONG},
    "answer": {"answer": LONG},
    "wide text": {
        "feature_service": "数" * 300,
        "message": "é😀" * 3000,
        "evidence": (example(request_id="数" * 5000),),
    },
    "control characters": {"feature_service": "\x1b[31m" * 90, "evidence": (example(request_id="\x00" * 5000),)},
}


@pytest.mark.parametrize("part", ENDLESS)
def test_every_part_of_an_alert_has_a_bound(part: str) -> None:
    told = incident(**ENDLESS[part])
    text = body(told, "opened")
    assert len(title(told, "opened")) < 600
    assert len(text) < 5000
    assert "…" in text + title(told, "opened")  # a cut is shown as one
    assert text.endswith("Incident skw-1")


class Service:
    """What a chat service answers: it refuses what is longer than its limit, and keeps what it takes."""

    def __init__(self, limit: int, field: str) -> None:
        self.limit, self.field = limit, field
        self.sizes: list[int] = []
        self.texts: list[str] = []

    def answer(self, data: str) -> requests.Response:
        content = json.loads(data)[self.field]
        self.sizes.append(len(content))
        answer = requests.Response()
        answer.status_code, answer._content = (400 if len(content) > self.limit else 200), b"{}"
        if answer.status_code < 300:
            self.texts.append(content)
        return answer


@pytest.fixture
def discord(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service(2000, "content")
    monkeypatch.setattr(requests.Session, "request", lambda *_, data, **__: service.answer(data))
    return service


@pytest.mark.parametrize("part", ENDLESS)
def test_an_alert_fits_what_its_service_takes(part: str, discord: Service) -> None:
    assert Notifier([DISCORD]).tell(incident(**ENDLESS[part]), "opened", 1)
    assert max(discord.sizes) <= discord.limit
    assert "Incident skw-1" in discord.texts[-1]
    assert "[FAIL]" in discord.texts[0]


def test_what_apprise_knows_of_a_service_is_what_an_alert_is_fitted_to() -> None:
    rooms = [_room(server) for server in Notifier([DISCORD, SMS, "json://localhost"])._servers]
    assert [one.together for one in rooms] == [True, True, False]
    assert (rooms[0].body, rooms[2].body) == (2000 - 32, 32768)
    assert rooms[1].body < 2000


@given(
    heading=st.text(),
    said=st.lists(st.builds(Line, st.text(), st.integers(0, 3))),
    most=st.integers(60, 400),
    together=st.booleans(),
)
def test_a_message_is_never_longer_than_its_room(heading: str, said: list[Line], most: int, *, together: bool) -> None:
    text = fitted(heading, said, Room(most, most, together))
    sizes = {name: len(one.encode("utf-8", "replace")) for name, one in text.items()}
    assert sizes["title"] <= most
    assert sizes["body"] + together * (sizes["title"] + 2) <= most


def test_examples_go_before_the_rest_and_the_cut_is_shown() -> None:
    told = incident(
        message="m" * 400, remedy="do " * 100, evidence=tuple(example(request_id=f"r-{n}") for n in range(3))
    )
    whole = lines(told, "opened")
    full = len(body(told, "opened"))
    some = fitted("t", whole, Room(100, full - 200, together=False))["body"]
    assert "r-0" in some
    assert "r-2" not in some
    few = fitted("t", whole, Room(100, 400, together=False))["body"]
    assert "For example" not in few
    assert "…" in few
    assert [part in few for part in ("What: ", "How bad: ", "Incident skw-1")] == [True] * 3


@contextmanager
def bounded_webhook(limit: int) -> Iterator[Webhook]:
    """Run a webhook that refuses what is longer than it takes, which nobody can know beforehand."""
    with webhook() as server:
        server.limit = limit
        yield server


def test_what_a_webhook_takes_is_learned() -> None:
    told = incident(message="m" * 490, remedy="r" * 490, evidence=(example(),) * 3)
    assert len(body(told, "opened")) > 1200
    with bounded_webhook(900) as server:
        notifier = Notifier([f"json://{server.address}/"])
        assert notifier.tell(told, "opened", 1)
        assert len(server.posts) == 1
        assert "Incident skw-1" in server.posts[0]["message"]
        tries = server.tries
        assert tries > 1
        assert notifier.tell(told, "opened", 1)
        assert server.tries == tries + 1  # the second one is of the right length at once


def test_an_address_that_takes_nothing_is_not_asked_for_ever() -> None:
    with webhook() as server:
        server.status = 403
        answer = Notifier([f"json://{server.address}/"]).tell(incident(message="m" * 490), "opened", 1)
        assert (bool(answer), answer.lasting, answer.reason) == (False, True, "it refused with status 403")
        assert 1 < server.tries < 10
        server.tries, server.status = 0, 503
        answer = Notifier([f"json://{server.address}/"]).tell(incident(), "opened", 1)
        assert (bool(answer), answer.lasting, server.tries) == (False, False, 1)
    answer = Notifier([f"json://{server.address}/"]).tell(incident(), "opened", 1)
    assert (bool(answer), answer.lasting) == (False, False)


class Kept:
    """As much of a service's watch as is told: its incidents."""

    def __init__(self, *incidents: Incident) -> None:
        self.untold = {one.id: one for one in incidents}

    def told(self, one: Incident) -> None:
        self.untold[one.id] = one


class Telling:
    """Rounds of telling on a clock that is set."""

    def __init__(self, *addresses: str, hook: str = "") -> None:
        self.now: datetime = NOON
        self.kept = Kept(incident())
        self._addresses, self._hook = addresses, hook
        self.start()

    def start(self, *, keeps_pauses: bool = False) -> None:
        """Begin as a new process does: only what is kept with the incidents is known."""
        self.teller = Teller(Notifier(self._addresses), Hook(self._hook), lambda: self.now, keeps_pauses)

    def round(self, after: timedelta = MINUTE) -> Incident | None:
        self.teller.tell(cast("ServiceWatch", self.kept))
        self.now += after
        return self.kept.untold.get("skw-1")


def test_an_address_that_refuses_for_good_is_told_of_by_the_others_once() -> None:
    with webhook() as good, webhook() as bad, webhook() as other:
        bad.status = 404
        telling = Telling(f"json://{bad.address}/", f"json://{good.address}/", f"json://{other.address}/")
        telling.round()
        titles = ["[FAIL] scoring: v: f (rescaled)", "[NOT TOLD] skew watch: address 1 (JSON) does not take alerts"]
        assert good.titles() == other.titles() == titles
        assert "status 404" in good.posts[1]["message"]
        assert "Not told there: [FAIL] scoring" in good.posts[1]["message"]
        for _ in range(3):
            telling.round()
        telling.start()
        telling.round()
        telling.kept.told(incident(id="skw-2"))
        telling.round()
        assert good.titles().count(titles[1]) == 1
        bad.status = 200
        telling.round(LONGEST_PAUSE)
        kept = telling.round()
        assert bad.titles() == [titles[0]] * 2
        assert kept is not None
        assert (kept.refusals, len(kept.deliveries)) == ({}, 3)


def test_a_refusing_address_is_tried_ever_less_often() -> None:
    with webhook() as bad:
        bad.status = 400
        telling = Telling(f"json://{bad.address}/")
        telling.kept.untold = {"skw-1": incident(message="", evidence=(), remedy="")}
        tried = []
        for minute in range(300):
            before = bad.tries
            telling.round()
            tried += [minute] * (bad.tries > before)
        assert tried[:6] == [0, 1, 3, 7, 15, 31]
        assert max(later - one for one, later in pairwise(tried)) == LONGEST_PAUSE // MINUTE


def test_a_corrected_address_is_tried_at_once_and_a_former_one_is_forgotten() -> None:
    with webhook() as server, webhook() as former:
        server.status = former.status = 404
        telling = Telling(f"json://{server.address}/", f"json://{former.address}/")
        for _ in range(6):
            telling.round()
        tries, server.status = server.tries, 200
        telling.start(keeps_pauses=True)  # as `--once` from cron: each round is a process of its own
        telling.round()
        assert server.tries == tries
        telling._addresses = telling._addresses[:1]
        telling.start()
        kept = telling.round()
        assert server.tries == tries + 1
        assert kept is not None
        assert kept.refusals == {}


def test_one_that_is_away_is_tried_in_each_round_and_told_of_once_it_was_long() -> None:
    with webhook() as good, webhook() as away:
        away.status = 500
        telling = Telling(f"json://{away.address}/", f"json://{good.address}/")
        for _ in range(MANY_TRIES - 1):
            telling.round()
        assert (away.tries, len(good.posts)) == (MANY_TRIES - 1, 1)
        telling.round()
        assert (away.tries, len(good.posts)) == (MANY_TRIES, 2)
        away.status = 200
        telling.round()
        telling.round()
        assert away.titles() == ["[FAIL] scoring: v: f (rescaled)"]


def test_an_incident_that_nobody_takes_is_said_loudly(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with webhook() as one, webhook() as two:
        one.status = two.status = 403
        telling = Telling(f"json://{one.address}/", f"json://{two.address}/")
        kept = telling.round()
    assert kept is not None
    assert told_to_nobody(kept)
    (loud,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert loud.startswith("skw-1 is told to nobody: opened by notify1: it refused with status 403, 1 times since 2026")
    (shown,) = [text for text in _more(kept) if "nobody" in text]
    assert "notify2: it refused with status 403" in shown
    assert Incident.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    view = ServiceView(ServiceState("scoring", NOON), {}, (kept, incident(id="skw-2")), Training(), 10)
    shown = metrics_text(WatchView({"scoring": view}), tmp_path / "no spool")
    assert 'skew_incidents_untold{feature_service="scoring"} 1.0' in shown
    assert 'skew_alerts_refused{channel="notify2",feature_service="scoring"} 1.0' in shown
    assert not told_to_nobody(replace(kept, deliveries={"opened:notify1": "now"}))
    assert not told_to_nobody(incident())


def test_an_incident_kept_by_an_older_watch_is_read() -> None:
    content = incident().to_json()
    del content["refusals"]
    assert Incident.from_json(content) == replace(Incident.from_json(incident().to_json()), refusals={})


def test_what_healed_a_day_ago_is_tried_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with webhook() as bad:
        bad.status = 404
        telling = Telling(f"json://{bad.address}/")
        telling.kept.untold = {"skw-1": incident(closed_at=NOON)}
        assert telling.round(TELL_WITHIN) is not None
        assert telling.round() is None
    assert "skw-1 is told no more, a day after it healed: told to nobody" in caplog.text


MENTIONS = [
    "@everyone",
    "@here",
    "<!channel>",
    "<!here|here>",
    "<@U123>",
    "<@&99>",
    "<#C1>",
    "<!subteam^S1>",
    "<users/all>",
]


@pytest.mark.parametrize("mention", MENTIONS)
def test_a_mention_in_a_name_calls_nobody(mention: str, discord: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    told = incident(feature_service=mention, features=(mention,), message=mention, answer=mention, evidence=(
        example(request_id=mention, served=mention, key={"k": mention}),
    ))  # fmt: skip
    assert Notifier([DISCORD]).tell(told, "opened", 1)
    assert mention not in "".join(discord.texts)
    assert calling_nobody(mention).replace("\u200b", "") == mention
    slack: list[str] = []

    def request(*_: Any, data: Any, **__: Any) -> requests.Response:
        slack.append(json.dumps(json.loads(data), ensure_ascii=False))
        answer = requests.Response()
        answer.status_code, answer._content = 200, b"ok"
        return answer

    # Apprise itself makes a mention for Slack of what looks like one.
    monkeypatch.setattr(requests.Session, "request", request)
    assert Notifier([SLACK]).tell(told, "opened", 1)
    assert mention not in "".join(slack)
    assert "\u200b" in "".join(slack)


def test_a_title_is_one_line_whatever_the_names_are() -> None:
    told = incident(feature_service="a\nb\x9b31m\u202egnp", cause="x\r\n\x7f", group="g\u2066", features=())
    assert title(told, "opened") == r"[FAIL] a\nb\x9b31m\u202egnp: g\u2066 (x\r\n\x7f)"
    assert "\n" not in incident_line(told)
    assert brief("a\u2028b", 9) == r"a\u2028b"
