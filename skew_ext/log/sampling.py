"""Sampling by entity key: every lookup of a chosen key is kept, in every process, so that its story is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANGE = 2**32
_SEPARATOR = "\x1f"


def sampled(table: pa.Table, keys: Sequence[str], rate: float) -> pa.Table:
    """Give the rows whose entity key is chosen; all rows where the rate is 1 or the lookup has no key.

    A key is chosen when the CRC32C of its values, taken as a share of 2**32, is below the rate.
    """
    if rate >= 1 or not keys:
        return table
    columns = [table[key].to_pylist() for key in sorted(keys)]
    limit = int(rate * _RANGE)
    chosen = [google_crc32c.value(_key_bytes(values)) < limit for values in zip(*columns, strict=True)]
    return table.filter(pa.array(chosen, type=pa.bool_()))


def _key_bytes(values: tuple[object, ...]) -> bytes:
    return _SEPARATOR.join(map(repr, values)).encode(errors="backslashreplace")
