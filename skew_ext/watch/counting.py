"""How many rows of a service the log has in some stretches of time: asked in each round, so it has to be cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skew_ext.auditor.parts import Window, log_parts
from skew_ext.baseline.evidence import microseconds
from skew_ext.errors import LogError
from skew_ext.log.destination import needing_psycopg
from skew_ext.schema import LOG_TIMESTAMP
from skew_ext.settings import PostgresSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from skew_ext.settings import SkewSettings

Stretch = tuple["datetime", "datetime"]


def count_rows(settings: SkewSettings, feature_service: str, stretches: Sequence[Stretch]) -> list[int]:
    """Count the rows that were served in each of the stretches [start, end); times are aware.

    Only serving times are read: of Parquet files the row groups that the stretches touch, of PostgreSQL nothing.

    Raises
    ------
    LogError
        The log cannot be read.
    """
    if not stretches:
        return []
    if isinstance(settings.destination, PostgresSettings):
        return _in_postgres(settings.destination, feature_service, stretches)
    start, end = min(first for first, _ in stretches), max(last for _, last in stretches)
    parts = log_parts(settings, Window(feature_service, start, end), ())
    times = np.sort(np.concatenate([np.zeros(0, np.int64), *(microseconds(part[LOG_TIMESTAMP]) for part in parts)]))
    return [
        int(np.searchsorted(times, _whole(last)) - np.searchsorted(times, _whole(first))) for first, last in stretches
    ]


def _whole(moment: datetime) -> int:
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))


def _in_postgres(destination: PostgresSettings, feature_service: str, stretches: Sequence[Stretch]) -> list[int]:
    with needing_psycopg():
        from psycopg import sql  # noqa: PLC0415 - psycopg comes with an extra

        from skew_ext.log.postgres_session import Database, PostgresError  # noqa: PLC0415
        from skew_ext.log.postgres_types import catalog_text  # noqa: PLC0415
    statement = sql.SQL("SELECT * FROM {}.count_served(%s, %s, %s, %s)").format(sql.Identifier(destination.schema_name))
    names = catalog_text(destination.project), catalog_text(feature_service)
    bounds: list[Any] = [[first for first, _ in stretches], [last for _, last in stretches]]
    try:
        with Database(destination.dsn_env, destination.schema_name).connected() as connection:
            return [count for (count,) in connection.execute(statement, (*names, *bounds)).fetchall()]
    except PostgresError as error:
        msg = f"the log cannot be read: {error}"
        raise LogError(msg) from None
