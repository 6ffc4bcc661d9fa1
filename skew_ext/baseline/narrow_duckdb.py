"""Feast's DuckDB store, reading of each source only the time that a retrieval can use, and by several threads.

Feast's stores in SQL bound a source's event times by those of the entity rows and the TTL. Its DuckDB store does not:
each retrieval of a part of the log would read, and join, the whole history. The bounds put in here are implied by what
is asked, and no row beyond them could be joined; the point-in-time join itself is Feast's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd
from feast import FileSource
from feast.data_format import ParquetFormat
from feast.infra.offline_stores import duckdb as feasts
from feast.infra.offline_stores.ibis import get_historical_features_ibis, pull_all_from_table_or_query_ibis

from skew_ext.baseline.alignment import EVENT_TIMESTAMP
from skew_ext.baseline.duckdb_threads import backend_of_this_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

EDGE = timedelta(seconds=1)
"""Finer times than microseconds are cut off."""
ZONES = timedelta(days=1)
"""A time without a zone is taken in that of DuckDB's session."""


class NarrowDuckDB(feasts.DuckDBOfflineStore):
    """Gives what Feast's DuckDB store gives."""

    @staticmethod
    def get_historical_features(  # noqa: PLR0913 - the parameters are those of Feast's OfflineStore
        config: Any,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Retrieve as Feast's store does."""
        feasts._validate_lance_feature_views(feature_views)  # noqa: SLF001 - as Feast's store does
        times = pd.to_datetime(entity_df[EVENT_TIMESTAMP], utc=True)
        span = Span(times.min().to_pydatetime(), times.max().to_pydatetime())
        return get_historical_features_ibis(
            config=config,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df,
            registry=registry,
            project=project,
            full_feature_names=full_feature_names,
            data_source_reader=_Reader([(view.batch_source, span.reaching_back(view.ttl)) for view in feature_views]),
            data_source_writer=feasts._write_data_source,  # noqa: SLF001 - as Feast's store gives it
            filter_by_created_timestamp=filter_by_created_timestamp,
            **_staging(config),
        )

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0913 - the parameters are those of Feast's OfflineStore
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> Any:
        """Read a source's rows as Feast's store does."""
        return pull_all_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_Reader([(data_source, Span(start_date, end_date).wider(EDGE))]),
            data_source_writer=feasts._write_data_source,  # noqa: SLF001 - as Feast's store gives it
            **_staging(config),
        )

    @staticmethod
    def retrievals_at_once(sources: Sequence[Any]) -> int:
        """Say how many threads may read these sources at once: two, where each has a connection of its own for all."""
        return 2 if all(is_local_parquet(source) for source in sources) else 1


@dataclass(frozen=True)
class Span:
    """Event times from `start` to `end`, both in UTC and inclusive; None is without a bound."""

    start: datetime | None
    end: datetime | None

    def wider(self, by: timedelta, after: timedelta | None = None) -> Span:
        """Give the span with so much more time before it and after it; a bound that no time has is none."""
        start = end = None
        with suppress(OverflowError):
            start = None if self.start is None else self.start - by
        with suppress(OverflowError):
            end = None if self.end is None else self.end + (by if after is None else after)
        return Span(start, end)

    def reaching_back(self, ttl: timedelta | None) -> Span:
        """Give the span of the events that retrievals in this one can use: a row counts for the time of its TTL."""
        return self.wider(ttl + EDGE, EDGE) if ttl else Span(None, self.end).wider(EDGE)


@dataclass(frozen=True)
class _Reader:
    """Reads a source as Feast does, within the span that stands beside it (if there are several, within all)."""

    spans: Sequence[tuple[Any, Span]]

    def __call__(self, source: Any, repo_path: str) -> Any:
        table = _read(source, repo_path)
        spans = [span for other, span in self.spans if other is source]
        starts, ends = [span.start for span in spans], [span.end for span in spans]
        start = None if None in starts else min(starts, default=None)  # type: ignore[type-var] # no None is among them
        end = None if None in ends else max(ends, default=None)  # type: ignore[type-var]
        return _within(table, source, Span(start, end))


def is_local_parquet(source: Any) -> bool:
    """Whether a source is Parquet on this machine, a file or a folder of them: Feast reads it by its path alone."""
    if type(source) is not FileSource or "://" in source.path:
        return False
    return isinstance(source.file_format, ParquetFormat) or (
        source.file_format is None and source.path.endswith(".parquet")
    )


def _read(source: Any, repo_path: str) -> Any:
    if is_local_parquet(source):
        return backend_of_this_thread().read_parquet(source.path)
    return feasts._read_data_source(source, repo_path)  # noqa: SLF001 - as Feast's store reads it


def _within(table: Any, source: Any, span: Span) -> Any:
    mapped = {ours: theirs for theirs, ours in (source.field_mapping or {}).items()}
    name = mapped.get(source.timestamp_field, source.timestamp_field)
    if name not in table.columns or not table[name].type().is_timestamp():
        return table
    if table[name].type().timezone is None:
        wide = span.wider(ZONES)
        span = Span(_naive(wide.start), _naive(wide.end))
    if span.start is not None:
        table = table.filter(table[name] >= ibis.literal(span.start))
    return table if span.end is None else table.filter(table[name] <= ibis.literal(span.end))


def _naive(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(timezone.utc).replace(tzinfo=None)


def _staging(config: Any) -> dict[str, Any]:
    offline = config.offline_store
    return {
        "staging_location": offline.staging_location,
        "staging_location_endpoint_override": offline.staging_location_endpoint_override,
    }
