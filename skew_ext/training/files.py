"""Training sets in files: Parquet, and CSV as pandas and Feast write it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from skew_ext.errors import TrainingSetError

_AS_PANDAS_WRITES = pyarrow.csv.ConvertOptions(null_values=["", "NaN", "nan", "NULL", "null"], strings_can_be_null=True)
CSV = (".csv", ".csv.gz", ".csv.bz2")


def read_file(path: Path, what: str) -> pa.Table:
    """Read a Parquet file, a folder of them, or a CSV file by its name; an empty field of a CSV file is null.

    Raises
    ------
    TrainingSetError
        There is none, or it cannot be read.
    """
    if not path.exists():
        near = ", ".join(sorted(one.name for one in path.parent.glob("*.*") if one.suffix in (".csv", ".parquet"))[:5])
        hint = f"; there are: {near}" if near else ""
        msg = f"{what} {path} is not there{hint}"
        raise TrainingSetError(msg)
    try:
        if path.name.endswith(CSV):
            return pyarrow.csv.read_csv(path, convert_options=_AS_PANDAS_WRITES)
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        msg = f"{what} {path} cannot be read ({' '.join(str(error).split())[:200]}): give a Parquet or CSV file"
        raise TrainingSetError(msg) from None
