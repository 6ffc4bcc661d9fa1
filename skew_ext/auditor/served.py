"""Which entity keys a view had served, and since when: a key that was once served and then is absent was evicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_FIRST, _PLACE, _ONLY = "skew_first", "skew_place", "skew_only_key"
_MOST_PENDING = 2_000_000


def first_served_column(view: str) -> str:
    """Give the column of a block of rows that says when each row's key was first served by a view."""
    return f"skew_first_served__{view}"


class FirstServed:
    """When each key of a view was first served in the window: at most as large as the number of keys.

    A view without entities has one key. What is not `noted` was never served.
    """

    def __init__(self, keys: Sequence[str], *, noted: bool = True) -> None:
        self._keys = list(keys) or [_ONLY]
        self._has_keys = bool(keys)
        self._noted = noted
        self._pending: list[pa.Table] = []

    def add(self, log: pa.Table, served_at: npt.NDArray[np.int64], served: npt.NDArray[np.bool_]) -> None:
        """Take the next rows, and whether anything was served for each."""
        if not self._noted:
            return
        rows = self._keys_of(log).append_column(_FIRST, pa.array(served_at)).filter(pa.array(served))
        self._pending.append(_earliest(rows, self._keys))
        if sum(table.num_rows for table in self._pending) > _MOST_PENDING:
            self._pending = [self._merged()]

    def of(self, log: pa.Table) -> npt.NDArray[np.int64]:
        """Give, for each row of `log`, when its key was first served; `NO_TIME` where it never was."""
        found = np.full(log.num_rows, NO_TIME)
        if not self._pending:
            return found
        self._pending = [self._merged()]
        (known,) = self._pending
        rows = self._keys_of(log).cast(pa.schema([known.schema.field(key) for key in self._keys]))
        rows = rows.append_column(_PLACE, pa.array(np.arange(log.num_rows)))
        joined = rows.join(known, self._keys, join_type="inner")
        found[joined[_PLACE].to_numpy()] = joined[_FIRST].to_numpy()
        return found

    def _keys_of(self, log: pa.Table) -> pa.Table:
        if self._has_keys:
            return log.select(self._keys)
        return pa.table({_ONLY: pa.array(np.zeros(log.num_rows, dtype=np.int8))})

    def _merged(self) -> pa.Table:
        return _earliest(pa.concat_tables(self._pending, promote_options="permissive"), self._keys)


def _earliest(rows: pa.Table, keys: list[str]) -> pa.Table:
    grouped = rows.group_by(keys).aggregate([(_FIRST, "min")])
    return grouped.rename_columns({f"{_FIRST}_min": _FIRST})
