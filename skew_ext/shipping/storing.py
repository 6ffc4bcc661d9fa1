"""From records to the destination: decoded, sampled, and set aside where they do not fit."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa

from skew_ext.errors import SpoolError
from skew_ext.log.decode import decode
from skew_ext.log.sampling import sampled
from skew_ext.log.values import UnexpectedValueError
from skew_ext.schema import LogSchema
from skew_ext.serving.spool import write_atomically
from skew_ext.shipping.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skew_ext.log.destination import Destination
    from skew_ext.log.table import Entry
    from skew_ext.serving.spool import SpoolDirectory

_DECODED_AT_ONCE = 8 << 20
"""Bytes of records that are decoded in one go: what that needs beside them grows with it."""


class Storing:
    """Stores records at one destination."""

    def __init__(self, spool: SpoolDirectory, destination: Destination, sample_rate: float) -> None:
        self._spool = spool
        self._destination = destination
        self._sample_rate = sample_rate
        self._schemas: dict[str, LogSchema] = {}

    def store(self, entries: Sequence[Entry], name: str) -> Outcome:
        """Store a batch under `name`, each schema's part by itself; OSError if the destination cannot take it now."""
        by_schema: dict[bytes, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_schema[entry.record.schema].append(entry)
        outcome = Outcome()
        for _, alike in sorted(by_schema.items()):
            one = schema_hash(alike[0])
            outcome.add(self._store_alike(alike, one, f"{name}-{one}"))
        return outcome

    def schema(self, name: str) -> LogSchema:
        """Give the schema of a hash; SpoolError if the spool has none."""
        if name not in self._schemas:
            self._schemas[name] = LogSchema.from_text(self._spool.get_schema(name))
        return self._schemas[name]

    def _store_alike(self, entries: list[Entry], one: str, name: str) -> Outcome:
        try:
            schema = self.schema(one)
        except SpoolError as error:
            return self._dead_letter(entries, str(error))
        tables, outcome = [], Outcome()
        for part in _parts(entries):
            decoded, other = self._decode_or_dead_letter(part, schema)
            tables += decoded
            outcome.add(other)
        if not tables:
            return outcome
        table = pa.concat_tables(tables)
        kept = sampled(table, [column.name for column in schema.join_keys], self._sample_rate)
        if kept.num_rows:
            self._destination.write(kept, schema, name)
        left_out = table.num_rows - kept.num_rows
        outcome.add(Outcome(stored=kept.num_rows, dropped={"sampled": left_out} if left_out else {}))
        return outcome

    def _decode_or_dead_letter(self, entries: Sequence[Entry], schema: LogSchema) -> tuple[list[pa.Table], Outcome]:
        """Decode a batch; where it fails, halve it until the records that do not fit stand alone."""
        try:
            return [decode(entries, schema)], Outcome()
        except UnexpectedValueError as error:
            if len(entries) == 1:
                return [], self._dead_letter(entries, str(error))
        middle = len(entries) // 2
        tables, outcome = self._decode_or_dead_letter(entries[:middle], schema)
        more, other = self._decode_or_dead_letter(entries[middle:], schema)
        outcome.add(other)
        return tables + more, outcome

    def _dead_letter(self, entries: Sequence[Entry], reason: str) -> Outcome:
        self._spool.dead_letters.mkdir(mode=0o700, exist_ok=True)
        for entry in entries:
            stem = self._spool.dead_letters / f"{entry.writer}-{entry.sequence:012d}"
            stem.with_suffix(".record").write_bytes(entry.record.encode())
            about = {"reason": reason, "rows": entry.rows, "writer": entry.writer, "seq": entry.sequence}
            write_atomically(stem.with_suffix(".json"), json.dumps(about))
        return Outcome(dead_lettered=sum(entry.rows for entry in entries))


def schema_hash(entry: Entry) -> str:
    """Give the hash of the schema that a record names."""
    return entry.record.schema.decode(errors="replace")


def _parts(entries: list[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        part.append(entry)
        size += len(entry.record.response)
        if size >= _DECODED_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
