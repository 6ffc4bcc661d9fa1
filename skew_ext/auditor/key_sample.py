"""A sample of the entity keys: every lookup of a chosen key is audited, and both sides see the same rows.

A key is chosen by its hash alone: the same keys in every window, whatever else was served. So what needs a key's whole
story (was it ever served before? how long between its events?) is right in the sample too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.errors import AuditError
from skew_ext.schema import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class KeySample:
    """Which keys are audited: those with a hash of at most `limit`. `rows` of `of_rows`, `keys` of `of_keys`."""

    columns: tuple[str, ...]
    limit: np.uint64
    rows: int
    of_rows: int
    keys: int
    of_keys: int

    def of(self, log: pa.Table) -> pa.Table:
        """Give the rows of the chosen keys."""
        return log.filter(pa.array(_hashes(log, self.columns) <= self.limit))

    def note(self) -> str:
        """Say what was sampled."""
        return (
            f"a sample of {self.rows:,} of the window's {self.of_rows:,} rows was audited: every lookup of "
            f"{self.keys:,} of {self.of_keys:,} entity keys"
        )


def checked_sample(sample: int | float | None) -> int | float | None:  # noqa: PYI041 - they mean two things
    """Give the sample back; AuditError if it is neither rows (1 or more) nor a share of the keys (0 to 1)."""
    if sample is None or sample >= 1 or (isinstance(sample, float) and 0 < sample < 1):
        return sample
    msg = f"a sample of {sample} says nothing: give at least 1 row, or a share of the entity keys such as 0.1"
    raise AuditError(msg)


def choose_keys(parts: Iterable[pa.Table], keys: Sequence[str], sample: int | float) -> KeySample | None:  # noqa: PYI041 - they mean two things
    """Choose keys so that at most `sample` rows are audited, or, where it is a float up to 1, that share of the keys.

    Where one key alone has more rows, it is taken all the same. None where the sample is all rows. `parts` are the
    window's rows, of which the key columns are enough. A lookup without a key goes by its request id.
    """
    columns = tuple(keys) or (REQUEST_ID,)
    hashes, counts = _counted(parts, columns)
    if isinstance(sample, float) and sample <= 1:
        chosen = max(round(sample * len(hashes)), 1)
    else:
        chosen = max(int(np.searchsorted(np.cumsum(counts), sample, side="right")), 1)
    if chosen >= len(hashes):
        return None
    rows = int(counts[:chosen].sum())
    return KeySample(columns, hashes[chosen - 1], rows, int(counts.sum()), chosen, len(hashes))


def _counted(parts: Iterable[pa.Table], columns: Sequence[str]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Give the distinct hashes, rising, and how many rows each has."""
    counts: pd.Series[int] = pd.Series(dtype=np.int64)
    for part in parts:
        here = pd.Series(1, index=pd.Index(_hashes(part, columns))).groupby(level=0).sum()
        counts = here if counts.empty else counts.add(here, fill_value=0)
    counts = counts.sort_index()
    return np.asarray(counts.index, dtype=np.uint64), np.asarray(counts, dtype=np.int64)


def _hashes(log: pa.Table, columns: Sequence[str]) -> Hashes:
    known = [name for name in columns if name in log.column_names]
    frame = log.select(known).to_pandas(integer_object_nulls=True)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)
