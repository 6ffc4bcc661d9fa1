"""A training set as a Feast SavedDataset: written where the offline store reads, and registered.

Feast reads a saved dataset through its offline store by its join keys, its features and `event_timestamp`, and nothing
else. So the label, the request ids and the fingerprints are saved among the keys, as Feast itself did with every
column of an entity frame that was no feature; and the types are those that the offline store gives back.
"""

from __future__ import annotations

import json
import urllib.parse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.errors import SavedDatasetNotFound
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.saved_dataset import SavedDataset, SavedDatasetStorage

from skew_ext.errors import TrainingSetError
from skew_ext.training.training_set import EVENT_TIMESTAMP

if TYPE_CHECKING:
    from feast import FeatureStore

    from skew_ext.training.lookups import Lookups
    from skew_ext.training.training_set import TrainingSet

FOLDER = "data/skew/training"
_FILE_STORES = ("Dask", "File", "DuckDB")
_POSTGRES = 'SavedDatasetPostgreSQLStorage("schema.table")'


def save(  # noqa: PLR0913 - what, whose, and where to
    store: FeatureStore,
    made: TrainingSet,
    name: str,
    lookups: Lookups,
    storage: SavedDatasetStorage | None,
    *,
    allow_overwrite: bool,
) -> SavedDataset:
    """Write a training set, register it under `name`, and give it as `store.get_saved_dataset(name)` does.

    Raises
    ------
    TrainingSetError
        The name or the place is taken, or the storage is of a kind that cannot be written.
    """
    if not allow_overwrite and _registered(store, name):
        msg = f"project {store.project!r} has a saved dataset {name!r}: take another name, or allow_overwrite=True"
        raise TrainingSetError(msg)
    place = storage or _default_storage(store, name)
    try:
        _write(store, made, place, allow_overwrite=allow_overwrite)
    except (OSError, ValueError) as error:
        msg = f"the training set cannot be saved: {' '.join(str(error).split())}"
        raise TrainingSetError(msg) from None
    dataset = SavedDataset(
        name=name,
        features=[column.replace("__", ":", 1) for column in made.features],
        join_keys=[column for column in made.table.column_names if column not in {*made.features, EVENT_TIMESTAMP}],
        storage=place,
        full_feature_names=True,
        tags=_tags(made),
        feature_service_name=lookups.service,
    )
    bounds = pc.min_max(made.table[EVENT_TIMESTAMP]).as_py()
    dataset.min_event_timestamp, dataset.max_event_timestamp = bounds["min"], bounds["max"]
    store.registry.apply_saved_dataset(dataset, store.project, commit=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Feast calls its saved datasets experimental each time
        return store.get_saved_dataset(name)


def _registered(store: FeatureStore, name: str) -> bool:
    try:
        store.registry.get_saved_dataset(name, store.project)
    except SavedDatasetNotFound:
        return False
    return True


def _default_storage(store: FeatureStore, name: str) -> SavedDatasetStorage:
    kind = type(store.config.offline_store).__name__.removesuffix("Config")
    # Absolute, since the DuckDB offline store reads relative paths from wherever the process happens to be.
    path = Path(store.repo_path).absolute() / FOLDER / f"{urllib.parse.quote(name, safe=' ')}.parquet"
    if not kind.startswith(_FILE_STORES):
        # What no storage can be written for here is still of use in a file.
        say = f"storage={_POSTGRES}" if kind.startswith("Postgre") else "leave save_as out, and load `table` there"
        msg = f"{kind} reads no saved dataset from a file: {say}"
        raise TrainingSetError(msg)
    return SavedDatasetFileStorage(str(path))


def _write(store: FeatureStore, made: TrainingSet, storage: SavedDatasetStorage, *, allow_overwrite: bool) -> None:
    if isinstance(storage, SavedDatasetFileStorage):
        _write_file(store, made, storage, allow_overwrite=allow_overwrite)
        return
    table = getattr(getattr(storage, "postgres_options", None), "_table", None)
    if table is None:
        msg = (
            f"{type(storage).__name__} cannot be written from here: use SavedDatasetFileStorage(path) or {_POSTGRES}; "
            "or leave save_as out, and load `table` there"
        )
        raise ValueError(msg)
    from skew_ext.training.postgres_table import write_table  # noqa: PLC0415 - needs the postgres extra

    write_table(store.config.offline_store, table, made.table, allow_overwrite=allow_overwrite)


def _write_file(
    store: FeatureStore, made: TrainingSet, storage: SavedDatasetFileStorage, *, allow_overwrite: bool
) -> None:
    options: Any = storage.file_options
    if "://" in options.uri and not options.uri.startswith("s3://"):
        msg = f"Feast's files are local or in s3://, and {options.uri!r} is neither"
        raise ValueError(msg)
    uri = FileSource.get_uri_for_file_path(store.repo_path, options.uri)
    filesystem, path = FileSource.create_filesystem_and_path(uri, options.s3_endpoint_override)
    if filesystem is None:
        if Path(path).exists() and not allow_overwrite:
            msg = f"{path} is there already: take another path, or allow_overwrite=True"
            raise ValueError(msg)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made.table, path, filesystem=filesystem)


def _tags(made: TrainingSet) -> dict[str, str]:
    return {
        "skew.label": made.label,
        "skew.model_versions": json.dumps(made.model_versions),
        "skew.transforms": json.dumps(made.transforms),
        "skew.account": json.dumps(made.account.as_dict()),
    }
