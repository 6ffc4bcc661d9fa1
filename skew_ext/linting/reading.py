"""Feast's objects, as the messages that a registry holds, read into lint's own plain data.

Lint works on these messages, whether they come from a registry or were made of the objects in Python files: a
user-defined function is then a text, and reading it runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from feast.feature_view import DUMMY_ENTITY_NAME
from feast.protos.feast.types.Value_pb2 import ValueType

from skew_ext.linting.model import (
    Column,
    Entity,
    Function,
    Input,
    LintedRepo,
    OnDemandView,
    Origin,
    Place,
    Projection,
    Service,
    Settings,
    Source,
    Subject,
    View,
)


@dataclass
class Messages:
    """The messages of one project's objects, by Feast's names of their kinds; `tags` are the project's own."""

    KINDS: ClassVar = (
        "entities",
        "data_sources",
        "feature_views",
        "stream_feature_views",
        "label_views",
        "on_demand_feature_views",
        "feature_services",
    )
    by_kind: Mapping[str, list[Any]]
    tags: Mapping[str, str] = field(default_factory=dict)
    places: Callable[[str, str], Place | None] = lambda _kind, _name: None


def read_repo(messages: Messages, settings: Settings, origin: Origin) -> LintedRepo:
    """Give the repo that the messages describe."""
    of, reader = messages.by_kind, _Reader(messages.places, settings.path.parent)
    varieties = (
        ("feature view", of["feature_views"]),
        ("stream feature view", of["stream_feature_views"]),
        ("label view", of["label_views"]),
    )
    return LintedRepo(
        settings=settings,
        origin=origin,
        project=Subject("project", settings.project, dict(messages.tags), Place(settings.path, 1)),
        entities=tuple(map(reader.entity, (e for e in of["entities"] if e.spec.name != DUMMY_ENTITY_NAME))),
        sources=tuple(map(reader.source, of["data_sources"])),
        views=tuple(reader.view(variety, view) for variety, views in varieties for view in views),
        on_demand=tuple(map(reader.on_demand, of["on_demand_feature_views"])),
        services=tuple(map(reader.service, of["feature_services"])),
    )


class _Reader:
    def __init__(self, places: Callable[[str, str], Place | None], root: Path) -> None:
        self._places = places
        self._root = root

    def _subject(self, kind: str, spec: Any) -> Subject:
        return Subject(kind, spec.name, dict(spec.tags), self._places(kind, spec.name))

    def entity(self, message: Any) -> Entity:
        spec = message.spec
        kind = ValueType.Enum.Name(spec.value_type).replace("INVALID", "UNKNOWN")
        return Entity(self._subject("entity", spec), spec.join_key or spec.name, kind)

    def source(self, message: Any) -> Source:
        options = message.WhichOneof("options") or ""
        path = message.file_options.uri if options == "file_options" else ""
        return Source(
            subject=self._subject("data source", message),
            variety=options.removesuffix("_options"),
            timestamp_field=message.timestamp_field,
            created_column=message.created_timestamp_column,
            mapping={ours: theirs for theirs, ours in message.field_mapping.items()},
            path=path,
            file=self._file(message) if path else None,
        )

    def _file(self, message: Any) -> Path | None:
        uri = message.file_options.uri.removeprefix("file://")
        kind = message.file_options.file_format.WhichOneof("format")
        return None if "://" in uri or kind not in (None, "parquet_format") else self._root / uri

    def view(self, variety: str, message: Any) -> View:
        spec = message.spec
        subject = self._subject(variety, spec)
        seconds = timedelta(seconds=spec.ttl.seconds, microseconds=spec.ttl.nanos // 1000)
        return View(
            subject=subject,
            variety=variety,
            entities=tuple(name for name in spec.entities if name != DUMMY_ENTITY_NAME),
            keys=tuple(map(_column, spec.entity_columns)),
            features=tuple(map(_column, spec.features)),
            ttl=seconds or None,
            source=_placed(self._batch_source(variety, spec), subject),
            online=spec.online,
            function=None if variety == "label view" else _function(spec),
            derived=bool(variety == "feature view" and spec.source_views),
        )

    def _batch_source(self, variety: str, spec: Any) -> Source | None:
        if variety != "label view":
            return self.source(spec.batch_source) if spec.HasField("batch_source") else None
        if not spec.HasField("source"):
            return None
        nested = spec.source.HasField("batch_source")
        return self.source(spec.source.batch_source if nested else spec.source)

    def on_demand(self, message: Any) -> OnDemandView:
        spec = message.spec
        projections = [
            s.feature_view_projection for s in spec.sources.values() if s.HasField("feature_view_projection")
        ]
        whole = [source.feature_view.spec for source in spec.sources.values() if source.HasField("feature_view")]
        return OnDemandView(
            subject=self._subject("on-demand feature view", spec),
            features=tuple(map(_column, spec.features)),
            inputs=(
                *(Input(view.feature_view_name, tuple(map(_column, view.feature_columns))) for view in projections),
                *(Input(view.name, tuple(map(_column, view.features))) for view in whole),
            ),
            mode=spec.mode or "pandas",
            singleton=spec.singleton,
            aggregations=tuple(f"{one.function}({one.column})" for one in spec.aggregations),
            function=_function(spec),
        )

    def service(self, message: Any) -> Service:
        spec = message.spec
        projections = tuple(
            Projection(
                view=view.feature_view_name,
                alias=view.feature_view_name_alias or view.feature_view_name,
                features=tuple(column.name for column in view.feature_columns),
            )
            for view in spec.features
        )
        rate = spec.logging_config.sample_rate if spec.HasField("logging_config") else None
        return Service(self._subject("feature service", spec), projections, rate)


def _placed(source: Source | None, view: Subject) -> Source | None:
    """Give a source whose place is not found, as one without a name, the place of the view that reads it."""
    if source is None or source.subject.place is not None:
        return source
    return replace(source, subject=replace(source.subject, place=view.place))


def _column(message: Any) -> Column:
    return Column(message.name, ValueType.Enum.Name(message.value_type), dict(message.tags))


def _function(spec: Any) -> Function | None:
    transformation = spec.feature_transformation if spec.HasField("feature_transformation") else None
    if transformation is not None and transformation.HasField("user_defined_function"):
        function = transformation.user_defined_function
        return Function(function.name, function.body_text, spec.mode or function.mode)
    fields = spec.DESCRIPTOR.fields_by_name
    if "user_defined_function" in fields and spec.HasField("user_defined_function"):
        return Function(spec.user_defined_function.name, spec.user_defined_function.body_text, spec.mode)
    return None
