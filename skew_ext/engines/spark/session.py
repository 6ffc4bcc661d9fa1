"""The Spark session of a repo: the one that Feast uses, in UTC while an audit runs."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skew_ext.engines.spark.java import with_java
from skew_ext.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore
    from pyspark.sql import SparkSession

TIME_ZONE = "spark.sql.session.timeZone"


def session_of(store: FeatureStore) -> SparkSession:
    """Give the session of the repo's Spark offline store; it is started where there is none.

    Raises
    ------
    AuditError
        It cannot be started.
    """
    with_java()
    try:
        from feast.infra.offline_stores.contrib.spark_offline_store.spark import (  # noqa: PLC0415 - an extra
            get_spark_session_or_start_new_with_repoconfig,
        )

        offline: Any = store.config.offline_store
        session: SparkSession = get_spark_session_or_start_new_with_repoconfig(offline)
    except Exception as error:
        msg = f"no Spark session could be had: {one_line(error)}; docs/spark.md says what one needs"
        raise AuditError(msg) from error
    _with_this_python(session)
    return session


def _with_this_python(session: SparkSession) -> None:
    """Let a local session's workers run this interpreter: PySpark takes the `python3` of PATH, another environment."""
    context: Any = session.sparkContext
    if str(context.master).startswith("local") and "PYSPARK_PYTHON" not in os.environ:
        context.pythonExec = sys.executable


@contextmanager
def in_utc(session: SparkSession) -> Iterator[None]:
    """Run in UTC: Feast writes times into its queries without their zone."""
    before = session.conf.get(TIME_ZONE)
    session.conf.set(TIME_ZONE, "UTC")
    try:
        yield
    finally:
        session.conf.set(TIME_ZONE, str(before))


def one_line(error: BaseException) -> str:
    """Give what an error says: of Java's and Python's traces, which Spark puts into its messages, the first lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])}"[:500]
