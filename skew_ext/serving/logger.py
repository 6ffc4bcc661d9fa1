"""`ServingLogger`: what a model used and gave, logged beside the lookups and on the same path."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureStore, utils
from feast.repo_config import FeastConfigError, load_repo_config

from skew_ext.clock import as_utc
from skew_ext.errors import RepoError, SettingsError
from skew_ext.schema import INFERENCE, LABEL, PREDICTION, LogSchema
from skew_ext.serving.context import current, new_request_id
from skew_ext.serving.opening import Opening
from skew_ext.serving.provider import repo_settings
from skew_ext.serving.record import encode_record
from skew_ext.serving.row import LoggedRow, RowMaker, UnloggableRowError
from skew_ext.serving.writer import SpoolWriter
from skew_ext.settings import SkewSettings, settings_from

logger = logging.getLogger("skew_ext")
ENTITY_KEY = "entity_id"
"""The key column of an `entity_id` that is no mapping."""
MOST_SCHEMAS = 1000
"""How many feature sets one logger makes: each is a file in the spool, and names that never repeat must not fill it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class ServingLogger:
    """Logs a model's inputs, predictions and labels: what Feast did not serve, tied to lookups by the request id.

    Everything goes through the spool, as lookups do: the caller's thread makes one bounded append, never waits and
    never gets an error for what it logs. A value that no type of the log holds exactly (an integer beyond 64 bits,
    a lone surrogate, a class unknown here) is logged as null with the status INVALID, counted in `invalid_values`
    and warned of once; a row that cannot be logged at all is counted as dropped, under its reason.

    Parameters
    ----------
    destination
        A Feast repo's folder, or a feature store: its `skew:` settings say where to, and a request's lookups and its
        inference then lie in one log. Or a destination as it stands in those settings,
        `{"type": "parquet", "path": ...}`; relative paths then count from the working folder.
    model_name, model_version, environment
        Logged with every row; over the `skew:` settings, under `request_context`.
    spool
        Where rows wait to be stored: over the repo's setting, and needed with a destination of one's own.
    project
        Whose spool it is, with a destination of one's own; a repo has its own name.
    start_shipper
        Over the setting of that name: False where `skew ship` runs beside.

    Attributes
    ----------
    invalid_values : int
        Values that were logged as null with the status INVALID.

    Raises
    ------
    RepoError, SettingsError
        The destination or its settings cannot be used. Only the constructor raises.
    """

    def __init__(  # noqa: PLR0913 - all but the first by name
        self,
        destination: FeatureStore | str | PathLike[str] | Mapping[str, Any],
        *,
        model_version: str | None = None,
        environment: str | None = None,
        model_name: str | None = None,
        spool: str | PathLike[str] | None = None,
        project: str = "serving_logger",
        start_shipper: bool | None = None,
    ) -> None:
        labels = {"model_name": model_name, "model_version": model_version, "environment": environment}
        given: dict[str, Any] = {**labels, "spool": spool, "start_shipper": start_shipper}
        self._settings, self._project = _target(destination, project, given)
        self._opening = Opening(self._settings)
        self._rows = RowMaker(self._invalid)
        self._schemas: dict[Any, LogSchema] = {}
        self._warned: set[str] = set()
        self.invalid_values = 0

    def log_inference(self, request_id: str | None, entity_id: Any, features: Mapping[str, Any]) -> str:
        """Record the model's inputs after all preprocessing, exactly as used.

        Parameters
        ----------
        request_id
            Ties them to the request's lookups. None takes that of `request_context`, or makes one.
        entity_id
            What the inputs are about: one value (the column `entity_id`), or a mapping of key names to values.
        features
            Values by name, in columns `inference__<name>`: Python and numpy scalars, strings, bytes, datetimes, lists,
            one-dimensional arrays, None. Their event time is the time of this call.

        Returns
        -------
        str
            The request id that the row is logged under.
        """

        def row() -> LoggedRow:
            keys = entity_id if isinstance(entity_id, Mapping) else {ENTITY_KEY: entity_id}
            return self._rows.make(INFERENCE, "inference", keys, features.items(), _now())

        return self._log(request_id, row)

    def log_prediction(self, request_id: str | None, prediction: Any, score: Any = None) -> str:
        """Record what the model gave: the prediction, and the score or the scores that it was made from.

        They stand in the columns `model__prediction` and `model__score`. See `log_inference` for the request id.
        """

        def row() -> LoggedRow:
            values = [("prediction", prediction), ("score", score)]
            return self._rows.make(PREDICTION, "model", {}, values, _now())

        return self._log(request_id, row)

    def log_label(self, request_id: str | None, label: Any, observed_at: datetime) -> str:
        """Record what really happened, when it came to be known; a naive `observed_at` is taken as UTC.

        It stands in the column `model__label`, with `observed_at` as its event time.
        """

        def row() -> LoggedRow:
            return self._rows.make(LABEL, "model", {}, [("label", label)], self._observed(observed_at))

        return self._log(request_id, row)

    def _log(self, request_id: Any, make: Callable[[], LoggedRow]) -> str:
        given = _request_id(request_id)
        name = given or new_request_id()
        writer: SpoolWriter | None = None
        try:
            writer = self._opening.writer
            if writer is None or writer.left or writer.process != os.getpid():
                writer = self._opening.open(self._project)
            if writer is None:
                self._opening.lost(1)
            else:
                row = make()
                schema = self._schema(row)
                if schema.hash not in writer.schemas:
                    writer.keep_schema(schema.hash, schema.text)
                writer.append(self._record(name, row, schema, own_id=not given), 1)
        except Exception as error:  # noqa: BLE001 - nothing that logging does may reach the caller
            self._failed(writer, error)
        return name

    def _record(self, request_id: str, row: LoggedRow, schema: LogSchema, *, own_id: bool) -> bytes:
        context, settings = current(), self._settings
        constants = (
            context.model_name or settings.model_name,
            context.model_version or settings.model_version,
            context.environment or settings.environment,
            "",
        )
        return encode_record(
            served_at=_now(),
            schema=schema.hash.encode(),
            request_id=request_id.encode(errors="backslashreplace"),
            constants=json.dumps(constants).encode(),
            request=b"",
            response=row.response(),
            own_id=own_id,
            logged_at=time.time_ns() // 1000,
        )

    def _schema(self, row: LoggedRow) -> LogSchema:
        """Return the schema of these names and types, made once."""
        schema = self._schemas.get(row.shape)
        if schema is None:
            if len(self._schemas) >= MOST_SCHEMAS:
                msg = f"names or types that differ from call to call, beyond {MOST_SCHEMAS} sets of them"
                raise UnloggableRowError(msg)
            schema = self._schemas[row.shape] = row.schema(self._project)
        return schema

    def _observed(self, at: Any) -> int:
        try:
            return _microseconds(as_utc(at))
        except Exception as error:  # noqa: BLE001 - a label is worth keeping also where its time is none
            self._invalid("observed_at", error)
            return 0

    def _invalid(self, column: str, error: Exception) -> None:
        # Without a lock: one that another thread holds at a fork would stay locked in the child.
        self.invalid_values += 1
        if column not in self._warned and len(self._warned) < MOST_SCHEMAS:
            self._warned.add(column)
            logger.warning("values of %r that the log cannot hold as they are become null: %s", column, error)

    def _failed(self, writer: SpoolWriter | None, error: Exception) -> None:
        try:
            if writer is None:
                self._opening.lost(1)
            else:
                writer.drop("not_encodable", 1, str(error))
        except Exception:  # noqa: BLE001, S110 - the last line of defence has nobody left to tell
            pass


def _target(destination: Any, project: str, given: dict[str, Any]) -> tuple[SkewSettings, str]:
    """Give the settings to log by, and the project that the spool is of."""
    if not isinstance(destination, Mapping):
        config = destination.config if isinstance(destination, FeatureStore) else _repo_config(Path(destination))
        return repo_settings(config, **given), str(config.project)
    if given["spool"] is None:
        msg = "a destination of one's own needs a spool: ServingLogger({...}, spool='a folder')"
        raise SettingsError(msg)
    return settings_from({"destination": dict(destination)}, Path.cwd(), project=project, **given), project


def _repo_config(path: Path) -> Any:
    # Not through FeatureStore: a process that only logs need not reach the registry.
    settings = Path(utils.get_default_yaml_file_path(path))
    if not settings.is_file():
        msg = f"{path} is not a Feast repo: it has no {settings.name}; name a repo's folder, or give {{'type': ...}}"
        raise RepoError(msg)
    try:
        return load_repo_config(path, settings)
    except (FeastConfigError, yaml.YAMLError, ValueError, TypeError) as error:
        msg = f"{settings} cannot be used: {' '.join(str(error).split())}"
        raise RepoError(msg) from None


def _now() -> int:
    served_at = current().served_at
    return time.time_ns() // 1000 if served_at is None else _microseconds(served_at)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _request_id(given: Any) -> str:
    try:
        named = "" if given is None else str(given)
    except Exception:  # noqa: BLE001 - an id of a class of the caller's
        named = ""
    return named or current().request_id or ""
