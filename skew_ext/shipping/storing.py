"""From records to the destination: decoded, sampled, and set aside where they do not fit."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import RefusedError, SpoolError
from skew_ext.log.decode import decode
from skew_ext.log.fitting import by_fitted_schema
from skew_ext.log.sampling import sampled
from skew_ext.log.values import UnexpectedValueError
from skew_ext.schema import LOG_DATE, LogSchema
from skew_ext.shipping.dead_letters import DeadLetters, letter_name
from skew_ext.shipping.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from skew_ext.log.destination import Destination
    from skew_ext.log.table import Entry
    from skew_ext.serving.spool import SpoolDirectory

logger = logging.getLogger("skew_ext.shipping")
_DECODED_AT_ONCE = 8 << 20
"""Bytes of records that are decoded in one go: what that needs beside them grows with it."""
_HOPELESS = 16
"""After so many records that were refused one after another, what is refused as a whole is not taken apart."""


class Storing:
    """Stores records at one destination."""

    def __init__(self, spool: SpoolDirectory, destination: Destination, sample_rate: float) -> None:
        self._spool = spool
        self._destination = destination
        self._sample_rate = sample_rate
        self._letters = DeadLetters(spool.dead_letters)
        self._schemas: dict[str, LogSchema] = {}
        self._refused_in_a_row = 0
        self.dead_lettered: set[str] = set()
        """The names of what the last batch set aside."""

    def store(self, entries: Sequence[Entry], name: str) -> Outcome:
        """Store a batch under `name`, each schema's part by itself; OSError if the destination cannot take it now.

        A part that the destination refuses, while it takes others, is set aside.
        """
        self.dead_lettered = set()
        by_schema: dict[bytes, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_schema[entry.record.schema].append(entry)
        outcome = Outcome()
        for _, alike in sorted(by_schema.items()):
            one = schema_hash(alike[0])
            outcome.add(self._store_alike(alike, one, f"{name}-{one}"))
        return outcome

    def schema(self, name: str) -> LogSchema:
        """Return the schema of a hash; SpoolError if the spool has none, or a damaged one."""
        if name not in self._schemas:
            try:
                self._schemas[name] = LogSchema.from_text(self._spool.get_schema(name))
            except (ValueError, KeyError, TypeError) as error:
                msg = f"schema {name} cannot be read ({error}): its lookups cannot be decoded"
                raise SpoolError(msg) from None
        return self._schemas[name]

    def _store_alike(self, entries: Sequence[Entry], one: str, name: str) -> Outcome:
        try:
            schema = self.schema(one)
        except SpoolError as error:
            return self._dead_letter(entries, str(error))
        self._refused_in_a_row = 0
        try:
            tables = self._decoded(entries, schema)
        except UnexpectedValueError:
            return self._store_fitted(entries, schema, name)
        return self._store_or_halve(entries, tables, schema, name)

    def _store_fitted(self, entries: Sequence[Entry], schema: LogSchema, name: str) -> Outcome:
        """Store records of which some were not served as their schema says: those under a schema that fits."""
        outcome = Outcome()
        for fitted, alike in by_fitted_schema(entries, schema):
            readable, tables, other = self._decoded_or_set_aside(alike, fitted)
            outcome.add(other)
            part = name if fitted == schema else f"{name}-{fitted.hash}"
            outcome.add(self._store_or_halve(readable, tables, fitted, part))
        return outcome

    def _store_or_halve(
        self, entries: Sequence[Entry], tables: list[pa.Table], schema: LogSchema, name: str
    ) -> Outcome:
        """Store a batch; where the destination refuses it, halve it until the records that do not fit stand alone."""
        if not entries:
            return Outcome()
        table = pa.concat_tables(tables)
        kept = sampled(table, [column.name for column in schema.join_keys], self._sample_rate)
        try:
            if kept.num_rows:
                self._destination.write(kept, schema, name)
                self._refused_in_a_row = 0
        except RefusedError as error:
            if error.whole:
                return self._dead_letter(entries, str(error))
            return self._halve(entries, schema, name, str(error))
        left_out = table.num_rows - kept.num_rows
        return Outcome(
            stored=kept.num_rows,
            dropped={"sampled": left_out} if left_out else {},
            days={schema.feature_service: _rows_by_day(kept)} if kept.num_rows else {},
        )

    def _halve(self, entries: Sequence[Entry], schema: LogSchema, name: str, reason: str) -> Outcome:
        if len(entries) == 1 or self._refused_in_a_row >= _HOPELESS:
            self._refused_in_a_row += 1
            return self._dead_letter(entries, reason)
        middle, outcome = len(entries) // 2, Outcome()
        # Names of their own, the same when the batch is sent again: a half that was stored then is known now.
        for number, half in enumerate((entries[:middle], entries[middle:])):
            outcome.add(self._store_or_halve(half, self._decoded(half, schema), schema, f"{name}.{number}"))
        return outcome

    def _decoded(self, entries: Sequence[Entry], schema: LogSchema) -> list[pa.Table]:
        return [decode(part, schema) for part in _parts(entries)]

    def _decoded_or_set_aside(
        self, entries: Sequence[Entry], schema: LogSchema
    ) -> tuple[list[Entry], list[pa.Table], Outcome]:
        """Decode a batch; where it fails, halve it until the records that cannot be read stand alone."""
        try:
            return list(entries), self._decoded(entries, schema), Outcome()
        except UnexpectedValueError as error:
            if len(entries) == 1:
                return [], [], self._dead_letter(entries, str(error))
        middle = len(entries) // 2
        readable, tables, outcome = self._decoded_or_set_aside(entries[:middle], schema)
        more, others, other = self._decoded_or_set_aside(entries[middle:], schema)
        outcome.add(other)
        return readable + more, tables + others, outcome

    def _dead_letter(self, entries: Sequence[Entry], reason: str) -> Outcome:
        logger.warning("%d records are set aside as dead letters: %s", len(entries), reason)
        self.dead_lettered.update(map(letter_name, entries))
        lost = rows_of(self._letters.put(entries, reason))
        return Outcome(dead_lettered=rows_of(entries) - lost, dropped={"dead_letters_full": lost} if lost else {})


def schema_hash(entry: Entry) -> str:
    """Give the hash of the schema that a record names."""
    return entry.record.schema.decode(errors="replace")


def rows_of(entries: Iterable[Entry]) -> int:
    """Give how many entity rows records answer for."""
    return sum(entry.rows for entry in entries)


def _rows_by_day(table: pa.Table) -> dict[str, int]:
    counts = pc.value_counts(table[LOG_DATE])
    return {str(day): int(rows) for day, rows in zip(*(counts.field(n).to_pylist() for n in (0, 1)), strict=True)}


def _parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
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
