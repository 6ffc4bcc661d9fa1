"""The settings, from the pydantic models that read them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skew_ext.settings import MEBIBYTE, SkewSettings
from tests.reference.markdown import page, paragraphs, table

_LIMITS = {"gt": "over", "ge": "at least", "lt": "under", "le": "at most", "min_length": "length at least"}
_LIMITS |= {"max_length": "length at most"}


def settings() -> str:
    """Give docs/reference/settings.md."""
    parts = [part for model, path in _models(SkewSettings, "skew") for part in _section(model, path)]
    return page("Settings", "The `skew:` block of feature_store.yaml. An unknown or wrong setting is an error.", *parts)


def _models(model: type[BaseModel], path: str) -> Iterator[tuple[type[BaseModel], str]]:
    yield model, path
    for name, field in model.model_fields.items():
        found = list(_nested(field.annotation))
        for one in found:
            kind = one.model_fields["type"].default if len(found) > 1 else ""
            yield from _models(one, f"{path}.{name}" + (f" with type: {kind}" if kind else ""))


def _nested(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from _nested(inner)


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    yield f"## {path}"
    yield paragraphs(model.__doc__)
    rows = [
        (f"`{f.alias or name}`", _type(f.annotation), _default(f), _limits(f)) for name, f in model.model_fields.items()
    ]
    yield table(("setting", "type", "default", "limits"), rows)


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        named = [_type(one) for one in inner]
        return " or ".join(dict.fromkeys("none" if one == "NoneType" else one for one in named))
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    plain = {"str": "text", "Path": "path", "bool": "true or false", "int": "whole number", "float": "number"}
    name = str(annotation.__name__)
    return plain.get(name, name)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        kind = getattr(value, "type", "")
        return f"`{{type: {kind}}}`" if kind else "see below"
    if isinstance(value, bool) or value is None:
        return {True: "`true`", False: "`false`", None: "none"}[value]
    if isinstance(value, PurePath):
        return f"`{value.as_posix()}`"
    number, _, unit = _number(value).partition(" ")
    return "empty" if value in ("", ()) else f"`{number}` {unit}".rstrip()


def _limits(field: FieldInfo) -> str:
    said = [(word, getattr(limit, name, None)) for limit in field.metadata for name, word in _LIMITS.items()]
    patterns = [getattr(limit, "pattern", None) for limit in field.metadata]
    limits = [f"{word} {_number(value)}" for word, value in said if value is not None]
    return ", ".join((*limits, *(f"matches `{pattern}`" for pattern in patterns if pattern)))


def _number(value: Any) -> str:
    if isinstance(value, int) and value and value % MEBIBYTE == 0:
        return f"{value} ({value // MEBIBYTE} MiB)"
    return f"{value:g}" if isinstance(value, float) else str(value)
