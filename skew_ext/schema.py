"""What a logged lookup's columns mean: the contract between the process that serves and the one that stores.

It is made once per feature set from Feast's own resolution of the request, kept in the spool as JSON under its hash,
and stands in every row as `__schema`. So the shipper needs no registry, and a row stays readable after the registry
has changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

REQUEST_ID = "__request_id"
LOG_TIMESTAMP = "__log_timestamp"
LOG_DATE = "__log_date"
ROW = "__row"
FEATURE_SERVICE = "__feature_service"
MODEL_NAME = "__model_name"
MODEL_VERSION = "__model_version"
ENVIRONMENT = "__environment"
TRANSFORMS = "__transforms"
SCHEMA = "__schema"
WRITER = "__writer"
SEQUENCE = "__seq"

INFERENCE = "_inference"
PREDICTION = "_prediction"
LABEL = "_label"
"""What `ServingLogger` logs stands under these in place of a feature service's name."""
RESERVED = (INFERENCE, PREDICTION, LABEL)
_RECORD_VIEWS = {INFERENCE: "inference", PREDICTION: "model", LABEL: "model"}

TIMESTAMP_SUFFIX = "__timestamp"
STATUS_SUFFIX = "__status"


@dataclass(frozen=True)
class Column:
    """A join key or a field of request data: its name, and its Feast value type's name (`INT64`, `STRING`...)."""

    name: str
    value_type: str


@dataclass(frozen=True)
class LoggedFeature:
    """One feature of a feature set.

    `view` is the name that the request uses (the alias, where there is one); `response_name` is the feature's name
    in the response; `ttl_microseconds` is None for a view without TTL, and for on-demand views.
    """

    view: str
    name: str
    response_name: str
    value_type: str
    ttl_microseconds: int | None
    on_demand: bool

    @property
    def column(self) -> str:
        """The feature's column in the log."""
        return f"{self.view}__{self.name}"


@dataclass(frozen=True)
class LogSchema:
    """A feature set as it is logged. `feature_service` is empty for a lookup by a list of references.

    `transforms` gives, for each on-demand view made from a shared transform, where that transform is found
    (`module:name`) and the fingerprint that is registered.

    `records`: these are `ServingLogger`'s own, and no lookups of a service that somebody gave one of its names.
    """

    project: str
    feature_service: str
    features: tuple[LoggedFeature, ...]
    join_keys: tuple[Column, ...]
    request_data: tuple[Column, ...]
    transforms: tuple[tuple[str, str, str], ...] = ()
    records: bool = False

    @cached_property
    def text(self) -> str:
        """The schema as canonical JSON."""
        content = asdict(self)
        if self.feature_service not in RESERVED:
            del content["records"]  # it says nothing there, and a schema's hash stays what it was
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of SHA-256 over `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @classmethod
    def from_text(cls, text: str) -> LogSchema:
        """Read a schema back from its JSON."""
        raw = json.loads(text)
        features = tuple(LoggedFeature(**feature) for feature in raw["features"])
        told = raw.get("records")
        views = {feature.view for feature in features}
        return cls(
            project=raw["project"],
            feature_service=raw["feature_service"],
            # Versions before this field was there are known by what they logged.
            records=are_records(raw["feature_service"], views) if told is None else bool(told),
            features=features,
            join_keys=tuple(Column(**column) for column in raw["join_keys"]),
            request_data=tuple(Column(**column) for column in raw["request_data"]),
            transforms=tuple((view, where, fingerprint) for view, where, fingerprint in raw["transforms"]),
        )


def are_records(feature_service: str, views: Collection[str]) -> bool:
    """Say whether rows under this name, with features of these views, look like `ServingLogger`'s own.

    Where it is not written beside them: in a file or a spool of an earlier version, or in rows that are read.
    """
    view = _RECORD_VIEWS.get(feature_service)
    return view is not None and set(views) <= {view}
