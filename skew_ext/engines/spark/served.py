"""When each key of a view was first served in the window, found in the session and told of the rows that differ."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from skew_ext.schema import LOG_TIMESTAMP, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.engines.spark.frame import LogFrame

_FIRST = "skew_first"


def first_served(frames: Sequence[LogFrame], view: ViewPlan) -> DataFrame | None:
    """Give a view's keys and when each was first served; None where it has none, or no feature was logged."""
    found = [one for one in (_first_served(frame, view) for frame in frames) if one is not None]
    if not found:
        return None
    every = reduce(lambda one, other: one.unionByName(other), found)
    return every.groupBy(*(name for name in every.columns if name != _FIRST)).agg(F.min(_FIRST).alias(_FIRST))


def told(rows: DataFrame, frame: LogFrame, view: ViewPlan, served: DataFrame, name: str) -> DataFrame:
    """Give rows of a frame with the column `name`: when their keys were first served, null for never."""
    keys = _keys(frame, view)
    names = [f"k{number}" for number in range(len(keys))]
    keyed = rows.select("*", *(key.alias(one) for key, one in zip(keys, names, strict=True)))
    return keyed.join(served.withColumnRenamed(_FIRST, name), names, "left").drop(*names)


def _keys(frame: LogFrame, view: ViewPlan) -> list[Column]:
    """Give a view's keys as text, so that parts of the log where a key had another type are one."""
    return [F.col(frame.places[key]).cast("string") for key in view.join_keys.values()] or [F.lit("")]


def _first_served(frame: LogFrame, view: ViewPlan) -> DataFrame | None:
    names = [view.column(name) + TIMESTAMP_SUFFIX for name in view.features]
    times = [F.col(frame.places[name]) for name in names if name in frame.places]
    if not times:
        return None
    keys = [each.alias(f"k{number}") for number, each in enumerate(_keys(frame, view))]
    served = frame.rows.where(F.coalesce(*times).isNotNull())
    return served.groupBy(*keys).agg(F.min(frame.places[LOG_TIMESTAMP]).alias(_FIRST))
