"""`skew.destination` of each type: what it takes, and errors that name the setting and never show a DSN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skew_ext.errors import SettingsError
from skew_ext.log.destination import destination_from
from skew_ext.log.postgres import PostgresDestination
from skew_ext.settings import FeastSettings, PostgresSettings, settings_from


def destination(raw: dict[str, Any], repo: Path, project: str = "rides") -> Any:
    return settings_from({"destination": raw}, repo, project=project).destination


def test_a_destination_keeps_its_type_and_its_project(tmp_path: Path) -> None:
    made = destination({"type": "postgres", "dsn_env": "LOG_DSN", "schema": "audit"}, tmp_path)
    assert made == PostgresSettings(dsn_env="LOG_DSN", schema="audit", project="rides")
    assert destination({"type": "postgres", "project": "meals"}, tmp_path).project == "meals"


def test_a_feast_destination_counts_its_paths_from_the_repo(tmp_path: Path) -> None:
    made = destination({"type": "feast", "yaml": "other.yaml"}, tmp_path)
    assert made == FeastSettings(path=tmp_path / "data/skew/log", repo=tmp_path, yaml=tmp_path / "other.yaml")


def test_settings_make_their_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_DSN", "postgresql://skew:s3cr3t@localhost/x")
    made = destination_from(destination({"type": "postgres", "dsn_env": "LOG_DSN"}, tmp_path).model_dump(mode="json"))
    assert isinstance(made, PostgresDestination)
    assert "s3cr3t" not in repr(made._database)
    with pytest.raises(SettingsError, match="no destination of type 'kafka'"):
        destination_from({"type": "kafka"})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"type": "postgres", "dsn": "postgresql://u:s3cr3t@h/d"}, r"destination\.dsn is not a setting.*'dsn_env'"),
        ({"type": "postgres", "dsn_env": "postgresql://u:s3cr3t@h/d"}, r"dsn_env is not the name of an environment"),
        ({"type": "postgres", "shema": "x"}, r"destination\.shema is not a setting \(did you mean 'schema'\?\)"),
        ({"type": "postgres", "schema": "x" * 64}, r"destination\.schema = .* does not fit"),
        ({"type": "postgers"}, r"destination\.type = 'postgers' does not fit \(did you mean 'postgres'\?\)"),
        ({"type": "feast", "repp": "x"}, r"destination\.repp is not a setting \(did you mean 'repo'\?\)"),
    ],
)
def test_wrong_settings_are_named_and_no_dsn_is_shown(raw: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        destination(raw, tmp_path)
    assert "s3cr3t" not in str(caught.value)
