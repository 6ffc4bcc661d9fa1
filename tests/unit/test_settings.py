"""The `skew:` block: defaults, paths, and errors that name the setting and the nearest right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skew_ext.errors import SettingsError
from skew_ext.settings import ParquetSettings, settings_from


def test_defaults_hang_from_the_repo(tmp_path: Path) -> None:
    settings = settings_from(None, tmp_path)
    assert settings.spool == tmp_path / "data/skew/spool"
    assert settings.destination == ParquetSettings(path=tmp_path / "data/skew/log")
    assert settings.sample_rate == 1.0


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert settings_from({"spool": "/var/spool/skew"}, tmp_path).spool == Path("/var/spool/skew")


def test_overrides_win_and_none_does_not(tmp_path: Path) -> None:
    settings = settings_from(
        {"model_name": "delay", "model_version": "v1"}, tmp_path, model_version="v2", model_name=None
    )
    assert (settings.model_name, settings.model_version) == ("delay", "v2")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"spol": "x"}, r"skew\.spol is not a setting \(did you mean 'spool'\?\)"),
        (
            {"destination": {"type": "parquet", "pth": "x"}},
            r"skew\.destination\.pth is not a setting \(did you mean 'path'",
        ),
        ({"destination": {"type": "kafka"}}, r"skew\.destination\.type = 'kafka' does not fit"),
        ({"sample_rate": 1.5}, r"skew\.sample_rate = 1\.5 does not fit: input should be less than or equal to 1"),
        ({"on_transform_mismatch": "explode"}, r"skew\.on_transform_mismatch = 'explode' does not fit"),
        ("parquet", "must be a block of settings, not 'parquet'"),
    ],
)
def test_wrong_settings_are_named(raw: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says):
        settings_from(raw, tmp_path)


DSN = "postgresql://flights:s3cr3t@db.example:5432/features"


@pytest.mark.parametrize(
    "raw",
    [
        DSN,
        [DSN],
        {"sample_rate": DSN},
        {"sample_rate": "host=db password=s3cr3t"},
        {"sample_rate": "host=db password = 's3cr3t of \\'mine\\''"},
        {"sample_rate": "redis.example:6379,password=s3cr3t"},
        {"sample_rate": "postgresql://flights:with a s3cr3t blank@db/x"},
        {"engine": DSN},
        {"flush_seconds": {"dsn": DSN}},
        {"start_shipper": ["s3cr3t@db"]},
        {"destination": DSN},
        {"destination": {"type": DSN}},
        {"destination": {"type": "postgres", "dsn_env": DSN}},
        {"destination": {"type": "postgres", "schema": DSN + "%"}},
        {"destination": {"type": "postgres", "keep_days": DSN}},
        {"destination": {"type": "postgres", DSN: True}},
        {"watch": {"every": DSN}},
        {"watch": {"hook_env": DSN}},
        {DSN: "x"},
    ],
)
def test_a_dsn_in_the_wrong_place_is_not_shown(raw: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_from(raw, tmp_path)
    assert "s3cr3t" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "skew" in str(raised.value)
