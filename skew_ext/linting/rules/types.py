"""Types: what a view declares, what its source holds, and where the two sides of Feast part over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from skew_ext.linting.functions import constants
from skew_ext.linting.model import Column, Hit, LintedRepo, OnDemandView, View
from skew_ext.linting.rule import Example, rule

EXACT_INTEGERS: Final = 2**53
"""Up to here a double holds every whole number."""
_INTEGERS: Final = {"INT32": 32, "INT64": 64}

_STATS = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="{name}", dtype={dtype})], source=source,
)
"""
_HALF = """
@on_demand_feature_view(sources=[stats], schema=[Field(name="half", dtype=Float64)])
def halves(inputs):
    return pd.DataFrame({"half": inputs["rating"] / 2})
"""


def _stats(name: str, dtype: str, **columns: str) -> Example:
    return Example(_STATS.format(name=name, dtype=dtype), columns=dict(columns))


def _stored(repo: LintedRepo) -> Iterator[tuple[View, Column, pa.DataType]]:
    """Give each feature that comes as it is from a source whose Parquet is here, with the source's type."""
    for view in repo.views:
        if view.function is not None or view.derived or view.source is None or view.source.columns is None:
            continue
        for feature in view.features:
            kind = view.source.columns.type_of(view.source.stored(feature.name))
            if kind is not None:
                yield view, feature, kind


@rule(
    "SKW013",
    "float32",
    "warn",
    reason="""Only serving uses the declared type. A double in the source that is declared Float32 is served rounded
    to float32 and trained on as a double: 0.1 is served as 0.10000000149011612. And a pandas-mode on-demand view
    computes with a Float32 input in float32 for training and in float64 at serving, so its outputs differ.""",
    remedy="declare the feature Float64, and write float64 in the source",
    bad=_stats("rating", "Float32"),
    good=_stats("rating", "Float64"),
)
def float32(repo: LintedRepo) -> Iterator[Hit]:
    """A feature is declared Float32 where that makes serving differ from training."""
    for view, feature, kind in _stored(repo):
        if feature.type == "FLOAT" and pa.types.is_float64(kind):
            message = "is a double in the source and declared Float32: served rounded, trained on as it is"
            yield Hit(view.subject, message, feature.name, feature.tags)
    for computed in repo.on_demand:
        for name in _float32_inputs(repo, computed):
            message = f"computes with the Float32 input {name!r} in float32 for training and float64 at serving"
            yield Hit(computed.subject, message)


def _float32_inputs(repo: LintedRepo, computed: OnDemandView) -> Iterator[str]:
    """Give the Float32 inputs that a pandas-mode function asks for by name, and that no source holds as doubles."""
    if computed.mode != "pandas" or computed.function is None:
        return
    written = constants(computed.function.text)
    doubles = {(view.name, feature.name) for view, feature, kind in _stored(repo) if pa.types.is_float64(kind)}
    for one in computed.inputs:
        for column in one.columns:
            if column.type == "FLOAT" and column.name in written and (one.view, column.name) not in doubles:
                yield column.name


@rule(
    "SKW014",
    "type-differs-from-source",
    "warn",
    reason="""Training gets a feature in the source's type, serving in the declared one. Where the declared type holds
    less (a double as Int64 loses its fraction, a timestamp as UnixTimestamp its fraction of a second, an int64 as
    Int32 is out of range) or is of another kind (a number as String), the two sides get different values. A float32
    declared Float64 cannot be materialized at all.""",
    remedy="declare the type that the source holds, or write the source in the declared type",
    bad=_stats("trips", "String"),
    good=_stats("trips", "Int64"),
)
def type_differs_from_source(repo: LintedRepo) -> Iterator[Hit]:
    """A feature's declared type cannot hold what the source holds, or is of another kind."""
    for view, feature, kind in _stored(repo):
        harm = _harm(feature.type, kind)
        if harm:
            message = f"is {kind} in the source and declared {feature.type}: {harm}"
            yield Hit(view.subject, message, feature.name, feature.tags)


def _harm(declared: str, kind: pa.DataType) -> str:
    """Say what comes of declaring a type over a source's; empty where both sides get equal values."""
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if declared in _INTEGERS and pa.types.is_floating(kind):
        return "served without its fraction"
    if declared in _INTEGERS and pa.types.is_integer(kind) and kind.bit_width > _INTEGERS[declared]:
        return "a value out of range cannot be materialized"
    if declared == "UNIX_TIMESTAMP" and pa.types.is_timestamp(kind) and kind.unit != "s":
        return "served in whole seconds, trained on with the fraction"
    if declared == "DOUBLE" and pa.types.is_float32(kind):
        return "cannot be materialized: Feast refuses a float32 as Float64"
    if (declared == "STRING" and number) or (declared in (*_INTEGERS, "DOUBLE", "FLOAT") and text):
        return "one side gets a number and the other a text"
    return ""


@rule(
    "SKW015",
    "integer-with-nulls",
    "fail",
    reason="""At materialize, a column of whole numbers with nulls in it goes through float64, which holds them
    exactly only up to 2**53: larger ones are served with other digits (9007199254740993 as 9007199254740992), and
    those next to 2**63 stop the job. Identifiers and hashes are such numbers. The source's footers say that it has
    both.""",
    remedy="fill the nulls in the source, or keep the identifier as a String",
    bad=Example(_STATS.format(name="trips", dtype="Int64"), rows={"trips": [2**53 + 1, None]}),
    good=Example(_STATS.format(name="trips", dtype="Int64"), rows={"trips": [7, None]}),
)
def integer_with_nulls(repo: LintedRepo) -> Iterator[Hit]:
    """A whole-number feature has nulls and values beyond what a float64 holds exactly."""
    for view, feature, kind in _stored(repo):
        if not pa.types.is_integer(kind) or feature.type not in _INTEGERS or view.source is None:
            continue
        columns = view.source.columns
        known = None if columns is None else columns.range_of(view.source.stored(feature.name))
        if known is None or known.nulls == 0 or known.greatest is None:
            continue
        if max(abs(known.least), abs(known.greatest)) > EXACT_INTEGERS:
            message = f"has {known.nulls:,} nulls and values beyond 2**53: they lose digits on their way to serving"
            yield Hit(view.subject, message, feature.name, feature.tags)


_TWO_VIEWS = """
rider = Entity(name="rider", join_keys=["driver"]{declared})
stats = FeatureView(
    name="stats", entities=[rider], ttl=timedelta(hours=3),
    schema=[Field(name="driver", dtype={one}), Field(name="rating", dtype=Float64)],
    source=source,
)
more = FeatureView(
    name="more", entities=[rider], ttl=timedelta(hours=3),
    schema=[Field(name="driver", dtype={other}), Field(name="trips", dtype=Int64)],
    source=source,
)
"""


@rule(
    "SKW016",
    "join-key-types-differ",
    "fail",
    reason="""An online store finds a row by the bytes of its key, and an int32 7 has other bytes than an int64 7.
    Where an entity has no value type, each view takes the key's type from its own schema or source; a lookup over
    views that differ is made with one of the types, and the others are served null, while training gets their values.
    Where a source holds the key as text and Feast as a number, or the other way, keys as they are served cannot be
    joined to the source in training.""",
    remedy="give the entity a value_type, and hold the key in that type in every source",
    bad=Example(_TWO_VIEWS.format(declared="", one="Int64", other="Int32")),
    good=Example(_TWO_VIEWS.format(declared=", value_type=ValueType.INT64", one="Int64", other="Int64")),
)
def join_key_types_differ(repo: LintedRepo) -> Iterator[Hit]:
    """Views of one entity hold its join key in different types, or a source holds it as text and Feast as a number."""
    for entity in repo.entities:
        found: dict[str, list[str]] = {}
        for view in (view for view in repo.feature_views if entity.subject.name in view.entities):
            kind, stored = _key_type(view, entity.join_key, entity.type), _stored_key_type(view, entity.join_key)
            if kind is not None:
                found.setdefault(kind, []).append(view.name)
            if kind and stored and (kind == "STRING") != (stored == "STRING"):
                said = f"join key {entity.join_key!r} is {kind}, and {stored} in the source"
                yield Hit(view.subject, f"{said}: keys that are served cannot be joined in training")
        if len(found) > 1:
            said = ", ".join(f"{kind} in {' and '.join(views)}" for kind, views in sorted(found.items()))
            yield Hit(entity.subject, f"join key {entity.join_key!r} is {said}: one of them is served null")


_KEY_TYPES: Final = {"int32": "INT32", "int64": "INT64", "string": "STRING", "large_string": "STRING", "bytes": "BYTES"}


def _key_type(view: View, key: str, declared: str) -> str | None:
    """Give the type in which a view writes its key: the schema's, the entity's, the source's; None where unknown."""
    stated = next((column.type for column in view.keys if column.name == key), None)
    return stated or (declared if declared != "UNKNOWN" else _stored_key_type(view, key))


def _stored_key_type(view: View, key: str) -> str | None:
    if view.source is None or view.source.columns is None:
        return None
    return _KEY_TYPES.get(str(view.source.columns.type_of(view.source.stored(key))))


@rule(
    "SKW017",
    "entity-type-missing",
    "info",
    reason="""Without a value type, Feast takes an entity's type from each view's source when it is applied, so a
    source that is rewritten in another type changes the bytes under which rows are stored and looked up. Feast itself
    says that a value type will be mandatory.""",
    remedy="give the entity its value_type, such as ValueType.INT64",
    bad=Example('rider = Entity(name="rider", join_keys=["driver"])\n'),
    good=Example('rider = Entity(name="rider", join_keys=["driver"], value_type=ValueType.INT64)\n'),
)
def entity_type_missing(repo: LintedRepo) -> Iterator[Hit]:
    """An entity has no value type."""
    for entity in repo.entities:
        if entity.type == "UNKNOWN":
            yield Hit(entity.subject, f"has no value_type: the type of {entity.join_key!r} is guessed from each source")
