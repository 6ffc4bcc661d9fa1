"""A Feast repo as lint sees it: plain data, whether it was read from Python files or from a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from skew_ext.linting.columns import Columns, read_columns

SETTINGS: Final = "settings"
"""The kind of what stands in feature_store.yaml."""
Origin = Literal["files", "registry"]


@dataclass(frozen=True)
class Place:
    """Where something is written: a file, and the line in it, from 1."""

    path: Path
    line: int


@dataclass(frozen=True)
class Subject:
    """What a finding is about: an object of the repo by its `kind` ("feature view") and name."""

    kind: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None


@dataclass(frozen=True)
class Column:
    """A feature, join key or field of request data; `type` is the name of Feast's value type, such as `DOUBLE`."""

    name: str
    type: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entity:
    """An entity; `type` is `UNKNOWN` where none is declared."""

    subject: Subject
    join_key: str
    type: str


@dataclass(frozen=True)
class Source:
    """A data source. `path` is that of a file source, and `file` the same as it can be opened here, if it can.

    `mapping` gives the source's column name for a name that features use.
    """

    subject: Subject
    variety: str
    timestamp_field: str
    created_column: str
    mapping: Mapping[str, str]
    path: str = ""
    file: Path | None = None

    @cached_property
    def columns(self) -> Columns | None:
        """The columns of the source's Parquet, from its footer alone; None where it cannot be had here."""
        return None if self.file is None else read_columns(self.file)

    def stored(self, name: str) -> str:
        """Give the source's own name for what features call `name`."""
        return self.mapping.get(name, name)


@dataclass(frozen=True)
class Function:
    """A user-defined function by its registered text. It is read and never run."""

    name: str
    text: str
    mode: str


@dataclass(frozen=True)
class View:
    """A feature view that is stored: `variety` is "feature view", "stream feature view" or "label view".

    `ttl` is None where values never expire. `source` is the batch source.
    """

    subject: Subject
    variety: str
    entities: tuple[str, ...]
    keys: tuple[Column, ...]
    features: tuple[Column, ...]
    ttl: timedelta | None
    source: Source | None
    online: bool
    function: Function | None
    derived: bool = False

    @property
    def name(self) -> str:
        """The view's name."""
        return self.subject.name


@dataclass(frozen=True)
class Input:
    """What an on-demand view takes from a stored view."""

    view: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class OnDemandView:
    """A view whose features are computed when they are asked for."""

    subject: Subject
    features: tuple[Column, ...]
    inputs: tuple[Input, ...]
    mode: str
    singleton: bool
    aggregations: tuple[str, ...]
    function: Function | None

    @property
    def name(self) -> str:
        """The view's name."""
        return self.subject.name


@dataclass(frozen=True)
class Projection:
    """One view of a service, with the features that are taken of it; `alias` is the name in responses."""

    view: str
    alias: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A feature service; `sample_rate` is None where it has no logging_config."""

    subject: Subject
    projections: tuple[Projection, ...]
    sample_rate: float | None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.subject.name


@dataclass(frozen=True)
class Settings:
    """feature_store.yaml, as it is written: nothing of it is imported, so no store need be installed.

    `offline` and `online` are Feast's names of the stores (`duckdb`); of a class of one's own, that of the store it is.
    """

    path: Path
    project: str
    provider: str
    offline: str
    online: str
    online_options: Mapping[str, Any]
    skew: Any

    @property
    def subject(self) -> Subject:
        """The settings as what a finding is about."""
        return Subject(SETTINGS, self.path.name, place=Place(self.path, 1))

    def line(self, key: str) -> Subject:
        """Give the settings as the subject of a finding on the line of `key`; line 1 where the key is not there."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        number = next((at for at, text in enumerate(lines, 1) if text.strip().startswith(f"{key}:")), 1)
        return replace(self.subject, place=Place(self.path, number))


@dataclass(frozen=True)
class LintedRepo:
    """All that the rules look at."""

    settings: Settings
    origin: Origin
    project: Subject
    entities: tuple[Entity, ...]
    sources: tuple[Source, ...]
    views: tuple[View, ...]
    on_demand: tuple[OnDemandView, ...]
    services: tuple[Service, ...]

    @cached_property
    def feature_views(self) -> tuple[View, ...]:
        """The stored views that are served: all but label views."""
        return tuple(view for view in self.views if view.variety != "label view")

    @cached_property
    def batch_sources(self) -> dict[str, Source]:
        """The sources that stored views read their rows from, label views' too, by name."""
        return {view.source.subject.name: view.source for view in self.views if view.source is not None}

    def entity(self, name: str) -> Entity | None:
        """Give an entity by name."""
        return next((entity for entity in self.entities if entity.subject.name == name), None)

    def view(self, name: str) -> View | None:
        """Give a stored view by name."""
        return next((view for view in self.views if view.name == name), None)

    def subjects(self) -> Iterator[Subject]:
        """Give everything that a finding can be about and that has tags."""
        yield self.project
        for group in (self.entities, self.sources, self.views, self.on_demand, self.services):
            yield from (item.subject for item in group)


@dataclass(frozen=True)
class Hit:
    """What a rule found: the object, what is wrong there, and the feature if it is one."""

    subject: Subject
    message: str
    feature: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """The feature's own tags, which may ignore the rule too."""


Check = Callable[[LintedRepo], Iterator[Hit]]
