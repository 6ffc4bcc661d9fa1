"""Feast's own logging destinations: as one of ours, `{type: feast}`, and PostgreSQL as one of Feast's.

Feast stores what it is given once more when it is given it once more, so a batch whose fate is unknown may be there
twice: rows are known by writer, sequence and position, and reading gives each once. A warehouse keeps only the columns
of Feast's own log schema; those rows cannot be told apart, and have nulls in our columns. Files keep every column.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from feast import FeatureStore
from feast.errors import FeatureServiceNotFoundException
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig, LoggingDestination
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.protos.feast.core.FeatureService_pb2 import LoggingConfig as LoggingConfigProto

from skew_ext.errors import LogError
from skew_ext.log.decode import SYSTEM_FIELDS
from skew_ext.log.notes import LogNote, notes_of, with_notes
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import OWNER, Access, strange_file, unreadable
from skew_ext.log.union import union
from skew_ext.schema import FEATURE_SERVICE, LOG_DATE, LOG_TIMESTAMP, REQUEST_ID, ROW, SEQUENCE, WRITER

if TYPE_CHECKING:
    from feast import FeatureService
    from feast.data_source import DataSource

    from skew_ext.log.query import LogQuery
    from skew_ext.log.upkeep import Upkeep
    from skew_ext.schema import LogSchema

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(days=36500)
_IDENTITY = (WRITER, SEQUENCE, ROW)


class FeastLogError(OSError):
    """Feast could not store a batch; trying again later may help."""


class FeastDestination:
    """Stores where each feature service's `logging_config` says, at least once.

    What Feast has no place for (lookups by reference, services without `logging_config`) goes to Parquet files below
    `path`, each row once.
    """

    def __init__(self, repo: Path, path: Path, yaml: Path | None = None, *, access: Access = OWNER) -> None:
        self._repo = repo
        self._yaml = yaml
        self._rest = ParquetDestination(path, access=access)
        self._opened: FeatureStore | None = None

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch through Feast; FeastLogError if it does not take it now."""
        try:
            service = None if schema.records else self._service(schema.feature_service)
            if service is not None:
                self._store().write_logged_features(self._fitting(table, service), service)
                return
        except NotImplementedError:
            store = type(self._store().config.offline_store).__name__
            msg = f"Feast's {store} cannot write logs: set skew.destination to postgres or parquet"
            raise FeastLogError(msg) from None
        except Exception as error:  # noqa: BLE001 - each warehouse has errors of its own
            msg = f"Feast does not store the log of {schema.feature_service!r}: {' '.join(str(error).split())}"
            raise FeastLogError(msg) from None
        self._rest.write(table, schema, batch)

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit, each once; LogError if Feast cannot read them."""
        names = [] if query.records else self._names(query.feature_service)
        services = [self._service(name) for name in names]
        try:
            notes: list[LogNote] = []
            tables = [self._read(service, query, notes) for service in services if service is not None]
        except LogError:
            raise
        except Exception as error:  # noqa: BLE001 - likewise
            msg = f"Feast cannot read the log: {' '.join(str(error).split())}"
            raise LogError(msg) from None
        rest = self._rest.read(query)
        return with_notes(each_once(union([*tables, rest])), [*notes, *notes_of(rest)])

    def count_rows(self, owner: str) -> dict[str, dict[date, int]] | None:  # noqa: ARG002 - as the other destinations
        """Return None: a warehouse does not know whose rows are whose."""
        return None

    def pruned_days(self, owner: str) -> Counter[date]:  # noqa: ARG002 - likewise
        """Return none, as `count_rows`."""
        return Counter()

    @property
    def wants_upkeep(self) -> bool:
        """Whether what Feast has no place for is better merged now than later."""
        return self._rest.wants_upkeep

    def maintain(self, owner: str, today: date, *, quick: bool = False) -> Upkeep:
        """Look after what Feast has no place for; the rest is the warehouse's own."""
        return self._rest.maintain(owner, today, quick=quick)

    def prune(self, today: date, *, dry_run: bool = False, trust_clock: bool = False) -> Upkeep:
        """Prune what Feast has no place for."""
        return self._rest.prune(today, dry_run=dry_run, trust_clock=trust_clock)

    def _store(self) -> FeatureStore:
        if self._opened is None:
            self._opened = FeatureStore(repo_path=str(self._repo), fs_yaml_file=self._yaml)
        return self._opened

    def _names(self, feature_service: str | None) -> list[str]:
        if feature_service is not None:
            return [feature_service]
        return sorted(service.name for service in self._store().list_feature_services())

    def _service(self, name: str) -> FeatureService | None:
        """Give a service that Feast has a place for, a file's relative path made absolute from the repo."""
        try:
            service = self._store().get_feature_service(name) if name else None
        except FeatureServiceNotFoundException:
            return None
        if service is None or service.logging_config is None:
            return None
        destination = service.logging_config.destination
        if isinstance(destination, FileLoggingDestination) and "://" not in destination.path:
            # Feast counts it from the repo or from the working folder, by the offline store, and needs it to be there.
            service = copy.copy(service)
            service.logging_config = _below(self._repo, destination)
        return service

    def _fitting(self, table: pa.Table, service: FeatureService) -> pa.Table:
        if isinstance(_destination(service), FileLoggingDestination):
            return table
        wanted = self._feast_schema(service)
        return table.select(wanted.names).cast(wanted)

    def _feast_schema(self, service: FeatureService) -> pa.Schema:
        store = self._store()
        return FeatureServiceLoggingSource(service, store.project).get_schema(store.registry)

    def _read(self, service: FeatureService, query: LogQuery, notes: list[LogNote]) -> pa.Table:
        destination = _destination(service)
        if isinstance(destination, FileLoggingDestination) and "://" not in destination.path:
            # Not through Feast, whose file store reads through pandas: int64 with nulls would become float64.
            read = _files(Path(destination.path), notes)
            return union([_completed(table, service.name, query) for table in read])
        names = self._feast_schema(service).names
        if isinstance(destination, PostgreSQLLoggingDestination):
            names = list(dict.fromkeys([*names, *(field.name for field in SYSTEM_FIELDS)]))
        store = self._store()
        job = store._get_provider().offline_store.pull_all_from_table_or_query(  # noqa: SLF001 - Feast's own way to it
            config=store.config,
            data_source=destination.to_data_source(),
            join_key_columns=[],
            feature_name_columns=[name for name in names if name != LOG_TIMESTAMP],
            timestamp_field=LOG_TIMESTAMP,
            start_date=query.start or _FIRST,
            end_date=query.end or datetime.now(tz=timezone.utc) + _LAST,
        )
        return _completed(job.to_arrow(), service.name, query)


class PostgreSQLLoggingDestination(LoggingDestination):
    """For `FeatureService(logging_config=LoggingConfig(destination=...))`: the log that `skew` keeps in PostgreSQL.

    Feast then reads the log as a source: `feast monitor run --source-type log`, `store.validate_logged_features`, saved
    datasets. The repo needs `offline_store: {type: skew_ext.log.postgres_offline.SkewPostgreSQLOfflineStore, ...}`,
    Feast's own with this class made known, and its user the role skew_auditor. What writes the log is skew_ext, with
    `skew.destination` of type `postgres` on the same database.

    Parameters
    ----------
    feature_service, project
        Whose log it is.
    schema
        The database's schema, as in `skew.destination`.
    """

    _proto_kind = "skew_ext.log.feast_destination.PostgreSQLLoggingDestination"

    def __init__(self, *, feature_service: str, project: str, schema: str = "skew") -> None:
        self.feature_service = feature_service
        self.project = project
        self.schema = schema

    @classmethod
    def from_proto(cls, config_proto: LoggingConfigProto) -> PostgreSQLLoggingDestination:
        """Read it from Feast's registry."""
        return cls(**config_proto.custom_destination.config)

    def to_proto(self) -> LoggingConfigProto:
        """Give it as Feast's registry keeps it."""
        config = {"feature_service": self.feature_service, "project": self.project, "schema": self.schema}
        custom = LoggingConfigProto.CustomDestination(kind=self._proto_kind, config=config)
        return LoggingConfigProto(custom_destination=custom)

    def to_data_source(self) -> DataSource:
        """Give the log as a source: the view that has each column under its own name."""
        from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (  # noqa: PLC0415
            PostgreSQLSource,
        )

        view = served_view_name(self.project, self.feature_service)
        schema = self.schema.replace('"', '""')
        return PostgreSQLSource(
            name=f"{self.feature_service}_log", table=f'"{schema}"."{view}"', timestamp_field=LOG_TIMESTAMP
        )


def served_view_name(project: str, feature_service: str) -> str:
    """Give the name of a feature service's view, as the migrations' `served_view_name` makes it."""
    plain = re.sub("[^a-z0-9]+", "_", feature_service.lower()).strip("_")[:36]
    told_apart = hashlib.sha256(f"{project}\n{feature_service}".encode()).hexdigest()[:8]
    return f"served_{plain}_{told_apart}"


def each_once(table: pa.Table) -> pa.Table:
    """Give each row once, by writer, sequence and position; rows without these are left as they are."""
    if not table.num_rows or not set(_IDENTITY) <= set(table.column_names):
        return table
    numbered = table.select(_IDENTITY).append_column("n", pa.array(np.arange(table.num_rows)))
    known = numbered.filter(pc.is_valid(numbered[WRITER]))
    first = known.group_by(list(_IDENTITY)).aggregate([("n", "min")])["n_min"].to_numpy()
    unknown = np.flatnonzero(np.asarray(pc.is_null(numbered[WRITER])))
    return table.take(pa.array(np.sort(np.concatenate([first, unknown]))))


def _destination(service: FeatureService) -> LoggingDestination:
    config: Any = service.logging_config
    destination: LoggingDestination = config.destination
    return destination


def _below(repo: Path, destination: FileLoggingDestination) -> LoggingConfig:
    folder = repo / destination.path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved = FileLoggingDestination(
        path=str(folder),
        s3_endpoint_override=destination.s3_endpoint_override,
        partition_by=destination.partition_by,
    )
    return LoggingConfig(destination=moved)


def _files(folder: Path, notes: list[LogNote]) -> list[pa.Table]:
    """Read each file by itself: feature sets differ, and so do their columns' types; note what is no file of a log."""
    found = [_file(str(file)) for file in sorted(folder.rglob("*.parquet"))]
    notes += [one for one in found if isinstance(one, LogNote)]
    return [one for one in found if not isinstance(one, LogNote)]


def _file(path: str) -> pa.Table | LogNote:
    try:
        strange = strange_file(path)
        if strange is not None:
            return strange
        table = ds.dataset(path, format="parquet").to_table()
    except Exception as error:  # noqa: BLE001 - whatever stands there stops nothing but itself
        return unreadable(path, error)
    if LOG_TIMESTAMP not in table.column_names:
        return LogNote(path, "foreign", "has not the columns of a log: it was left out")
    return table


def _completed(table: pa.Table, feature_service: str, query: LogQuery) -> pa.Table:
    """Give the rows that fit, system columns in their types: Feast may have left some out, or changed them."""
    moments = table[LOG_TIMESTAMP].cast(pa.timestamp("us", tz="UTC"))
    columns = {name: table[name] for name in table.column_names}
    columns |= {LOG_TIMESTAMP: moments, LOG_DATE: moments.cast(pa.date32())}
    for field in SYSTEM_FIELDS:
        default = pa.nulls(table.num_rows, field.type)
        if field.name == FEATURE_SERVICE:
            default = pa.array([feature_service] * table.num_rows, field.type)
        columns[field.name] = columns.get(field.name, pa.chunked_array([default])).cast(field.type)
    rows = pa.table(columns)
    if query.start is not None:
        rows = rows.filter(pc.greater_equal(rows[LOG_TIMESTAMP], pa.scalar(query.start, moments.type)))
    if query.end is not None:
        rows = rows.filter(pc.less(rows[LOG_TIMESTAMP], pa.scalar(query.end, moments.type)))
    return rows if query.request_id is None else rows.filter(pc.equal(rows[REQUEST_ID], query.request_id))
