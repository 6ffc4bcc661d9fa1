"""The `skew:` block of feature_store.yaml, validated: a wrong setting is named, with the nearest right one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skew_ext.errors import SettingsError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

MEBIBYTE = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParquetSettings(_Strict):
    """A folder of Parquet files, one folder per feature service, partitioned by day (UTC)."""

    type: Literal["parquet"] = "parquet"
    path: Path = Path("data/skew/log")


class SkewSettings(_Strict):
    """How lookups are logged. Relative paths count from the repo.

    `flush_seconds`: the longest that a served lookup waits in the spool while the shipper runs.
    `spool_max_bytes`: what one process may hold in the spool; beyond it, lookups are dropped and counted.
    """

    spool: Path = Path("data/skew/spool")
    destination: ParquetSettings = ParquetSettings()
    model_name: str = ""
    model_version: str = ""
    environment: str = ""
    sample_rate: float = Field(default=1.0, gt=0.0, le=1.0)
    on_transform_mismatch: Literal["warn", "raise"] = "warn"
    start_shipper: bool = True
    flush_seconds: float = Field(default=10.0, gt=0.0)
    segment_bytes: int = Field(default=8 * MEBIBYTE, ge=MEBIBYTE)
    spool_max_bytes: int = Field(default=1024 * MEBIBYTE, ge=2 * MEBIBYTE)

    def under(self, repo_path: Path) -> SkewSettings:
        """Give these settings with their relative paths made absolute from `repo_path`."""
        root = repo_path.resolve()
        destination = self.destination.model_copy(update={"path": root / self.destination.path})
        return self.model_copy(update={"spool": root / self.spool, "destination": destination})


def settings_from(raw: Mapping[str, Any] | None, repo_path: Path, **overrides: Any) -> SkewSettings:
    """Read a `skew:` block (None: all defaults), with `overrides` that are not None put over it.

    Raises
    ------
    SettingsError
        Names the setting that is unknown or does not fit, and what would.
    """
    if raw is not None and not isinstance(raw, dict):
        msg = f"skew: in feature_store.yaml must be a block of settings, not {raw!r}"
        raise SettingsError(msg)
    given = {**(raw or {}), **{name: value for name, value in overrides.items() if value is not None}}
    try:
        return SkewSettings(**given).under(repo_path)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in ("skew", *first["loc"]))
    if first["type"] == "extra_forbidden":
        fields = ParquetSettings.model_fields if "destination" in first["loc"] else SkewSettings.model_fields
        known = ", ".join(fields)
        return f"{where} is not a setting{nearest(str(first['loc'][-1]), fields)}; the settings are: {known}"
    return f"{where} = {first['input']!r} does not fit: {first['msg'].lower()}; correct it in feature_store.yaml"
