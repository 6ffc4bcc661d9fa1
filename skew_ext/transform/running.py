"""One run of a transform: read the declared inputs, call the function, check what it returns.

It runs once per lookup, where every microsecond is the caller's: what can be known beforehand is, and the usual case
(plain lists or arrays, no null, outputs as declared) comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext.errors import TransformError, nearest
from skew_ext.transform.reading import read_column
from skew_ext.transform.scalars import quick_reader
from skew_ext.transform.types import Array, Column, ColumnType
from skew_ext.transform.writing import check_output, scatter


class Runner:
    """Runs a function on columns of its declared types; `fitted` is what it takes besides."""

    def __init__(
        self,
        function: Callable[..., Any],
        reference: str,
        inputs: Mapping[str, ColumnType],
        outputs: Mapping[str, ColumnType],
        fitted: Mapping[str, Any],
    ) -> None:
        self._function = function
        self._reference = reference
        self._inputs = [(name, kind, f"{reference}: {name!r}") for name, kind in inputs.items()]
        self._outputs = [(name, kind, f"{reference}: output {name!r}") for name, kind in outputs.items()]
        self._output_names = outputs.keys()
        self._fitted = fitted
        self._quick = [(name, quick_reader(kind)) for name, kind in inputs.items()]

    def read(self, column: Callable[[str], Any], given: Callable[[], Iterable[str]]) -> dict[str, Column]:
        """Read each input.

        Parameters
        ----------
        column
            Gives a column by name; KeyError if there is none.
        given
            Gives the names that there are, for the error.

        Raises
        ------
        TransformError
            A column is missing, does not fit its declared type, or differs from the others in length.
        """
        columns: dict[str, Column] = {}
        for name, kind, where in self._inputs:
            try:
                values = column(name)
            except KeyError:
                hint = nearest(name, map(str, given()))
                raise TransformError(f"{self._reference}: column {name!r} is missing{hint}") from None
            columns[name] = read_column(values, kind, where)
        return columns

    def of_lists(self, columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Column] | None:
        """Read and compute what a lookup most often is: a list for each input, without what needs a second look.

        `names` is what `Contract.on_demand` takes. None says that `read` and `compute` have to look, or to complain.
        """
        arrays: dict[str, Array] = {}
        rows = -1
        for name, quick in self._quick:
            values = columns.get(names.get(name, name))
            if type(values) is not list or (len(values) != rows and arrays):
                return None
            array = quick(values)
            if array is None:
                return None
            array.setflags(write=False)
            arrays[name] = array
            rows = len(values)
        return self._call(arrays, rows)

    def compute(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Run the function on columns of the declared types, and check what it returns.

        Raises
        ------
        TransformError
            The inputs differ in length, the function fails, or its outputs are not as declared.
        """
        rows = self._rows(columns)
        masks = [column.null for column in columns.values() if column.null is not None]
        if not masks:
            return self._call({name: _read_only(column.data) for name, column in columns.items()}, rows)
        return self._without(np.asarray(np.any(masks, axis=0)), columns, rows)

    def _without(self, absent: npt.NDArray[np.bool_], columns: Mapping[str, Column], rows: int) -> dict[str, Column]:
        """Run on the rows in which no input is null that has no null of its own; the others are null."""
        there = ~absent
        present = {name: _read_only(np.ascontiguousarray(column.data[there])) for name, column in columns.items()}
        outputs = self._call(present, rows - int(absent.sum()))
        return {name: scatter(outputs[name], kind, absent) for name, kind, _ in self._outputs}

    def _rows(self, columns: Mapping[str, Column]) -> int:
        lengths = [len(column.data) for column in columns.values()]
        if lengths.count(lengths[0]) != len(lengths):
            told = dict(zip(columns, lengths, strict=True))
            raise TransformError(f"{self._reference}: the inputs differ in length: {told}")
        return lengths[0]

    def _call(self, arrays: dict[str, Array], rows: int) -> dict[str, Column]:
        try:
            # At the edges of arithmetic the result is IEEE 754's; a warning at serving would tell nobody anything.
            with np.errstate(all="ignore"):
                returned = self._function(**arrays, **self._fitted)
        except TransformError:
            raise
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise TransformError(f"{self._reference} failed: {type(error).__name__}: {why}") from error
        return self._checked(returned, rows)

    def _checked(self, returned: Any, rows: int) -> dict[str, Column]:
        if isinstance(returned, np.ndarray) and len(self._outputs) == 1:
            returned = {self._outputs[0][0]: returned}
        if not isinstance(returned, Mapping) or returned.keys() != self._output_names:
            got = sorted(map(str, returned)) if isinstance(returned, Mapping) else type(returned).__name__
            raise TransformError(f"{self._reference} returned {got}, not the outputs {sorted(self._output_names)}")
        return {name: check_output(returned[name], kind, rows, where) for name, kind, where in self._outputs}


def _read_only(array: Array) -> Array:
    # A view of our own: the function cannot change its inputs, and the caller's array stays as it was.
    view: Array = array.view()
    view.setflags(write=False)
    return view
