"""The famous leak of the flights data: how late a flight arrives is known only when it has landed."""

from __future__ import annotations

import importlib
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from feast import FeatureStore

from skew_ext import check_leakage
from skew_ext.cli.main import cli
from skew_ext.demo.repo import modules_of, quiet
from skew_ext.leakage import LeakageFinding, LeakageReport
from skew_ext.leakage.codes import CODES, REMEDIES
from tests.flights import BUILD, PROJECT, copy_repo, run

SOURCES = ("2013-07-12T00:00:00", "2013-07-24T00:00:00")
FIRST, LAST = (datetime(2013, 7, day, tzinfo=timezone.utc) for day in (21, 24))
OWN_DELAY = "plane_history__last_arrival_delay"
REQUEST = ["origin", "carrier", "tailnum", "scheduled_departure", "asked_at", "distance"]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repo(tmp_path_factory.mktemp("leak") / "feature_repo")
    file = folder / "feature_store.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["skew"]["start_shipper"] = False
    file.write_text(yaml.safe_dump(settings))
    run(folder, sys.executable, "-c", BUILD.format(window=SOURCES))
    run(folder, "feast", "apply")
    return folder


@pytest.fixture(scope="module")
def departures(repo: Path) -> pd.DataFrame:
    """Give every departure of three days that arrived, and whether it came 15 minutes late or more."""
    with modules_of(repo):
        module: Any = importlib.import_module("flights")
        flights = module.load_flights()
    flights = flights[
        flights["scheduled_departure"].between(FIRST, LAST, inclusive="left") & flights["arr_delay"].notna()
    ]
    asked = flights["scheduled_departure"] - pd.Timedelta(minutes=45)
    seconds = {
        name: times.dt.tz_localize(None).astype("datetime64[s]").astype("int64")
        for name, times in (("scheduled_departure", flights["scheduled_departure"]), ("asked_at", asked))
    }
    labels = {
        "late": flights["arr_delay"] >= 15,
        "arr_delay": flights["arr_delay"],
        "departs": flights["scheduled_departure"],
    }
    rows: pd.DataFrame = flights.assign(**seconds, **labels, asked=asked)
    return rows[[*REQUEST, "asked", "departs", "late", "arr_delay"]]


def training(repo: Path, departures: pd.DataFrame, at: str) -> pd.DataFrame:
    """Retrieve the features of the service as a training job does, each departure at the time `at`."""
    store = FeatureStore(repo_path=str(repo))
    entities = departures[[*REQUEST, "late"]].assign(event_timestamp=departures[at].astype("datetime64[us, UTC]"))
    with quiet():
        service = store.get_feature_service("departure_delay")
        job = store.get_historical_features(entity_df=entities, features=service, full_feature_names=True)
        frame: pd.DataFrame = job.to_df()
    return frame


@pytest.fixture(scope="module")
def at_departure(repo: Path, departures: pd.DataFrame) -> pd.DataFrame:
    return training(repo, departures, "departs")


@pytest.fixture(scope="module")
def when_asked(repo: Path, departures: pd.DataFrame) -> pd.DataFrame:
    return training(repo, departures, "asked")


def check(repo: Path, frame: pd.DataFrame, **options: Any) -> LeakageReport:
    with quiet():
        return check_leakage(frame, repo, label="late", **options)


def found(report: LeakageReport, code: str) -> LeakageFinding:
    return next(finding for finding in report.findings if finding.code == code)


def test_joined_at_departure_a_flight_knows_its_own_arrival(repo: Path, at_departure: pd.DataFrame) -> None:
    report = check(repo, at_departure)
    assert report.verdict == "fail"
    assert report.checked == len(at_departure) > 2000
    known = found(report, "known_later")
    assert (known.severity, known.feature) == ("fail", "plane_history")
    assert known.share is not None
    assert known.share > 0.99
    assert OWN_DELAY in known.features
    for example in known.examples:
        landed, departed = example["source_created"], example["event_timestamp"]
        assert landed > departed == example["source_event"]  # type: ignore[operator]
    told = found(report, "label_predicted")
    assert (told.severity, told.feature) == ("fail", OWN_DELAY)
    assert told.score == 1.0
    assert told.message.endswith("without an error: late is True from 15 up")


def test_joined_when_it_is_asked_the_same_flights_pass(repo: Path, when_asked: pd.DataFrame) -> None:
    report = check(repo, when_asked, features="departure_delay")
    assert report.verdict == "pass"
    assert len(report.features) == 21
    # A plane that came in from its last leg after it was asked for: late rows are the data's nature.
    assert {finding.code for finding in report.findings} <= {"known_later"}
    assert all(finding.share is not None and finding.share < 0.05 for finding in report.findings)


def test_the_arrival_delay_itself_decides_the_label(
    repo: Path, departures: pd.DataFrame, when_asked: pd.DataFrame
) -> None:
    delays = departures.assign(event_timestamp=departures["asked"].astype("datetime64[us, UTC]"))
    keyed = delays[["tailnum", "carrier", "origin", "event_timestamp", "arr_delay"]].drop_duplicates(
        ["tailnum", "event_timestamp"]
    )
    joined = when_asked.merge(keyed, on=["tailnum", "carrier", "origin", "event_timestamp"])
    report = check(repo, joined)
    assert found(report, "label_predicted").feature == "arr_delay"
    assert found(report, "label_predicted").message.endswith("late is True from 15 up")


def test_weather_joined_by_airport_alone_is_the_latest(repo: Path, when_asked: pd.DataFrame) -> None:
    weather = pd.read_parquet(repo / "data" / "sources" / "origin_weather")
    latest = weather.sort_values("event_timestamp").groupby("origin").tail(1).set_index("origin")
    columns = [name for name in when_asked.columns if name.startswith("origin_weather__")]
    joined = when_asked.assign(
        **{name: when_asked["origin"].map(latest[name.removeprefix("origin_weather__")]).to_numpy() for name in columns}
    )
    finding = found(check(repo, joined), "joined_without_time")
    assert (finding.severity, finding.feature) == ("fail", "origin_weather")
    assert set(finding.features) == set(columns)
    # What was computed from the right weather is not what the transform gives from this one.
    assert found(check(repo, joined), "not_transformed").feature == "flight_request__weather_risk"


def test_the_command_finds_it_in_a_file(repo: Path, at_departure: pd.DataFrame, tmp_path: Path) -> None:
    at_departure.to_parquet(tmp_path / "training.parquet")
    arguments = ["-c", str(repo), "leakage", str(tmp_path / "training.parquet"), "--label", "late"]
    result = CliRunner().invoke(cli, [*arguments, "--json", str(tmp_path / "leaks.json")])
    assert result.exit_code == 1
    assert f"FAIL  label_predicted  {OWN_DELAY}" in result.stdout
    document = json.loads((tmp_path / "leaks.json").read_text())
    assert {"known_later", "label_predicted"} <= {finding["code"] for finding in document["findings"]}


def blocks(language: str) -> list[str]:
    """Give the guide's code blocks of a language."""
    found: list[str] = []
    inside: list[str] | None = None
    for line in (PROJECT / "docs" / "leakage.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, kind = [], line[3:]
        else:
            if kind == language:
                found.append("\n".join(inside))
            inside = None
    return found


def test_what_the_guide_shows_is_what_comes_out(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    code = blocks("python")[0]
    at_departure = 'flights["scheduled_departure"],\n'
    earlier = code.replace(at_departure, f"{at_departure[:-2]} - pandas.Timedelta('45min'),\n")
    assert earlier != code
    for shown, script, status in ((blocks("")[0], code, 1), (blocks("")[1], f"import pandas\n{earlier}", 0)):
        with modules_of(repo), quiet():
            exec(script, {})  # noqa: S102 - the guide's own code is what is tested
        arguments = ["-c", str(repo), "leakage", str(repo / "training.parquet"), "--label", "late"]
        result = CliRunner(env={"COLUMNS": "100"}).invoke(cli, arguments)
        assert result.exit_code == status
        assert headings(shown) == headings(result.stdout)
        assert len(headings(shown)) > 1


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:4] in ("FAIL", "WARN", "PASS", "INFO")]


def test_the_guide_has_every_code_that_is_given() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "skew_ext" / "leakage").glob("*.py"))
    guide = (PROJECT / "docs" / "leakage.md").read_text(encoding="utf-8")
    assert set(CODES) == set(REMEDIES)
    for code, says in CODES.items():
        assert f"| `{code}` | {says} |" in guide
        page = CliRunner().invoke(cli, ["explain", code]).stdout
        assert f"{code} [finding of skew leakage]" in page
        assert " ".join(page.split()).endswith(f"{REMEDIES[code][0].upper()}{REMEDIES[code][1:]}.")
        assert sources.count(f'"{code}"') > 1, f"{code} is never given"
    given = re.findall(r'_(?:finding|scored|rows|about)\(\s*(?:frame, )?"([a-z_]+)"', sources)
    assert len(given) > 15
    assert set(given) <= set(CODES)
