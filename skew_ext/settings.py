"""The `skew:` block of feature_store.yaml, validated: a wrong setting is named, with the nearest right one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from skew_ext.errors import SettingsError, nearest
from skew_ext.text import brief, masked

if TYPE_CHECKING:
    from collections.abc import Mapping

MEBIBYTE = 1 << 20
LONGEST_SHOWN = 200
_MAY_BE_SECRET = re.compile(r"://|@|pass|pwd|secret|token|key\W*[=:]", re.IGNORECASE)
INTERVAL = r"^\d+(\.\d+)?[smhd]$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParquetSettings(_Strict):
    """A folder of Parquet files, one folder per feature service, partitioned by day (UTC).

    `keep_days`, `max_bytes`: the shipper deletes the days before the last so many, and the oldest days beyond so many
    bytes of the whole log; without them all is kept, since training may want it. `access`: who may read the files and
    folders that are made, whatever the umask: their `owner` alone (0600, 0700), or its `group` too (0640, 0750).
    """

    type: Literal["parquet"] = "parquet"
    path: Path = Path("data/skew/log")
    keep_days: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=MEBIBYTE)
    access: Literal["owner", "group"] = "owner"

    def within(self, root: Path, project: str) -> ParquetSettings:  # noqa: ARG002 - as the other destinations
        """Give these settings as they are for a repo at `root`."""
        return self.model_copy(update={"path": root / self.path})


class PostgresSettings(_Strict):
    """A schema of the PostgreSQL database whose DSN the environment variable `dsn_env` holds.

    `project`: whose log is read; empty is the repo's own. `keep_days`: what `skew log prune` leaves; it drops the
    partitions of earlier days, which is the right of the schema's owner and not of the writer.
    """

    type: Literal["postgres"] = "postgres"
    dsn_env: str = Field(default="DATABASE_URL", pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    schema_name: str = Field(default="skew", alias="schema", min_length=1, max_length=63, pattern="^[^%]*$")
    project: str = ""
    keep_days: int | None = Field(default=None, ge=1)

    def within(self, root: Path, project: str) -> PostgresSettings:  # noqa: ARG002 - as the other destinations
        """Give these settings as they are for a repo of `project`."""
        return self.model_copy(update={"project": self.project or project})


class FeastSettings(_Strict):
    """Where each feature service's own `logging_config` says.

    `path`: the Parquet log of what Feast has no place for: lookups by reference, services without `logging_config`.
    `access`: who may read that, as with `parquet`; what Feast writes, it writes as the umask says.
    `repo`, `yaml`: the Feast repo, the one that these settings stand in unless said otherwise.
    """

    type: Literal["feast"] = "feast"
    path: Path = Path("data/skew/log")
    repo: Path = Path()
    yaml: Path | None = None
    access: Literal["owner", "group"] = "owner"

    def within(self, root: Path, project: str) -> FeastSettings:  # noqa: ARG002 - as the other destinations
        """Give these settings as they are for a repo at `root`."""
        yaml = None if self.yaml is None else root / self.yaml
        return self.model_copy(update={"path": root / self.path, "repo": root / self.repo, "yaml": yaml})


_DESTINATIONS: dict[str, type[_Strict]] = {
    "parquet": ParquetSettings,
    "postgres": PostgresSettings,
    "feast": FeastSettings,
}


def _type_of(raw: Any) -> Any:
    return raw.get("type", "parquet") if isinstance(raw, dict) else getattr(raw, "type", None)


DestinationSettings = Annotated[
    Annotated[ParquetSettings, Tag("parquet")]
    | Annotated[PostgresSettings, Tag("postgres")]
    | Annotated[FeastSettings, Tag("feast")],
    Discriminator(_type_of),
]


class WatchSettings(_Strict):
    """What `skew watch` does; the command's options go before these.

    `every`, `margin`, `late`, `hold` are intervals such as 60s, 5m, 1h: how often there is a round; how long after it
    was served a row is looked for (the shipper flushes every `flush_seconds`); how far back rows are looked for that
    come later still; and for how long a window waits until it has `min_rows` rows.
    `notify`: addresses as Apprise writes them. Better in the environment variable `notify_env`, where no file has
    their secrets. `hook`: a command, or the URL of a webhook. Of the environment, a command gets PATH, HOME, LANG and
    TZ, and the variables that `hook_env` names. `important`: features whose drift asks for retraining.
    """

    every: str = Field(default="60s", pattern=INTERVAL)
    margin: str = Field(default="15s", pattern=INTERVAL)
    late: str = Field(default="1h", pattern=INTERVAL)
    hold: str = Field(default="5m", pattern=INTERVAL)
    min_rows: int = Field(default=20, ge=1)
    burn_in: int = Field(default=3, ge=0)
    alert_on: Literal["warn", "fail"] = "fail"
    notify: tuple[str, ...] = Field(default=(), repr=False)
    notify_env: str = Field(default="SKEW_WATCH_NOTIFY", pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    hook: str = Field(default="", repr=False)
    hook_env: tuple[str, ...] = ()
    important: tuple[str, ...] = ()
    max_features: int = Field(default=200, ge=1)


class SkewSettings(_Strict):
    """How lookups are logged. Relative paths count from the repo.

    `engine`: where an audit retrieves and compares: in its own process (`embedded`), or in Feast's Spark session
    (`spark`); `auto` is Spark where the repo's offline store is.
    `flush_seconds`: the longest that a served lookup waits in the spool while the shipper runs.
    `spool_max_bytes`: what the whole spool may hold; beyond it, lookups are dropped and counted.
    `spool_max_hours`: a lookup that has waited longer, since the destination is away, is dropped and counted.
    """

    spool: Path = Path("data/skew/spool")
    destination: DestinationSettings = ParquetSettings()
    model_name: str = ""
    model_version: str = ""
    environment: str = ""
    sample_rate: float = Field(default=1.0, gt=0.0, le=1.0)
    on_transform_mismatch: Literal["warn", "raise"] = "warn"
    engine: Literal["auto", "embedded", "spark"] = "auto"
    start_shipper: bool = True
    flush_seconds: float = Field(default=10.0, gt=0.0)
    segment_bytes: int = Field(default=8 * MEBIBYTE, ge=MEBIBYTE)
    spool_max_hours: float | None = Field(default=None, gt=0.0)
    spool_max_bytes: int = Field(default=1024 * MEBIBYTE, ge=2 * MEBIBYTE)
    watch: WatchSettings = WatchSettings()

    def under(self, repo_path: Path, project: str = "") -> SkewSettings:
        """Give these settings as they are for a repo: relative paths made absolute from `repo_path`."""
        root = repo_path.resolve()
        destination = self.destination.within(root, project)
        return self.model_copy(update={"spool": root / self.spool, "destination": destination})


def settings_from(
    raw: Mapping[str, Any] | None, repo_path: Path, *, project: str | None = None, **overrides: Any
) -> SkewSettings:
    """Read a `skew:` block (None: all defaults) of a project's repo, `overrides` that are not None put over it.

    Raises
    ------
    SettingsError
        Names the setting that is unknown or does not fit, and what would.
    """
    if raw is not None and not isinstance(raw, dict):
        msg = f"skew: in feature_store.yaml must be a block of settings, not {_shown(raw)}"
        raise SettingsError(msg)
    given = {**(raw or {}), **{name: value for name, value in overrides.items() if value is not None}}
    try:
        return SkewSettings(**given).under(repo_path, project or "")
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    fields: list[str] = list(SkewSettings.model_fields)
    if place[:1] == ["destination"] and len(place) > 1:
        # The second part is the destination's type, which pydantic puts there.
        fields = [field.alias or name for name, field in _DESTINATIONS[place.pop(1)].model_fields.items()]
    if place[:1] == ["watch"] and len(place) > 1:
        fields = list(WatchSettings.model_fields)
    where = brief(masked(".".join(("skew", *place))), LONGEST_SHOWN)
    if first["type"] == "extra_forbidden":
        return f"{where} is not a setting{nearest(place[-1], fields)}; the settings are: {', '.join(fields)}"
    if first["type"] == "union_tag_invalid":
        given = str(_type_of(first["input"]))
        known = ", ".join(_DESTINATIONS)
        return f"{where}.type = {_shown(given)} does not fit{nearest(given, _DESTINATIONS)}: a log can go to {known}"
    if place[-1] == "dsn_env":
        # Not shown: what stands there in place of a name may be a DSN, with its password.
        return f"{where} is not the name of an environment variable: name one, and put the DSN into it"
    if any(name in ("notify", "notify_env", "hook", "hook_env") for name in place):
        # Not shown either: addresses have tokens in them.
        return f"{where} does not fit: {first['msg'].lower()}; correct it in feature_store.yaml"
    return f"{where} = {_shown(first['input'])} does not fit: {first['msg'].lower()}; correct it in feature_store.yaml"


def _shown(value: Any) -> str:
    """Return a value as it is written, or three asterisks for one that may hold a secret: a DSN in the wrong place."""
    text = repr(value)
    return "***" if _MAY_BE_SECRET.search(text) else brief(text, LONGEST_SHOWN)
