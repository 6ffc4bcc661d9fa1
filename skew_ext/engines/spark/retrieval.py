"""Feast's point-in-time retrieval of a frame of logged rows, in the session, and its result beside those rows."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from skew_ext.baseline.alignment import EVENT_TIMESTAMP, ROW_ID
from skew_ext.baseline.retrieval import key_columns, requested, require_keys
from skew_ext.schema import LOG_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureService, FeatureStore
    from pyspark.sql import DataFrame

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.engines.spark.frame import LogFrame

TIMES_GIVEN = "skew_times_given"
"""How many times the store gave a row: null for a row that it lost."""


def baseline_columns(views: Sequence[ViewPlan]) -> list[str]:
    """Give the columns that the store is asked for; in a frame they are b0, b1..."""
    return [view.column(name) for view in views if not view.on_demand for name in view.features]


def beside_baseline(
    store: FeatureStore, service: FeatureService, views: Sequence[ViewPlan], frame: LogFrame
) -> tuple[DataFrame, int]:
    """Give the frame's rows with their baseline and `TIMES_GIVEN`, and how many keys would have been confused."""
    columns = baseline_columns(views)
    if not columns:
        return frame.rows.withColumn(TIMES_GIVEN, F.lit(1).cast("long")), 0
    keys = key_columns(views)
    require_keys(keys, frame.schema.names)
    entities = frame.rows.select(
        *(F.col(frame.places[key]).alias(key) for key in keys),
        # Without a zone, as UTC: of times with one, Feast takes the range in the zone of this process.
        F.col(frame.places[LOG_TIMESTAMP]).cast("timestamp_ntz").alias(EVENT_TIMESTAMP),
        F.col(ROW_ID),
    )
    waves = _waves(entities, [list(view.join_keys.values()) for view in views if len(view.join_keys) > 1])
    found = [_once(store, requested(service, views), wave, columns) for wave in waves]
    given = reduce(lambda one, other: one.unionByName(other), found)
    # The first of what came back for a row, as everywhere; the store's ties are looked into where cells differ.
    once = given.groupBy(ROW_ID).agg(
        *(F.first(F.col(f"b{place}")).alias(f"b{place}") for place in range(len(columns))),
        F.count(F.lit(1)).alias(TIMES_GIVEN),
    )
    confused = sum(wave.count() for wave in waves[1:])
    return frame.rows.join(once, ROW_ID, "left"), confused


def _once(store: FeatureStore, wanted: Any, entities: Any, columns: Sequence[str]) -> DataFrame:
    job: Any = store.get_historical_features(entity_df=entities, features=wanted, full_feature_names=True)
    frame: DataFrame = job.to_spark_df()
    names = frame.columns
    by_place = frame.toDF(*(f"r{place}" for place in range(len(names))))
    return by_place.select(
        F.col(f"r{names.index(ROW_ID)}").alias(ROW_ID),
        *(F.col(f"r{names.index(name)}").alias(f"b{place}") for place, name in enumerate(columns)),
    )


def _waves(entities: DataFrame, composite: Sequence[Sequence[str]]) -> list[DataFrame]:
    """Part rows whose composite keys, written without a separator as Feast's query does, would be the same text."""
    confused = [names for names in composite if _confused(entities, names)]
    if not confused:
        return [entities]
    wave = F.greatest(F.lit(0), *(_nth_of_its_text(names) for names in confused))
    numbered = entities.withColumn("skew_wave", wave)
    last = numbered.agg(F.max("skew_wave")).collect()[0][0]
    return [numbered.where(F.col("skew_wave") == number).drop("skew_wave") for number in range(last + 1)]


def _text(names: Sequence[str]) -> Any:
    return F.concat(*(F.col(name).cast("string") for name in names))


def _confused(entities: DataFrame, names: Sequence[str]) -> bool:
    keys = F.struct(*names)
    grouped = entities.groupBy(_text(names), EVENT_TIMESTAMP).agg(F.min(keys).alias("low"), F.max(keys).alias("high"))
    return not grouped.where(F.col("low") != F.col("high")).isEmpty()


def _nth_of_its_text(names: Sequence[str]) -> Any:
    alike = Window.partitionBy(_text(names), EVENT_TIMESTAMP)
    # Two windows, since one cannot stand in the other: the key's own order does as well as that of its first row.
    return F.dense_rank().over(alike.orderBy(*names)) - 1
