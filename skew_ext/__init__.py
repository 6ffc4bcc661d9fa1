"""Make training and serving use the same features, and prove it: an extension of Feast.

The public names load on first use: a module of shared transforms that imports only `feature_transform`
must not pay for Feast, and must not depend on it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skew_ext.auditor import SkewAuditor
    from skew_ext.errors import SkewError
    from skew_ext.leakage import check_leakage
    from skew_ext.linting import lint
    from skew_ext.log.reading import read_log
    from skew_ext.serving.context import request_context
    from skew_ext.serving.logger import ServingLogger
    from skew_ext.serving.provider import SkewProvider
    from skew_ext.serving.store import LoggedFeatureStore
    from skew_ext.training import training_set_from_log
    from skew_ext.transform import feature_transform

__version__ = "0.1.0"

_HOMES = {
    "LoggedFeatureStore": "skew_ext.serving.store",
    "ServingLogger": "skew_ext.serving.logger",
    "SkewAuditor": "skew_ext.auditor",
    "SkewError": "skew_ext.errors",
    "SkewProvider": "skew_ext.serving.provider",
    "check_leakage": "skew_ext.leakage",
    "feature_transform": "skew_ext.transform",
    "lint": "skew_ext.linting",
    "read_log": "skew_ext.log.reading",
    "request_context": "skew_ext.serving.context",
    "training_set_from_log": "skew_ext.training",
}

__all__ = [
    "LoggedFeatureStore",
    "ServingLogger",
    "SkewAuditor",
    "SkewError",
    "SkewProvider",
    "__version__",
    "check_leakage",
    "feature_transform",
    "lint",
    "read_log",
    "request_context",
    "training_set_from_log",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'skew_ext' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
