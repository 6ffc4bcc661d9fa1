"""Where an object of a repo is written: the file and line of the call, or of the function, that makes it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from skew_ext.linting.model import Place

_MAKERS: Final = {
    "entity": ("Entity",),
    "data source": ("Source",),
    "feature view": ("FeatureView", "feature_view"),
    "stream feature view": ("StreamFeatureView", "stream_feature_view"),
    "label view": ("LabelView",),
    "on-demand feature view": ("OnDemandFeatureView", "on_demand_feature_view"),
    "feature service": ("FeatureService",),
}
"""What the name of the class or function that makes an object ends in."""


class Places:
    """Finds objects in the files of a repo by their names; an object whose name is computed has no place."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)

    def find(self, kind: str, name: str) -> Place | None:
        """Give the place of an object; None if no call in the files names it."""
        endings = _MAKERS[kind]
        fitting = [place for maker, place in self._named.get(name, []) if maker.endswith(endings)]
        every = [place for _, place in self._named.get(name, [])]
        # A helper of one's own may make it, with the name as an argument: better its line than none.
        return next(iter(fitting or every), None)

    @cached_property
    def _named(self) -> dict[str, list[tuple[str, Place]]]:
        found: dict[str, list[tuple[str, Place]]] = {}
        for file in self._files:
            for name, maker, line in _objects(file):
                found.setdefault(name, []).append((maker, Place(file, line)))
        return found


def _objects(file: Path) -> Iterator[tuple[str, str, int]]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for name in _names(node):
                yield name, ast.unparse(node.func).rpartition(".")[2], node.lineno
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                maker = decorator.func if isinstance(decorator, ast.Call) else decorator
                yield node.name, ast.unparse(maker).rpartition(".")[2], node.lineno


def _names(call: ast.Call) -> Iterator[str]:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    for value in (*named, *call.args[:1]):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
