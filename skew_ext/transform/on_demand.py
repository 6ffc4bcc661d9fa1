"""A shared transform as Feast's on-demand view: the only module of this package that imports Feast to make one."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from feast import FeatureView, Field, OnDemandFeatureView, RequestSource, types
from feast.feature_view_projection import FeatureViewProjection
from feast.transformation.python_transformation import PythonTransformation

from skew_ext.errors import TransformError, nearest
from skew_ext.transform.batches import ArrowColumns
from skew_ext.transform.registered import (
    FINGERPRINT_TAG,
    TRANSFORM_TAG,
    VERSION_TAG,
    registered_manifest,
    registered_text,
)
from skew_ext.transform.types import ColumnType

if TYPE_CHECKING:
    from skew_ext.transform.contract import Contract

__all__ = [
    "FINGERPRINT_TAG",
    "TRANSFORM_TAG",
    "VERSION_TAG",
    "feast_type",
    "importable",
    "on_arrow_columns",
    "on_demand_feature_view",
]

Source = FeatureView | FeatureViewProjection | RequestSource

_OURS: Final = (
    "schema",
    "mode",
    "udf",
    "udf_string",
    "feature_transformation",
    "singleton",
    "input_schema",
    "entities",
)


class SharedTransformation(PythonTransformation):
    """Feast's python mode, with the outputs as declared: Feast would guess them from a sample's values.

    Offline it hands over Arrow columns. Out of the registry the view comes with a plain `PythonTransformation`, which
    gives the same by way of Python lists; `on_arrow_columns` puts this one in its place.
    """

    declared: list[Field]

    def transform_arrow(self, pa_table: pa.Table, features: list[Field]) -> pa.Table:  # noqa: ARG002 - Feast's signature
        """Compute on the columns of a table."""
        return pa.table(self.udf(ArrowColumns(pa_table)))

    def infer_features(self, *_: Any, **__: Any) -> list[Field]:
        """Give the declared outputs."""
        return self.declared

    def __deepcopy__(self, _: Any = None) -> SharedTransformation:
        return self  # nothing in it changes


def on_demand_feature_view(
    contract: Contract, *, name: str, sources: list[Source], feast: Mapping[str, Any]
) -> OnDemandFeatureView:
    """Give the view; `Contract.on_demand_feature_view` says how, and what it raises."""
    for option in _OURS:
        if option in feast:
            raise TransformError(f"{contract.reference}: {option!r} follows from the transform; leave it out")
    fields = [Field(name=output, dtype=feast_type(kind)) for output, kind in contract.output_types.items()]
    transformation = _transformation(contract, _carriers(contract, sources))
    transformation.declared = fields
    return OnDemandFeatureView(
        name=name,
        schema=fields,
        sources=[_narrowed(source, contract) for source in sources],
        feature_transformation=transformation,
        mode="python",
        **{**feast, "tags": {**(feast.get("tags") or {}), **_tags(contract)}},
    )


def _narrowed(source: Source, contract: Contract) -> Source:
    """Give a source with the inputs alone: Feast reads every feature of a source, for each lookup and each row."""
    if isinstance(source, RequestSource):
        return source
    projection = source.projection if isinstance(source, FeatureView) else source
    used = [field for field in projection.features if field.name in contract.input_types]
    if not used or len(used) == len(projection.features):
        return source
    narrowed = copy.copy(projection)
    narrowed.features = used
    return narrowed


def on_arrow_columns(view: OnDemandFeatureView) -> OnDemandFeatureView:
    """Give a registered view whose historical retrieval runs on Arrow columns; another's as it is."""
    plain = view.feature_transformation
    if TRANSFORM_TAG not in view.tags or not isinstance(plain, PythonTransformation):
        return view
    if isinstance(plain, SharedTransformation) or registered_manifest(plain.udf_string) is None:
        return view
    faster = copy.copy(view)
    faster.projection = view.projection
    faster.feature_transformation = _shared(plain.udf, plain.udf_string)
    return faster


def _shared(udf: Any, text: str) -> SharedTransformation:
    transformation = SharedTransformation(udf=udf, udf_string=text)
    assert isinstance(transformation, SharedTransformation)  # noqa: S101 - Feast's __new__ is typed by its base
    return transformation


def importable(contract: Contract) -> bool:
    """Say whether another process finds the function by its name: no lambda, no inner one, none of a notebook."""
    module, _, name = contract.reference.partition(":")
    return name.isidentifier() and module != "__main__" and module in sys.modules


def feast_type(kind: ColumnType) -> types.FeastType:
    """Give Feast's type of a declared one."""
    found: types.FeastType = types.Array(feast_type(kind.element)) if kind.element else getattr(types, kind.name)
    return found


def _tags(contract: Contract) -> dict[str, str]:
    return {
        TRANSFORM_TAG: contract.reference,
        VERSION_TAG: contract.version,
        FINGERPRINT_TAG: contract.manifest.fingerprint,
    }


def _transformation(contract: Contract, names: Mapping[str, str]) -> SharedTransformation:
    if not importable(contract):
        kinds = "a lambda, an inner function and a notebook's run as batch and row only"
        raise TransformError(f"{contract.reference} cannot be imported by name ({kinds}): define it at a module's top")
    text = registered_text(contract.reference, contract.version, contract.manifest, names)
    namespace: dict[str, Any] = {"__name__": "shared_transform"}
    exec(text, namespace)  # noqa: S102 - our own text, run as Feast will run it
    return _shared(namespace["shared_transform"], text)


def _carriers(contract: Contract, sources: list[Source]) -> dict[str, str]:
    """Give, for each input that a feature view gives, the full name that Feast always has it under."""
    given: dict[str, list[tuple[str, Any]]] = {}
    for source in sources:
        for field, carrier in _columns(source):
            given.setdefault(field.name, []).append((carrier, field.dtype))
    carriers: dict[str, str] = {}
    for name, kind in contract.input_types.items():
        found = given.get(name, [])
        if len(found) != 1:
            said = f"in none of its sources{nearest(name, given)}" if not found else "in more than one of its sources"
            raise TransformError(f"{contract.reference}: input {name!r} is {said}")
        carrier, dtype = found[0]
        if str(dtype) != kind.name:
            raise TransformError(f"{contract.reference}: input {name!r} is {kind.name}, but {dtype} in its source")
        if carrier != name:
            carriers[name] = carrier
    return carriers


def _columns(source: Source) -> list[tuple[Field, str]]:
    if isinstance(source, RequestSource):
        return [(field, field.name) for field in source.schema]
    projection = source.projection if isinstance(source, FeatureView) else source
    return [(field, f"{projection.name}__{field.name}") for field in projection.features]
