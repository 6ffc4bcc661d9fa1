"""Faults of single values: the right row, and a job that writes some of its columns otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skew_ext.testing.fault import Fault
from skew_ext.testing.row_faults import COIN
from skew_ext.testing.truth import alike, differ

if TYPE_CHECKING:
    from skew_ext.testing.views import Row

Change = Callable[[Any], Any]
"""What becomes of one value."""
EXACT_IN_FLOAT = 2**53
SAMPLE = 200
WIDE = 50
"""How large numbers must get for a job to keep whole ones alone."""
FACTORS = (1.609344, 0.001, 100.0, -1.0, 0.45359237)
WHOLE_FACTORS = (10, 60, 1000, -1)


class ValueFault(Fault):
    """The base of the faults in which the job changes values; `changes` says of which features, and how.

    In every third view the job does so only from the second round on, as after a deployment.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.since = min(self.pick((0, 0, 1)), self.times.rounds - 1)
        # What a feature is like is read off values that are drawn as its rows will be.
        self.sample = {
            name: [feature.draw(self.random) for _ in range(SAMPLE)] for name, feature in self.view.features.items()
        }
        self.changes = self.chosen()

    def chosen(self) -> dict[str, Change]:
        """Give the features that are changed, and how."""
        return {}

    def fits(self) -> bool:
        """Only where there is a feature that can be changed so, and keys enough to tell a constant by."""
        return bool(self.changes) and bool(self.view.keys)

    def cause_of(self, feature: str, changed: frozenset[str], served: Collection[str]) -> str:
        """Only the features that are changed."""
        del served
        return self.cause if feature in changed else ""

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write the row that should be, changed."""
        row = super().written(rows, tick)
        return row if row is None or tick < self.since else self.applied(row, rows)

    def applied(self, row: Row, rows: Sequence[Row]) -> Row:
        """Give one of a key's rows as the job writes it."""
        del rows
        values = self.changed(row.values)
        return replace(row, values=values, changed=frozenset(differ(values, row.values)))

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give a row's values as the job writes them."""
        return {name: self.changes[name](value) if name in self.changes else value for name, value in values.items()}

    def of_type(self, kind: pa.DataType) -> list[str]:
        """Give the features whose source column has an Arrow type."""
        return [name for name, feature in self.view.features.items() if feature.arrow_type == kind]

    def has_nulls(self, feature: str) -> bool:
        """Tell whether a feature is null now and then."""
        return any(value is None for value in self.sample[feature])

    def varies(self, feature: str) -> bool:
        """Tell whether a feature has more than a few values."""
        return len({repr(value) for value in self.sample[feature]}) > SAMPLE // 2

    def largest(self, feature: str) -> float:
        """Give the largest magnitude of a feature's numbers."""
        return float(max(abs(value) for value in self.sample[feature] if value is not None))

    def pick(self, options: Sequence[Any]) -> Any:
        """Draw one of the options."""
        return options[int(self.random.integers(len(options)))]


def _or_null(change: Change) -> Change:
    return lambda value: None if value is None else change(value)


class Precision(ValueFault):
    """The job computes in a narrower type: float32, or whole numbers; whole numbers in float64."""

    cause = "precision"

    def chosen(self) -> dict[str, Change]:
        """Choose each float column, and whole numbers too large for float64."""
        narrowings: list[Change] = [lambda value: float(np.float32(value)), lambda value: float(math.trunc(value))]
        narrowings.append(lambda value: float(round(value)))
        floats = [name for name in self.of_type(pa.float64()) if self.varies(name)]
        chosen = {
            name: _or_null(self.pick(narrowings if self.largest(name) > WIDE else narrowings[:1])) for name in floats
        }
        large = [name for name in self.of_type(pa.int64()) if self.largest(name) > EXACT_IN_FLOAT]
        return chosen | {name: _or_null(lambda value: int(float(value))) for name in large}


class TypeCoercion(ValueFault):
    """The job takes a column through another type: text with digits through float, whole numbers through bool."""

    cause = "type_coercion"

    def chosen(self) -> dict[str, Change]:
        """Choose columns of digits, and of whole numbers over 1."""
        texts = [
            name for name in self.of_type(pa.string()) if all((value or "").isdigit() for value in self.sample[name])
        ]
        through_float = self.random.random() < COIN
        chosen: dict[str, Change] = {
            name: _or_null(lambda value: str(float(value)) if through_float else str(int(value))) for name in texts
        }
        wholes = [name for name in self.of_type(pa.int64()) if min(value or 0 for value in self.sample[name]) > 1]
        return chosen | {
            name: _or_null(lambda value: int(bool(value))) for name in wholes if self.largest(name) < EXACT_IN_FLOAT
        }


class DefaultFilled(ValueFault):
    """The job writes a default where there is no value, or no value for what it takes for a default."""

    cause = "default_filled"

    def chosen(self) -> dict[str, Change]:
        """Choose columns with nulls, and columns of text of which one value stands for none."""
        chosen: dict[str, Change] = {}
        for name, feature in self.view.features.items():
            if self.has_nulls(name):
                defaults = _defaults(feature.arrow_type)
                chosen |= {name: self._filled(defaults)} if defaults else {}
            elif "none" in self.sample[name]:
                chosen[name] = lambda value: None if value == "none" else value
        return chosen

    def _filled(self, defaults: Sequence[Any]) -> Change:
        default = self.pick(defaults)
        return lambda value: default if value is None else value


def _defaults(kind: pa.DataType) -> Sequence[Any]:
    """Give what jobs write where a column of this type has no value; nothing for types of which nobody does."""
    if pa.types.is_string(kind):
        return ("unknown",)
    if pa.types.is_boolean(kind):
        return (False,)
    if pa.types.is_integer(kind):
        return (0, -1)
    return (0.0, -1.0, 0.731) if pa.types.is_floating(kind) else ()


class Rescaled(ValueFault):
    """The job writes another unit."""

    cause = "rescaled"

    def chosen(self) -> dict[str, Change]:
        """Choose numbers and vectors that vary."""
        factor, whole = self.pick(FACTORS), self.pick(WHOLE_FACTORS)
        floats = [name for name in self.of_type(pa.float64()) if self.varies(name)]
        wholes = [
            name for name in self.of_type(pa.int64()) if self.varies(name) and self.largest(name) < EXACT_IN_FLOAT
        ]
        vectors = self.of_type(pa.list_(pa.float32()))
        chosen: dict[str, Change] = {name: _or_null(lambda value: value * factor) for name in floats}
        chosen |= {name: _or_null(lambda value: value * whole) for name in wholes}
        return chosen | {name: _or_null(lambda value: [each * factor for each in value]) for name in vectors}


class SwappedFeature(ValueFault):
    """The job exchanges two columns of one type."""

    cause = "swapped_feature"

    def chosen(self) -> dict[str, Change]:
        """Choose a pair of columns, of each type that has one, whose values vary."""
        self._pairs: list[tuple[str, str]] = []
        for kind in (pa.float64(), pa.int64(), pa.string()):
            able = [name for name in self.of_type(kind) if self.varies(name)]
            if len(able) > 1:
                self._pairs.append(self.pick(list(combinations(able, 2))))
        return {name: lambda value: value for pair in self._pairs for name in pair}

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Exchange the columns."""
        other = self._other()
        return {name: values[other.get(name, name)] for name in values}

    def cause_of(self, feature: str, changed: frozenset[str], served: Collection[str]) -> str:
        """Only where both columns were asked for: nothing tells of one that was not."""
        cause = super().cause_of(feature, changed, served)
        return cause if not cause or self._other()[feature] in served else "unexplained"

    def _other(self) -> dict[str, str]:
        return dict(self._pairs) | {second: first for first, second in self._pairs}


class Unexplained(ValueFault):
    """The job writes whatever."""

    cause = "unexplained"

    def chosen(self) -> dict[str, Change]:
        """Choose all features."""
        return dict.fromkeys(self.view.features, lambda value: value)

    def applied(self, row: Row, rows: Sequence[Row]) -> Row:
        """Write what no row of the event has: of an event that was corrected there are two."""
        row = super().applied(row, rows)
        same = [other.values for other in rows if other.event == row.event]
        known = {name for name in row.changed if any(alike(row.values[name], values[name]) for values in same)}
        right = {name: same[-1][name] for name in known}
        return replace(row, values=row.values | right, changed=row.changed - known)

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write the values of no row."""
        del values
        return self.drawn()


VALUE_FAULTS: tuple[type[ValueFault], ...] = (
    Precision,
    TypeCoercion,
    DefaultFilled,
    Rescaled,
    SwappedFeature,
    Unexplained,
)
