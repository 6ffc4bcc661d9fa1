"""A user-defined function by its registered text: the names it lacks, the clocks it asks. Nothing of it is run."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from typing import Final

from feast.transformation.udf_rehydrate import _exec_namespace, _strip_leading_decorators

_CLOCKS: Final = frozenset(
    {
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "time.monotonic",
        "time.time",
        "time.time_ns",
        "Timestamp.now",
        "Timestamp.today",
        "Timestamp.utcnow",
    }
)
_DICE: Final = frozenset({"uuid.uuid1", "uuid.uuid4", "random", "secrets"})
_SEEDED: Final = frozenset({"default_rng", "RandomState", "Random", "seed", "Generator"})
_NOW: Final = frozenset({"now", "today"})


def missing_names(text: str, *, annotated: bool) -> list[str]:
    """Give the names that the function uses and will not find when Feast has rebuilt it from its text.

    Feast executes the text with pandas and numpy at hand and nothing else. Where that fails at once, as with a default
    that is an unknown name, it takes the pickled function instead, which brings its globals along: then no name is
    missing. Annotations are not evaluated then; but with `annotated`, as in pandas mode, Feast asks for them later.
    """
    try:
        tree = ast.parse(_strip_leading_decorators(text))
        annotations = _Annotations()
        plain = annotations.visit(tree)
        table = symtable.symtable(ast.unparse(plain), "<registered text>", "exec")
    except SyntaxError:
        return []
    symbols = table.get_symbols()
    known = {*dir(builtins), *_exec_namespace(), *(name.get_name() for name in symbols if name.is_assigned())}
    known |= {name.get_name() for name in symbols if name.is_imported() or name.is_namespace()}
    if any(name.is_referenced() and name.get_name() not in known for name in symbols):
        return []
    used = {*_globals(table), *(annotations.names if annotated else ())}
    return sorted(used - known)


class _Annotations(ast.NodeTransformer):
    """Takes the annotations away, and keeps the names in those of the outermost functions."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
        for owner, name in ((node, "returns"), *((argument, "annotation") for argument in arguments)):
            if self._depth == 0:
                self._keep(getattr(owner, name))
            setattr(owner, name, None)
        self._depth += 1
        plain = self.generic_visit(node)
        self._depth -= 1
        return plain

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        # Annotations of a function's own names are never evaluated.
        value = node.value or ast.Constant(value=None)
        return self.generic_visit(ast.copy_location(ast.Assign(targets=[node.target], value=value), node))

    def _keep(self, annotation: ast.expr | None) -> None:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        if annotation is not None:
            self.names |= {one.id for one in ast.walk(annotation) if isinstance(one, ast.Name)}


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    for child in table.get_children():
        yield from (name.get_name() for name in child.get_symbols() if name.is_global() and name.is_referenced())
        yield from _globals(child)


def unrepeatable_calls(text: str) -> list[str]:
    """Give the calls in the function that ask a clock, or dice without a seed: as they are written, `datetime.now`."""
    try:
        tree = ast.parse(_strip_leading_decorators(text))
    except SyntaxError:
        return []
    found = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _unrepeatable(node)}
    return sorted(found)


def constants(text: str) -> set[str]:
    """Give the texts that are written in the function: the columns that it asks for are among them."""
    try:
        tree = ast.parse(_strip_leading_decorators(text))
    except SyntaxError:
        return set()
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _unrepeatable(call: ast.Call) -> bool:
    parts = ast.unparse(call.func).split(".")
    if not all(part.isidentifier() for part in parts):
        return False  # a method of what another call gave: that one is looked at itself
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    if parts[-1] in ("to_datetime", "Timestamp"):
        return first in _NOW
    if parts[-1] in _SEEDED and (call.args or call.keywords):
        return False
    if ".".join(parts[-2:]) in _CLOCKS | _DICE:
        return True
    return (parts[0] in _DICE and len(parts) > 1) or parts[:2] in (["np", "random"], ["numpy", "random"])
