"""What `check_leakage` and `skew leakage` are given: names, types, files, and what cannot be checked."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from feast import FeatureService, FeatureView, FileSource

from skew_ext.cli.main import cli
from skew_ext.errors import AuditError, RepoError, SkewError, TrainingSetError
from tests.kit import SOURCE_SCHEMA, Repo
from tests.leaks import FEATURES, REFERENCES, ROWS, asked, check, codes, history, latest, retrieved


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = Repo(tmp_path_factory.mktemp("leakage") / "repo")
    made.write(history())
    return made


@pytest.fixture(scope="module")
def training(repo: Repo) -> pd.DataFrame:
    return retrieved(repo, asked())


def test_features_by_reference_by_service_and_by_name_of_the_column(repo: Repo, training: pd.DataFrame) -> None:
    full = training.rename(columns={name: f"stats__{name}" for name in FEATURES})
    for features in (
        None,
        REFERENCES,
        [f"stats__{name}" for name in FEATURES],
        "scoring",
        repo.store.get_feature_service("scoring"),
    ):
        for frame in (training, full):
            assert len(check(repo, frame, features=features).features) == 3
    assert check(repo, training, features=["stats:trips"]).features == {"trips": "stats__trips"}
    stats = repo.store.get_feature_view("stats")
    alias = FeatureService(name="aliased", features=[stats.with_name("mine").with_join_key_map({"driver": "who"})])
    repo.store.apply([alias])
    renamed = full.rename(columns={f"stats__{name}": f"mine__{name}" for name in FEATURES} | {"driver": "who"})
    report = check(repo, renamed, features=alias)
    assert (report.findings, len(report.features), report.checked) == ([], 3, ROWS)


def test_keys_and_values_of_other_types_are_taken_as_they_are_meant(repo: Repo, training: pd.DataFrame) -> None:
    others = {
        "arrow": pa.Table.from_pandas(training, preserve_index=False),
        "float keys": training.astype({"driver": "float64"}),
        "narrow": training.astype({"driver": "int32", "rating": "float32", "label": "bool"}),
        "category": training.astype({"city": "category"}),
        "nullable": training.convert_dtypes(),
        "arrow dtypes": training.convert_dtypes(dtype_backend="pyarrow"),
        "times as text": training.assign(event_timestamp=training["event_timestamp"].map(lambda at: at.isoformat())),
        "nanoseconds": training.assign(event_timestamp=training["event_timestamp"].astype("datetime64[ns, UTC]")),
        "another zone": training.assign(event_timestamp=training["event_timestamp"].dt.tz_convert("Asia/Tokyo")),
        "an index": training.sample(frac=1, random_state=0),
    }
    for name, frame in others.items():
        report = check(repo, frame)
        assert (report.findings, report.checked, report.notes) == ([], ROWS, []), name


@pytest.mark.parametrize("name", FEATURES)
def test_a_column_of_nulls_is_compared_like_any_other(repo: Repo, training: pd.DataFrame, name: str) -> None:
    for frame in (training.assign(**{name: None}), training.iloc[:0].reindex(range(3)).assign(label=1)):
        assert check(repo, frame).verdict in ("pass", "warn")
    repo_of_nulls = check(repo, training.assign(**{name: None})).notes
    assert any(note.startswith(f"{name}: ") and "are null where a value was there" in note for note in repo_of_nulls)


def test_mixed_columns_and_names_nearly_right_are_said(repo: Repo, training: pd.DataFrame) -> None:
    mixed = training.assign(note=pd.Series([1, "a", None] * (ROWS // 3), dtype=object)).rename(
        columns={"rating": "ratin"}
    )
    report = check(repo, mixed)
    assert report.findings == []
    assert "values of several types were taken as text: note" in report.notes
    lost = check(repo, training.rename(columns={"driver": "drivers"}))
    assert (
        "'trips' was not checked: stats has it, and the frame lacks its key 'driver' (did you mean 'drivers'?)"
        in lost.notes
    )
    none = check(repo, training[["driver", "event_timestamp", "label"]].assign(ratingg=1.0, x=training["rating"]))
    assert "no column is named like a feature of the project (did you mean 'rating'?)" in none.notes[0]
    weighed = check(repo, training.assign(weight=training["label"] + 1, cost=training["label"] + 1), weights="cost")
    assert weighed.findings == []


def test_a_column_that_two_views_have_is_checked_as_of_the_one_whose_values_it_has(
    training: pd.DataFrame, tmp_path: Path
) -> None:
    two = Repo(tmp_path / "repo")
    two.write(history())
    other = tmp_path / "other.parquet"
    pq.write_table(pa.Table.from_pylist(history(seed=1), schema=SOURCE_SCHEMA), other)
    stats = two.store.get_feature_view("stats")
    source = FileSource(
        name="other_source",
        path=str(other),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    schema = [field for field in stats.schema if field.name != "trips"]
    driver = two.store.get_entity("driver")
    two.store.apply([FeatureView(name="rival", entities=[driver], ttl=stats.ttl, schema=schema, source=source)])
    of_rival = two.store.get_historical_features(
        training[["driver", "event_timestamp", "label"]], ["rival:rating", "rival:city"]
    ).to_df()

    report = check(two, training)
    assert (report.findings, report.checked) == ([], ROWS)
    assert report.features == {"rating": "stats__rating", "trips": "stats__trips", "city": "stats__city"}
    said = "rating, city may be of stats or rival: checked as of stats; name columns view__feature to choose"
    assert said in report.notes
    assert check(two, of_rival).features == {"rating": "rival__rating", "city": "rival__city"}
    assert check(two, of_rival).findings == []
    assert codes(check(two, latest(training)))[0][:2] == ("fail", "joined_without_time")
    timeless = check(two, of_rival.drop(columns="event_timestamp"))
    assert timeless.features == {"rating": "stats__rating", "city": "stats__city"}  # the first, as nothing tells
    assert timeless.checked == 0


def test_a_sample_is_said(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, latest(training), sample=200)
    assert (report.checked, codes(report)) == (200, [("fail", "joined_without_time", "stats")])
    assert report.notes == ["cells were checked in a sample of 200 of 1,500 rows"]


REFUSED: dict[str, tuple[dict[str, Any], type[SkewError], str]] = {
    "label": ({"label": "lable"}, TrainingSetError, r"no column 'lable', the label \(did you mean 'label'"),
    "weights": ({"weights": "w"}, TrainingSetError, "no column 'w', the weights"),
    "reference": ({"features": ["stats:ratin"]}, TrainingSetError, r"no feature 'ratin' \(did you mean 'rating'"),
    "view": ({"features": ["stat:rating"]}, TrainingSetError, r"no feature view 'stat' in .* \(did you mean"),
    "no reference": ({"features": ["rating"]}, TrainingSetError, "write it as view:feature"),
    "service": ({"features": "scorings"}, RepoError, r"no feature service 'scorings'.*did you mean 'scoring'"),
    "sample": ({"sample": 0}, TrainingSetError, "a sample of 0 rows"),
    "entity rows": ({"entity_rows": pd.DataFrame({"drivr": [1]})}, TrainingSetError, r"no column 'driver' \(did"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_in_one_line(repo: Repo, training: pd.DataFrame, case: str) -> None:
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        check(repo, training, **options)
    assert "\n" not in str(caught.value)


FRAMES: dict[str, tuple[Any, str]] = {
    "no rows": (lambda frame: frame.iloc[:0], "the training set has no rows: there is nothing to check"),
    "no frame": (lambda frame: frame.to_dict(), "pandas DataFrame or a pyarrow Table, not a dict"),
    "twice": (lambda frame: pd.concat([frame, frame[["city"]]], axis=1), "the column 'city' more than once"),
    "feature": (lambda frame: frame.drop(columns="city"), "no column 'stats__city' for a feature to check"),
    "key type": (lambda frame: frame.assign(driver="d"), "join key 'driver' is string .* int64 in the repo"),
    "no times": (lambda frame: frame.assign(event_timestamp="noon"), "holds no times, such as 'noon'"),
    "seconds": (lambda frame: frame.assign(event_timestamp=1), "holds no times but int64"),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_a_frame_that_cannot_be_checked_is_refused_in_one_line(repo: Repo, training: pd.DataFrame, case: str) -> None:
    made, message = FRAMES[case]
    with pytest.raises(TrainingSetError, match=message):
        check(repo, made(training), features=REFERENCES)


def test_a_store_that_fails_is_an_error_and_no_pass(tmp_path: Path, training: pd.DataFrame) -> None:
    repo = Repo(tmp_path / "repo")
    repo.source_path.unlink()
    with pytest.raises(AuditError, match="the offline store could not give the training baseline"):
        check(repo, training)


def run(repo: Repo, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["-c", str(repo.path), "leakage", *arguments])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_command_reads_files_and_exits_by_what_it_found(
    repo: Repo, training: pd.DataFrame, tmp_path: Path, kind: str
) -> None:
    clean, leaky = tmp_path / f"clean.{kind}", tmp_path / f"leaky.{kind}"
    for path, frame in ((clean, training), (leaky, latest(training))):
        frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    passed = run(repo, str(clean), "--label", "label", "--entity-rows", str(clean))
    assert (passed.exit_code, passed.stdout.splitlines()[0][:4]) == (0, "PASS")
    failed = run(repo, str(leaky), "--label", "label", "--feature-service", "scoring")
    assert failed.exit_code == 1
    assert "FAIL  joined_without_time  rating, trips, city" in failed.stdout
    assert "Remedy: join by time" in failed.stdout
    document = json.loads(run(repo, str(leaky), "--label", "label", "--json", "-", "--fail-on", "warn").stdout)
    assert document["schema"] == 1
    assert document["verdict"] == "fail"
    assert [finding["code"] for finding in document["findings"]] == ["joined_without_time"]
    assert {"code", "severity", "feature", "cause", "message", "remedy", "rows", "share", "examples"} <= set(
        document["findings"][0]
    )
    target = tmp_path / "out" / "leaks.json"
    assert run(repo, str(clean), "--json", str(target), "--feature", "stats:trips").exit_code == 0
    assert json.loads(target.read_text())["features"] == {"trips": "stats__trips"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv", "--label", "label"], "nothing.csv is not there; there are: broken.parquet, clean.csv"),
        (["broken.parquet", "--label", "label"], "cannot be read"),
        (["clean.csv", "--label", "lable"], "did you mean 'label'"),
        (["clean.csv", "--feature", "stats:trips", "--feature-service", "scoring"], "give one of them"),
    ],
)
def test_the_command_that_cannot_run_says_why_in_one_line(
    repo: Repo, training: pd.DataFrame, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    training.to_csv(tmp_path / "clean.csv", index=False)
    result = run(repo, str(tmp_path / arguments[0]), *arguments[1:])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_names_and_values_are_data(tmp_path: Path, repo: Repo, training: pd.DataFrame) -> None:
    odd = training.assign(**{"[red]x[/]; DROP\x1b[2J": training["label"]})
    odd.to_parquet(tmp_path / "odd.parquet")
    result = run(repo, str(tmp_path / "odd.parquet"), "--label", "label")
    assert "[red]x[/]; DROP\\x1b[2J is the label under other names" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_report_is_plain_data(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, latest(training).assign(copy=training["label"].to_numpy()[::-1]), label=None)
    frames = report.to_frames()
    assert frames["findings"]["code"].tolist() == ["joined_without_time"]
    assert len(frames["examples"]) == 5
    assert report.notes == ["no label was named: what the features tell of it was not checked"]
    assert isinstance(datetime.fromisoformat(json.loads(report.to_json())["created_at"]), datetime)
