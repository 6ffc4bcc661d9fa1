"""`@feature_transform`: one pure function, run the same in pipelines, in training and at serving."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, cast

from skew_ext.errors import TransformError, nearest
from skew_ext.transform import batches
from skew_ext.transform.batches import ArrowColumns
from skew_ext.transform.fingerprint import Manifest, manifest_of
from skew_ext.transform.parameters import Parameters, parameters_of
from skew_ext.transform.running import Runner
from skew_ext.transform.types import Column, ColumnType, column_type
from skew_ext.transform.writing import to_arrow, to_list, to_python

if TYPE_CHECKING:
    from feast import FeatureView, OnDemandFeatureView, RequestSource
    from feast.feature_view_projection import FeatureViewProjection

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Batch = TypeVar("Batch")
_PARAMETERS: Final = "parameters"


class FeatureTransform(Protocol[P, R_co]):
    """A function with its contract attached: what `@feature_transform` gives back.

    Called as a function it is the function, on numpy arrays of the declared dtypes. `inputs` and `outputs` give each
    column's declared type by name, `parameters` what it was fitted with, and `manifest` what its `fingerprint` is
    taken over.
    """

    __name__: str
    __qualname__: str
    __module__: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    version: str
    parameters: Parameters | None
    manifest: Manifest
    fingerprint: str
    reference: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Compute on numpy arrays, as the function is written."""
        ...

    def on_batch(self, batch: Batch) -> Batch:
        """Compute on a pandas DataFrame, a pyarrow Table or a mapping of columns; give the outputs as the same."""
        ...

    def on_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Compute on one row of Python values; None is null."""
        ...

    def on_demand(self, columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """Compute on the columns that Feast's python mode hands over; registered sources call this."""
        ...

    def on_demand_feature_view(
        self, *, name: str, sources: list[FeatureView | FeatureViewProjection | RequestSource], **feast: Any
    ) -> OnDemandFeatureView:
        """Give Feast's on-demand view of this transform."""
        ...


class Contract:
    """A function, its declared columns, and the ways to run it."""

    def __init__(
        self,
        function: FunctionType,
        inputs: Mapping[str, object],
        outputs: Mapping[str, object],
        version: str = "1",
        parameters: object = None,
    ) -> None:
        self.function = function
        self.reference = f"{function.__module__}:{function.__qualname__}"
        self.version = version
        self.parameters = None if parameters is None else self._parameters(parameters)
        self.input_types = self._types(inputs, "inputs")
        self.output_types = self._types(outputs, "outputs")
        self._check_signature()
        self.manifest = manifest_of(function, self.describe())
        fitted = {} if self.parameters is None else {_PARAMETERS: self.parameters}
        self._runner = Runner(function, self.reference, self.input_types, self.output_types, fitted)

    def _types(self, declared: Mapping[str, object], side: str) -> dict[str, ColumnType]:
        if not declared:
            raise TransformError(f"{self.reference}: {side} must map at least one column name to its type")
        return {name: column_type(kind, f"{self.reference} {name}") for name, kind in declared.items()}

    def _parameters(self, declared: object) -> Parameters:
        try:
            return parameters_of(declared, self.function)
        except TransformError as error:
            raise TransformError(f"{self.reference}: {error}") from None

    def _check_signature(self) -> None:
        parameters = dict(inspect.signature(self.function).parameters)
        self._check_parameters(parameters)
        for name, parameter in parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TransformError(f"{self.reference} takes {parameter}; name each input instead")
            if name not in self.input_types and parameter.default is parameter.empty:
                hint = nearest(name, self.input_types)
                raise TransformError(f"{self.reference} takes {name!r}, which inputs does not declare{hint}")
        for name in self.input_types:
            if name not in parameters:
                hint = nearest(name, parameters)
                raise TransformError(f"{self.reference} declares input {name!r} but does not take it{hint}")

    def _check_parameters(self, taken: dict[str, inspect.Parameter]) -> None:
        parameter = taken.pop(_PARAMETERS, None) if _PARAMETERS not in self.input_types else None
        if self.parameters is not None and parameter is None:
            raise TransformError(f"{self.reference} is fitted: it must take an argument named 'parameters'")
        if self.parameters is None and parameter is not None and parameter.default is parameter.empty:
            raise TransformError(f"{self.reference} takes 'parameters': name their file, parameters=\"....json\"")

    def describe(self) -> dict[str, Any]:
        """Give the declared side of the contract, for the fingerprint."""
        fitted = {} if self.parameters is None else {_PARAMETERS: self.parameters.hash}
        return {
            "inputs": {name: kind.name for name, kind in self.input_types.items()},
            "outputs": {name: kind.name for name, kind in self.output_types.items()},
            "version": self.version,
            **fitted,
        }

    def on_batch(self, batch: Batch) -> Batch:
        """Compute on a whole batch, and give the outputs in a container of the same kind.

        Parameters
        ----------
        batch
            A pandas DataFrame, a pyarrow Table, or a mapping of column names to sequences; columns that are not
            inputs are ignored.

        Returns
        -------
        The output columns alone, row for row: a DataFrame with the same index, a Table of the declared types, or a
        dict of numpy arrays (masked where the declared type has no null of its own).

        Raises
        ------
        TransformError
            A column is missing or does not fit its declared type, or the function breaks its contract.
        """
        columns = self._runner.read(partial(batches.column, batch), partial(batches.column_names, batch))
        return batches.like(batch, self._runner.compute(columns), self.output_types)

    def on_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Compute on one row of Python values, None for null; see `on_batch` for the errors."""
        outputs = self._runner.compute(self._runner.read(lambda name: [row[name]], row.keys))
        return {name: to_python(column, self.output_types[name])[0] for name, column in outputs.items()}

    def on_demand(self, columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """Compute on Feast's columns; `names` gives, for an input, the column that carries it where that is longer.

        Of `ArrowColumns` the outputs are Arrow arrays, else lists.
        """
        outputs = self._runner.of_lists(columns, names)
        if outputs is None:
            outputs = self._runner.compute(self._runner.read(partial(_carried, columns, names), columns.keys))
        made: Callable[[Column, ColumnType], Any] = to_arrow if isinstance(columns, ArrowColumns) else to_list
        return {name: made(column, self.output_types[name]) for name, column in outputs.items()}

    def on_demand_feature_view(
        self, *, name: str, sources: list[FeatureView | FeatureViewProjection | RequestSource], **feast: Any
    ) -> OnDemandFeatureView:
        """Give Feast's on-demand view of this transform.

        Its registered source imports the function, and carries the fingerprint, so that `feast apply` sees an edit of
        the function or of anything that it uses.

        Parameters
        ----------
        name
            The view's name.
        sources
            Feature views, their projections, and request sources, which together give each input once.
        **feast
            Further arguments of `feast.OnDemandFeatureView`: description, tags, owner...

        Raises
        ------
        TransformError
            An input is in no source, in two, or of another type there; or the function cannot be imported by name.
        """
        from skew_ext.transform.on_demand import on_demand_feature_view  # noqa: PLC0415 - the only door to Feast

        return on_demand_feature_view(self, name=name, sources=sources, feast=feast)


def _carried(columns: Mapping[str, Any], names: Mapping[str, str], name: str) -> Any:
    carrier = names.get(name, name)
    return columns[carrier if carrier in columns else name]


def feature_transform(
    *,
    inputs: Mapping[str, object],
    outputs: Mapping[str, object],
    version: str = "1",
    parameters: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R_co]], FeatureTransform[P, R_co]]:
    """Declare a function a shared transform.

    The function takes one numpy array for each input, by name, and returns a dict with one array for each output (or
    the array alone, where there is one output). It is column-wise: an output's row depends on the inputs' same row and
    nothing else. What it uses must be defined above it, so that its fingerprint can be taken as it is declared.

    Parameters
    ----------
    inputs, outputs
        Each column's type: a Feast type (`feast.types.Float64`) or its name ("Float64"). `skew_ext.transform.types`
        says which types there are, and how null reaches the function in each.
    version
        The transform's version, for people: a part of the fingerprint.
    parameters
        What was fitted: the name of a JSON file beside the function's module, or `Parameters` (of
        `skew_ext.transform`). The function takes them as an argument named `parameters`, a mapping that nothing can
        change. They are read once, as the module is imported, and their hash is a part of the fingerprint: a file
        that changed since `feast apply` shows in `feast plan`, and is a mismatch at serving and in training that says
        so. `Parameters.load(path, sha256=...)` makes it an error as the module is imported.

    Returns
    -------
    A decorator that gives back the same function, with the members of `FeatureTransform` attached.

    Raises
    ------
    TransformError
        The declaration does not fit the function, or something that it uses cannot be fingerprinted.

    Examples
    --------
    >>> @feature_transform(inputs={"miles": "Float64"}, outputs={"kilometres": "Float64"})
    ... def kilometres(miles):
    ...     return miles * 1.609344
    >>> kilometres.on_row({"miles": 100.0})
    {'kilometres': 160.9344}
    >>> kilometres.on_batch({"miles": [1.0, None]})
    {'kilometres': array([1.609344,      nan])}

    With fitted parameters, and with the time, which is an input like any other:

    >>> import numpy as np
    >>> @feature_transform(
    ...     inputs={"spend": "Float64", "last_order": "UnixTimestamp", "as_of": "UnixTimestamp"},
    ...     outputs={"spend_scaled": "Float64", "days_since_order": "Float64"},
    ...     parameters=Parameters({"mean": 40.0, "sd": 20.0}),  # or "spend.json"
    ... )
    ... def customer(spend, last_order, as_of, parameters):
    ...     return {
    ...         "spend_scaled": (spend - parameters["mean"]) / parameters["sd"],
    ...         "days_since_order": (as_of - last_order) / np.timedelta64(86_400, "s"),
    ...     }
    >>> customer.on_row({"spend": 50.0, "last_order": 0, "as_of": 43_200})
    {'spend_scaled': 0.5, 'days_since_order': 0.5}
    """

    def declare(function: Callable[P, R_co]) -> FeatureTransform[P, R_co]:
        if not isinstance(function, FunctionType):
            raise TransformError(f"feature_transform takes a function, not {type(function).__name__}")
        contract = Contract(function, inputs, outputs, version, parameters)
        _attach(function, contract)
        return cast("FeatureTransform[P, R_co]", function)

    return declare


def _attach(function: Any, contract: Contract) -> None:
    declared = contract.describe()
    function.inputs = MappingProxyType(declared["inputs"])
    function.outputs = MappingProxyType(declared["outputs"])
    function.version = contract.version
    function.parameters = contract.parameters
    function.reference = contract.reference
    function.contract = contract
    function.manifest = contract.manifest
    function.fingerprint = contract.manifest.fingerprint
    function.on_batch = contract.on_batch
    function.on_row = contract.on_row
    function.on_demand = contract.on_demand
    function.on_demand_feature_view = contract.on_demand_feature_view
