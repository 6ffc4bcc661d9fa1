"""Metrics of names that others chose, hooks, addresses, and when retraining is proposed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from skew_ext.errors import SettingsError
from skew_ext.settings import WatchSettings, settings_from
from skew_ext.watch.ages import AgeSketch
from skew_ext.watch.alerts import Notifier
from skew_ext.watch.drift import DRIFT, JUMP, Training, drift_sightings, proposal
from skew_ext.watch.hooks import Hook, HookError
from skew_ext.watch.incident import Incident
from skew_ext.watch.labels import LONGEST, OTHER, added, admitted, label_text
from skew_ext.watch.metrics import ServiceView, WatchView, metrics_text
from skew_ext.watch.options import addresses, watch_options
from skew_ext.watch.score import ScoreChange
from skew_ext.watch.state import ServiceState
from skew_ext.watch.summary import FeatureSummary, WindowSummary
from skew_ext.watch.watcher import _named_in
from skew_ext.watch.wording import body, title
from tests.kit import HOUR, NOON
from tests.watching import webhook

ORDER = ("feature", "feature_view", "group", "cause", "window", "quantile", "reference")
SECRET = "s3cret-t0ken"


def incident(cause: str = "rescaled", **more: Any) -> Incident:
    known: dict[str, Any] = {
        "severity": "fail",
        "features": ("v__f",),
        "since": NOON,
        "opened_at": NOON,
        "last_seen": NOON,
    }
    return Incident("skw-1", "scoring", "v", cause, **known | {"message": "m", "remedy": "r"} | more)


def view_of(features: dict[str, FeatureSummary], totals: dict[str, dict[str, int]], most: int = 200) -> WatchView:
    windows = {"1h": WindowSummary(NOON, NOON + HOUR, 1, features, {"v": AgeSketch.of(np.array([10**6, 3 * 10**6]))})}
    state = ServiceState("scoring", NOON, totals=totals)
    return WatchView({"scoring": ServiceView(state, windows, (incident(),), Training(), most)}, last_round=NOON)


def samples(view: WatchView, folder: Path) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(metrics_text(view, folder / "no spool")):
        for one in family.samples:
            key = (one.name, *(one.labels[label] for label in ORDER if label in one.labels))
            found[key] = one.value
    return found


def test_metrics_have_the_names_that_are_promised(tmp_path: Path) -> None:
    feature = FeatureSummary(10, 4, {"rescaled": 4}, 10, 2)
    found = samples(view_of({"v__f": feature}, {"v__f": {"equal": 6, "rescaled": 4}}), tmp_path)
    assert found["skew_cells_total", "v__f", "rescaled"] == 4
    assert found["skew_cells_total", "v__f", "equal"] == 6
    assert found["skew_mismatch_ratio", "v__f", "1h"] == 0.4
    assert found["skew_null_ratio", "v__f", "1h"] == 0.2
    assert found["skew_staleness_seconds", "v", "1h", "1"] == 3.0
    assert found["skew_incidents_open", "v", "rescaled"] == 1
    assert found["skew_watch_watermark_timestamp_seconds",] == NOON.timestamp()


@given(st.text())
def test_a_label_is_fit_for_prometheus_whatever_the_name_is(name: str) -> None:
    text = label_text(name)
    assert len(text) <= LONGEST
    assert "\n" not in text
    text.encode()


def test_names_are_data_in_metrics(tmp_path: Path) -> None:
    name = 'v__"} 1\nskew_cells_total{feature="forged\\\ud800'
    found = samples(view_of({name: FeatureSummary(1)}, {name: {"equal": 1}}), tmp_path)
    cells = [key for key in found if key[0] == "skew_cells_total"]
    assert cells == [("skew_cells_total", label_text(name), "equal")]


def test_there_are_no_more_labels_than_allowed_and_counters_never_fall() -> None:
    features = {f"v__{n}": FeatureSummary(10, 0, {}, 10) for n in range(100)}
    totals = added({}, features, {}, most=10)
    assert sorted(totals) == sorted([OTHER, *(f"v__{n}" for n in range(5))])
    assert totals[OTHER] == {"equal": 950}
    features["v__77"] = FeatureSummary(10, 3, {"rescaled": 3}, 10)  # one that differs has room left for it
    again = added(totals, features, {}, most=10)
    assert again["v__77"] == {"equal": 7, "rescaled": 3}
    assert again[OTHER] == {"equal": 950 + 940}
    assert len(again) == 7
    assert admitted(features, again, 10)["v__78"] == OTHER
    few = {name: features[name] for name in list(features)[:9]}
    assert set(admitted(few, {}, 10).values()) == set(few)


def test_a_window_that_is_replaced_adds_what_is_more() -> None:
    before = {"v__f": FeatureSummary(10, 4, {"unexplained": 4})}
    after = {"v__f": FeatureSummary(15, 6, {"rescaled": 6})}
    totals = added(added({}, before, {}, 10), after, before, 10)
    assert totals == {"v__f": {"equal": 9, "unexplained": 4, "rescaled": 6}}


def test_the_worst_of_many_stands_for_other(tmp_path: Path) -> None:
    features = {f"v__{n}": FeatureSummary(10, n, {"rescaled": n}, 10) for n in range(5)}
    found = samples(view_of(features, {"v__0": {}}, most=1), tmp_path)
    assert found["skew_mismatch_ratio", OTHER, "1h"] == 0.4


def python(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def test_a_command_gets_the_incident_and_answers(tmp_path: Path) -> None:
    told = tmp_path / "told"
    hook = Hook(python(f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read()); print('on it')"))
    assert hook
    assert not Hook("")
    assert hook.call(incident(), "opened") == "on it"
    content = json.loads(told.read_text())
    assert (content["schema"], content["event"], content["incident"]["id"]) == (1, "opened", "skw-1")


def test_a_hook_is_run_without_a_shell(tmp_path: Path) -> None:
    assert Hook(f"echo $HOME; touch {tmp_path / 'x'}").call(incident(), "opened").startswith("$HOME; touch")
    assert not (tmp_path / "x").exists()
    with pytest.raises(SettingsError, match="the hook is no command"):
        Hook("sh -c 'half")


def test_a_hook_has_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what a command needs, what the incident is, and what a setting names: no DSN, and no token."""
    monkeypatch.setenv("FLIGHTS_LOG_DSN", SECRET)
    monkeypatch.setenv("SKEW_WATCH_NOTIFY", SECRET)
    monkeypatch.setenv("PAGER_KEY", "k")
    monkeypatch.setenv("TZ", "UTC")
    named = replace(incident(), feature_service="a\0\x1b" + "s" * 5000)
    for passed, more in ((), set()), (("PAGER_KEY", "NOT_SET"), {"PAGER_KEY"}):
        answer = Hook(python("import os, json; print(json.dumps({k: v[:9] for k, v in os.environ.items()}))"), passed)
        found = json.loads(answer.call(named, "opened"))
        ours = {f"SKEW_{name}" for name in ("EVENT", "INCIDENT_ID", "FEATURE_SERVICE", "GROUP", "CAUSE", "SEVERITY")}
        usual = {"PATH", "HOME", "LANG", "TZ"} & set(os.environ)
        assert set(found) - {"LC_CTYPE"} == ours | usual | more  # LC_CTYPE: Python sets it where there is no locale
        assert found["SKEW_FEATURE_SERVICE"] == r"a\x00\x1b"
        assert (found["SKEW_EVENT"], found["SKEW_INCIDENT_ID"]) == ("opened", "skw-1")


def test_what_a_hook_writes_to_standard_error_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    writes = "import sys; sys.stderr.write('x' * 9000 + chr(27) + 'why\\n'); "
    assert Hook(python(writes + "print('ok')")).call(incident(), "opened") == "ok"
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("the hook for skw-1 (opened): exit code 0: …xxx")
    assert said.endswith(r"xxx\x1bwhy")
    assert len(said) < 2200
    with pytest.raises(HookError, match=r"^exit code 3: …x+\\x1bwhy$"):
        Hook(python(writes + "exit(3)")).call(incident(), "opened")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"/no/such/{SECRET}", "No such file or directory"),
        (python(f"{SECRET!r}; exit(3)"), "exit code 3"),
        (f"http://127.0.0.1:9/{SECRET}", "ConnectionRefusedError"),
    ],
)
def test_a_hook_that_fails_says_so_without_its_address(target: str, said: str) -> None:
    with pytest.raises(HookError, match=said) as raised:
        Hook(target).call(incident(), "opened")
    assert SECRET not in str(raised.value)


def test_a_webhook_answers_or_refuses() -> None:
    with webhook() as server:
        server.answer = b"ack"
        hook = Hook(f"http://{server.address}/{SECRET}")
        assert hook.call(incident(), "closed") == "ack"
        assert server.posts[0]["event"] == "closed"
        server.status = 503
        with pytest.raises(HookError, match=r"^HTTP status 503$"):
            hook.call(incident(), "closed")


def test_addresses_come_from_the_command_or_from_the_variable_and_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WatchSettings(notify=("json://a",), notify_env="MY_ALERTS")
    assert addresses(settings, ()) == ("json://a",)
    monkeypatch.setenv("MY_ALERTS", "json://b\n json://c ")
    assert addresses(settings, ()) == ("json://b", "json://c", "json://a")
    assert addresses(settings, ("json://d",)) == ("json://d",)


@pytest.mark.parametrize("address", [f"slak://{SECRET}", SECRET, f"slack://{SECRET}", f"json:/{SECRET}"])
def test_an_address_that_cannot_be_used_is_not_shown(address: str) -> None:
    with pytest.raises(SettingsError, match=r"address 2 .*is none that Apprise can use") as raised:
        Notifier(["json://localhost", address])
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("watch", "said"),
    [
        ({"evry": "1m"}, "skew.watch.evry is not a setting (did you mean 'every'?)"),
        ({"every": "soon"}, "skew.watch.every = 'soon' does not fit"),
        ({"notify": f"slack://{SECRET}"}, "skew.watch.notify does not fit"),
        ({"notify_env": f"slack://{SECRET}"}, "skew.watch.notify_env does not fit"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_shown(watch: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_from({"watch": watch}, tmp_path)
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(settings_from({"watch": {"notify": [SECRET], "hook": SECRET}}, tmp_path))


def test_options_go_before_settings() -> None:
    options = watch_options(WatchSettings(every="90s", burn_in=7), {"every": None, "margin": "3s", "burn_in": 0})
    assert (options.every, options.margin, options.burn_in) == (timedelta(seconds=90), timedelta(seconds=3), 0)
    with pytest.raises(SettingsError, match="--every is below a second"):
        watch_options(WatchSettings(), {"every": "0.1s"})


def test_words_of_an_incident_are_one_line_each_whatever_the_values_are() -> None:
    example = {
        "feature": "v__f\x1b[2J",
        "key": {"driver": "\x1b[31m\nroot"},
        "served": "x" * 500,
        "baseline": None,
        "served_event": None,
        "baseline_event": NOON.isoformat(),
        "request_id": "r\x07",
        "served_at": NOON.isoformat(),
    }
    told = incident(evidence=(example,), cells=5, compared=20, features=("v__f\x1b", "v__g", "v__h", "v__i"))
    assert title(told, "opened") == "[FAIL] scoring: v: f\\x1b, g, h and 1 more (rescaled)"
    text = body(told, "opened")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 7
    assert "5 of 20 served cells (25.0%)" in text
    assert body(told, "closed").startswith("Healed:")


def training(values: Callable[[int], Any]) -> Training:
    return Training.of({"v__f": pa.chunked_array([values(1)]), "v__id": pa.chunked_array([pa.array(["a"])])})


def normal(seed: int, shift: float = 0.0, rows: int = 2000) -> pa.Array:
    return pa.array(np.random.default_rng(seed).normal(shift, size=rows))


def windows(trained: Training, hour: pa.Array, day: pa.Array) -> tuple[WindowSummary, WindowSummary]:
    scale = trained.scales["v__f"]
    hours, days = (FeatureSummary(served=scale.count(values)) for values in (hour, day))
    return WindowSummary(NOON, NOON, 1, {"v__f": hours}), WindowSummary(NOON, NOON, 1, {"v__f": days})


def test_drift_is_told_of_important_features_and_a_jump_apart() -> None:
    trained = training(normal)
    assert set(trained.scales) == {"v__f"}
    same = windows(trained, normal(2), normal(3))
    slow = windows(trained, normal(2, 1.0), normal(3, 1.0))
    sudden = windows(trained, normal(2, 2.5, 300), pa.concat_arrays([normal(3, 0.0, 300), normal(4, 2.5, 300)]))
    few = windows(trained, normal(2, 1.0, 20), normal(3, 1.0, 20))
    assert [drift_sightings(trained, *one, ["v__f"]) for one in (same, few)] == [[], []]
    assert [one.cause for one in drift_sightings(trained, *slow, ["v__f"])] == [DRIFT]
    assert [one.cause for one in drift_sightings(trained, *sudden, ["v__f"])] == [JUMP]
    assert drift_sightings(trained, *slow, []) == []


@pytest.mark.parametrize(
    ("name", "named"),
    [("v__f", True), ("f", True), ("v:f", True), ("v", False), ("w__f", False), ("g", False), ("_f", False)],
)
def test_a_feature_is_important_by_any_of_its_names(name: str, *, named: bool) -> None:
    assert _named_in("v__f", [name]) is named


def test_retraining_is_proposed_only_where_the_score_fell_and_nothing_is_broken() -> None:
    fell, held = (ScoreChange("AUC", 0.7, 0.8, fell=one) for one in (True, False))
    drift, jump = incident(DRIFT), incident(JUMP)
    assert "retrain" in proposal(drift, [drift], fell)
    assert "AUC 0.700 in the last day, 0.800 in the week before" in proposal(drift, [drift], fell)
    assert proposal(drift, [drift], held) == ""
    assert proposal(drift, [drift], None) == ""
    assert proposal(jump, [jump], fell) == ""
    assert proposal(drift, [drift, incident("rescaled")], fell) == ""
