"""Faults of the serving process: the code that computes on-demand features there."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from skew_ext.testing import transforms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

EDIT = ("WEIGHT = 0.25", "WEIGHT = 0.35")


class LookupFault:
    """The base: `serving` is how the process is while it serves."""

    cause: ClassVar[str]

    @staticmethod
    def serving() -> AbstractContextManager[None]:
        """Serve inside the block with the fault."""
        raise NotImplementedError


class TransformVersion(LookupFault):
    """The serving process has an edited copy of the shared transform."""

    cause = "transform_version"

    @staticmethod
    @contextmanager
    def serving() -> Iterator[None]:
        """Put the edited module in the place of the registered one."""
        name = transforms.__name__
        registered = sys.modules[name]
        sys.modules[name] = _edited(name)
        try:
            yield
        finally:
            sys.modules[name] = registered


class TransformDivergence(LookupFault):
    """The registered transform depends on more than its inputs."""

    cause = "transform_divergence"

    @staticmethod
    @contextmanager
    def serving() -> Iterator[None]:
        """Set the hidden input."""
        os.environ[transforms.HIDDEN] = "0.5"
        try:
            yield
        finally:
            del os.environ[transforms.HIDDEN]


@cache
def _edited(name: str) -> ModuleType:
    original = Path(str(transforms.__file__))
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None  # noqa: S101 - it is made of a name alone
    module = importlib.util.module_from_spec(spec)
    text = original.read_text(encoding="utf-8").replace(*EDIT)
    exec(compile(text, str(original), "exec"), module.__dict__)  # noqa: S102 - our own text
    return module


LOOKUP_FAULTS: tuple[type[LookupFault], ...] = (TransformVersion, TransformDivergence)
