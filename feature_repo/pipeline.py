"""The batch pipeline: it computes the source rows of every view from flights and weather, through transforms/.

Run it in this folder before `feast apply`: `python pipeline.py` writes the whole year under data/sources, and
`python pipeline.py --postgres DSN` copies it into tables for the production yaml.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from flights import load_flights, load_weather

from transforms.carrier import delay_summary, recent_landings
from transforms.local_time import new_york
from transforms.plane import last_leg, legs_today
from transforms.weather import severity

MEASURED = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

Seconds = npt.NDArray[np.int64]


def weather_rows(weather: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of `origin_weather`, one for each airport and hour.

    `created` is the hour itself: the data know no other time.
    """
    rows = weather[["origin", "event_timestamp"]].assign(created=weather["event_timestamp"])
    measured = weather[MEASURED].astype("float64")
    return pd.concat([rows, measured, severity.on_batch(measured)], axis=1)


def plane_rows(flights: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of `plane_history`, one for each flight that landed.

    The event is the scheduled departure; `created` is the landing, when the row came to be known.
    """
    landed = flights[flights["landed_at"].notna()].reset_index(drop=True)
    day = new_york(_seconds(landed["scheduled_departure"]).astype("datetime64[s]")).astype("datetime64[D]")
    legs = legs_today(landed["tailnum"].to_numpy(dtype=str), day)
    delays = landed.rename(columns={"arr_delay": "arrival_delay", "dep_delay": "departure_delay"})
    times = {"event_timestamp": landed["scheduled_departure"], "created": landed["landed_at"]}
    return pd.concat([landed[["tailnum"]].assign(**times), last_leg.on_batch(delays.assign(leg=legs))], axis=1)


def carrier_rows(flights: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Give the rows of `carrier_delay`, one for each carrier, airport and full hour in [start, end).

    A row holds what had landed by its hour, and `created` is that hour: nothing in it was known later.
    """
    hours = pd.date_range(pd.Timestamp(start).ceil("h"), end, freq="h", inclusive="left").as_unit("us")
    landed = flights[flights["landed_at"].notna()].sort_values("landed_at")
    parts = [_carrier_rows(key, group, hours) for key, group in landed.groupby(["carrier", "origin"])]
    return pd.concat(parts, ignore_index=True)


def _carrier_rows(key: Any, landed: pd.DataFrame, hours: pd.DatetimeIndex) -> pd.DataFrame:
    at = _seconds(pd.Series(hours))
    counts = recent_landings(_seconds(landed["landed_at"]), landed["arr_delay"].to_numpy(), at)
    rows = pd.DataFrame({"carrier": key[0], "origin": key[1], "event_timestamp": hours, "created": hours})
    return pd.concat([rows, delay_summary.on_batch(pd.DataFrame(counts._asdict()))], axis=1)


def _seconds(times: pd.Series) -> Seconds:
    seconds: Seconds = times.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds


def source_rows(start: datetime | None = None, end: datetime | None = None) -> dict[str, pa.Table]:
    """Give every view's source rows with an event in [start, end); without bounds, the whole year.

    Parameters
    ----------
    start, end
        Aware datetimes.

    Returns
    -------
    One table for each view, with timestamps in UTC and microseconds.
    """
    flights, weather = load_flights(), load_weather()
    first = pd.Timestamp(start or flights["scheduled_departure"].min())
    last = pd.Timestamp(end or weather["event_timestamp"].max() + pd.Timedelta(hours=1))
    frames = {
        "origin_weather": weather_rows(weather),
        "carrier_delay": carrier_rows(flights, first, last),
        "plane_history": plane_rows(flights),
    }
    return {
        name: _table(rows[rows["event_timestamp"].between(first, last, inclusive="left")])
        for name, rows in frames.items()
    }


def _table(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)


def write_rows(rows: pa.Table, folder: Path, name: str) -> None:
    """Add rows to a source as one new file, in whole: a reader never sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    pq.write_table(rows, part)
    part.rename(folder / f"{name}.parquet")


def build_sources(out_dir: Path, start: datetime | None = None, end: datetime | None = None) -> None:
    """Write every view's source rows with an event in [start, end) under `out_dir`, a folder for each view."""
    for name, rows in source_rows(start, end).items():
        write_rows(rows, out_dir / name, "rows")


def copy_to_postgres(tables: Mapping[str, pa.Table], dsn: str) -> None:
    """Fill the tables flights.<view> of a PostgreSQL database, anew."""
    import psycopg  # noqa: PLC0415 - only this needs the postgres extra

    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS flights")
        for name, rows in tables.items():
            columns = ", ".join(f'"{field.name}" {_postgres_type(field.type)}' for field in rows.schema)
            connection.execute(f'DROP TABLE IF EXISTS flights."{name}"')
            connection.execute(f'CREATE TABLE flights."{name}" ({columns})')
            with connection.cursor().copy(f'COPY flights."{name}" FROM STDIN') as copy:
                for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    copy.write_row(row)


def _postgres_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return {"string": "text", "large_string": "text", "double": "double precision", "int64": "bigint"}[str(kind)]


def main() -> None:
    """Write the whole year's sources, or copy them into PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="DSN", help="copy into tables of this database instead")
    dsn = parser.parse_args().postgres
    if dsn:
        copy_to_postgres(source_rows(), dsn)
    else:
        build_sources(Path(__file__).resolve().parent / "data" / "sources")


if __name__ == "__main__":
    main()
