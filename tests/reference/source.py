"""Calls in the package's source, with the function that they stand in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

PACKAGE: Final = Path(__file__).resolve().parents[2] / "skew_ext"


class Site(NamedTuple):
    """A call: what is called, by its last name; in which module; the first line of the docstring it stands under.

    `around` is what it stands in, from the module inwards: where a name that it is given may be made.
    """

    name: str
    call: ast.Call
    module: str
    docstring: str
    around: tuple[ast.AST, ...]


@cache
def calls() -> tuple[Site, ...]:
    """Give every call in the package, file by file."""
    return tuple(site for file in sorted(PACKAGE.rglob("*.py")) for site in _of_file(file))


def _of_file(file: Path) -> Iterator[Site]:
    module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from _within(tree, module, _summary(tree), (tree,))


def _within(node: ast.AST, module: str, docstring: str, around: tuple[ast.AST, ...]) -> Iterator[Site]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield Site(ast.unparse(child.func).rpartition(".")[2], child, module, docstring, around)
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            yield from _within(child, module, _summary(child) or docstring, (*around, child))
        else:
            yield from _within(child, module, docstring, around)


def _summary(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def written(node: ast.expr | None, site: Site) -> list[str]:
    """Give the texts that an expression can be, as it stands or as its name is assigned in the function around."""
    if not isinstance(node, ast.Name):
        return texts(node)
    inside = (one for one in ast.walk(site.around[-1]) if isinstance(one, (ast.Assign, ast.AnnAssign)))
    made = [one.value for one in inside if node.id in _targets(one)]
    return list(dict.fromkeys(text for one in made for text in texts(one)))


def _targets(assignment: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target]
    return [ast.unparse(target) for target in targets]


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """Give a call's argument by its name, or by its place where that is not negative."""
    named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return named if named is not None else call.args[place] if 0 <= place < len(call.args) else None


def texts(node: ast.expr | None) -> list[str]:
    """Give the texts that an expression can be: a constant, the arms of a condition, what a table can give."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Dict):
        looked_up = [*node.func.value.values, *node.args[1:]]
        return [text for one in looked_up for text in texts(one)]
    return []
