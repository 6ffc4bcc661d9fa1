"""The watch on a real repo: nothing twice, nothing left out, whatever is late and whenever it is killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from skew_ext import SkewAuditor
from skew_ext.testing.online import evict
from skew_ext.watch.sqlite_store import SqliteWatchStore
from skew_ext.watch.store import Transaction
from skew_ext.watch.windows import DAY
from tests.kit import HOUR, MINUTE, NOON
from tests.watching import Watched, right_cells, webhook

SECRET = "s3cret-t0ken"


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "repo")


def test_rounds_add_up_to_one_audit_of_all(watched: Watched) -> None:
    watcher = watched.watcher()
    for minute in range(4):
        if minute == 2:
            watched.spoil()
        watched.minute()
        done = watcher.round()
        assert (done.failed, done.services["scoring"].rows) == ({}, 40)
    assert watched.cells() == right_cells(80, 80) == watched.window_cells()
    report = SkewAuditor(watched.repo.store).run_audit("scoring", NOON, watched.now)
    assert {one.feature: one.causes for one in report.parity.features if one.causes} == {
        "stats__rating": {"rescaled": 80}
    }
    week = watcher.view.services["scoring"].windows["7d"]
    assert week.rows == report.rows == 160
    assert {name: one.mismatched for name, one in week.features.items()} == {
        one.feature: one.mismatched for one in report.parity.features
    }
    assert week.ages["stats"].rows == 160
    assert week.ages["stats"].quantile(0.5) == pytest.approx(105, rel=0.01)
    assert week.ages["stats"].oldest == report.ttl[0].staleness_seconds.max == 225.0  # type: ignore[union-attr]
    assert watcher.round().services["scoring"].windows == 0


def test_rows_that_come_late_are_counted_once_and_replace_what_was_there(watched: Watched) -> None:
    watcher = watched.watcher()
    watched.minute()
    watcher.round()
    watched.serve(NOON + 5 * MINUTE / 60)  # into the first window, but shipped only now
    watched.minute()
    watcher.round()
    assert watched.cells() == right_cells(90) == watched.window_cells()
    watched.now += 20 * MINUTE
    watcher.round()
    watcher.round()
    assert watched.cells() == right_cells(90) == watched.window_cells()


def test_a_shipper_that_was_away_for_hours_leaves_no_gap(watched: Watched) -> None:
    watcher = watched.watcher()
    watched.minute()
    watcher.round()
    for hour in range(3):
        watched.serve(NOON + hour * HOUR + 10 * MINUTE)
        watched.serve(NOON + hour * HOUR + 40 * MINUTE)
    for _ in range(18):
        watched.now += 10 * MINUTE
        watcher.round()
    state = watched.kept.state("scoring")
    assert state is not None
    assert "hour" in {one.level for one in watched.kept.windows(state)}  # what was empty is merged by now
    assert watched.cells() == right_cells(40)
    watched.ship()
    watcher.round()
    equal = {name: sum(causes.values()) for name, causes in watched.cells().items()}
    assert equal == {"stats__rating": 100, "stats__trips": 100, "stats__city": 100}
    assert watched.cells() == watched.window_cells()


def test_slices_become_hours_and_days_and_are_forgotten_after_a_week(watched: Watched) -> None:
    watcher = watched.watcher()
    for _ in range(3):
        watched.minute()
        watcher.round()
    for step in (3 * HOUR, 2 * DAY, 2 * DAY):
        watched.now += step
        watcher.round()
    state = watched.kept.state("scoring")
    assert state is not None
    kept = watched.kept.windows(state)
    assert [(one.level, one.window.rows) for one in kept if one.window.rows] == [("day", 120)]
    assert len(kept) < 60
    assert watched.window_cells() == right_cells(120)
    assert watcher.view.services["scoring"].windows["7d"].rows == 120
    assert watcher.view.services["scoring"].windows["1d"].rows == 0
    watched.now += 8 * DAY
    watcher.round()
    assert watched.window_cells() == {}
    assert watched.cells() == right_cells(120)  # the counters go on


class KilledError(BaseException):
    """Stands for `kill -9`: nothing of ours catches it."""


def test_killed_between_any_two_steps_it_counts_nothing_twice_and_leaves_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path / "repo")
    budget = [0]
    plain = SqliteWatchStore.transaction

    @contextmanager
    def dying(store: SqliteWatchStore) -> Iterator[Transaction]:
        with plain(store) as run:
            yield run
            if budget[0] == 1:  # before it is committed
                raise KilledError
        budget[0] -= 2
        if budget[0] == 0:  # after it was
            raise KilledError

    monkeypatch.setattr(SqliteWatchStore, "transaction", dying)
    kills = 0
    with webhook() as hook:
        for minute in range(5):
            if minute == 2:
                watched.spoil()
            watched.minute()
            for step in range(1, 9):
                budget[0] = step
                try:
                    watched.watcher(f"json://{hook.address}/").round()
                except KilledError:
                    kills += 1
        budget[0] = 0
        watched.watcher(f"json://{hook.address}/").round()
    assert kills > 20
    assert watched.cells() == right_cells(80, 120) == watched.window_cells()
    (incident,) = watched.kept.incidents()
    # A kill between the telling and its being kept tells once more; nothing is told never.
    assert 1 <= len(hook.posts) <= 2
    assert incident.cells == 120


def test_an_incident_is_told_once_and_when_it_has_healed(watched: Watched, tmp_path: Path) -> None:
    said = tmp_path / "said.jsonl"
    code = f"import sys; open({str(said)!r}, 'a').write(sys.stdin.read() + '\\n'); print('rolled back')"
    with webhook() as hook:
        watcher = watched.watcher(f"json://{hook.address}/", hook=f'{sys.executable} -c "{code}"')
        watched.minute()
        watcher.round()
        watched.spoil()
        for _ in range(3):
            watched.minute()
            watcher.round()
        assert hook.titles() == ["[FAIL] scoring: stats: rating (rescaled)"]
        watched.mend()
        for _ in range(2):
            watched.minute()
            watcher.round()
        assert hook.titles()[1:] == ["[HEALED] scoring: stats: rating (rescaled)"]
    message = hook.posts[0]["message"]
    for wanted in ("What to do: the job that writes", "by 1.609344", "driver=", "training has", "rolled back"):
        assert wanted in message
    events = [json.loads(text) for text in said.read_text().splitlines()]
    assert [one["event"] for one in events] == ["opened", "closed"]
    incident = events[0]["incident"]
    assert (incident["cause"], incident["features"], incident["open"]) == ("rescaled", ["stats__rating"], True)
    assert (incident["since"], incident["cells"]) == ("2026-03-01T12:01:00.000000+00:00", 40)
    assert incident["evidence"][0]["served"] == pytest.approx(incident["evidence"][0]["baseline"] * 1.609344)
    (kept,) = watched.kept.incidents()
    assert (kept.answer, kept.open, sorted(kept.deliveries)) == (
        "rolled back",
        False,
        ["closed:hook", "closed:notify1", "opened:hook", "opened:notify1"],
    )


def test_an_alert_that_cannot_be_sent_is_sent_later_and_no_secret_is_said(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    watched.spoil()
    with webhook() as hook:
        hook.status = 500
        address = f"json://user:{SECRET}@{hook.address}/{SECRET}?token={SECRET}"
        target = f"http://{hook.address}/{SECRET}"
        watcher = watched.watcher(address, hook=target)
        for _ in range(2):
            watched.minute()
            done = watcher.round()
        assert (done.failed, hook.posts, len(done.open)) == ({}, [], 1)
        hook.status = 200
        watched.now += MINUTE
        again = watched.watcher(address, hook=target)
        again.round()
        again.round()
        assert [set(post) >= {"title"} for post in hook.posts] == [False, True]  # the hook first, then the alert
    assert SECRET not in caplog.text.replace(f"/{SECRET} HTTP", "")
    assert SECRET not in repr(watcher._teller)
    assert "tried again" in caplog.text


def test_an_address_that_is_away_has_nobody_told_twice(watched: Watched) -> None:
    watched.spoil()
    with webhook() as good, webhook() as away:
        away.status = 500
        watcher = watched.watcher(f"json://{away.address}/", f"json://{good.address}/")
        for _ in range(4):
            watched.minute()
            watcher.round()
        assert (len(good.posts), len(away.posts)) == (1, 0)
        watched.mend()
        for _ in range(2):
            watched.minute()
            watcher.round()
        away.status = 200
        watcher.round()
        # One that opened and healed meanwhile is told in one go.
        assert [title[:8] for title in away.titles()] == ["[FAIL] s", "[HEALED]"]
        assert [title[:8] for title in good.titles()] == ["[FAIL] s", "[HEALED]"]


def test_two_watches_of_one_log_count_nothing_twice(watched: Watched) -> None:
    one, other = watched.watcher(), watched.watcher()
    for _ in range(2):
        watched.minute()
        for watcher in (one, other):
            assert watcher.round().failed == {}
    watched.minute()
    other.round()
    assert watched.cells() == right_cells(120) == watched.window_cells()


def test_few_rows_wait_for_more_and_are_judged_together_in_the_end(watched: Watched) -> None:
    watcher = watched.watcher(min_rows=30, hold=timedelta(minutes=5))
    watched.minute()
    watcher.round()  # the first look is back over an hour: that has waited long enough
    windows = []
    for _ in range(6):
        watched.minute(lookups=1)
        windows.append(watcher.round().services["scoring"].windows)
    assert windows == [0, 0, 1, 0, 0, 1]
    watched.now += 4 * MINUTE
    assert watcher.round().services["scoring"].windows == 0
    watched.minute(lookups=1)
    assert watcher.round().services["scoring"].windows == 1
    assert watched.cells() == right_cells(110)


def test_a_store_that_is_away_fails_the_round_and_not_the_watch(
    watched: Watched,
) -> None:
    watcher = watched.watcher()
    watched.minute()
    source = watched.repo.source_path
    moved = source.rename(source.with_suffix(".away"))
    done = watcher.round()
    assert list(done.failed) == ["scoring"]
    assert watcher.view.rounds == {"done": 0, "failed": 1}
    moved.rename(source)
    assert watcher.round().failed == {}
    assert watched.cells() == right_cells(40)


def test_a_service_that_was_never_served_is_no_matter(watched: Watched) -> None:
    done = watched.watcher().round()
    assert (done.failed, done.services["scoring"].windows, done.open) == ({}, 0, [])
    assert watched.kept.state("scoring") is None


def evicted(watched: Watched) -> None:
    for driver in (1, 2, 3):
        evict(watched.repo.store, "stats", {"driver": driver})


def test_a_cause_that_one_window_cannot_tell_is_told_by_what_was_before(watched: Watched) -> None:
    watcher = watched.watcher()
    watched.minute()
    watcher.round()
    evicted(watched)
    for _ in range(2):
        watched.minute()
        watcher.round()
    (incident,) = watched.kept.incidents()
    assert incident.cause == "evicted_online", incident
