"""A function's source as it matters: without comments, docstrings, decorators, annotations and layout.

It is given twice: as code for people, and as text of its syntax tree for the fingerprint. Python's own `ast.unparse`
and `ast.dump` write one tree differently from version to version (spaces, quotes, empty fields), so the second is ours:
it names node types and fields, leaves out what is empty or of no effect, and writes every constant in ASCII.
"""

from __future__ import annotations

import ast
import copy
import linecache
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_NO_EFFECT: Final = frozenset({"ctx", "kind", "type_comment", "type_params", "type_ignores"})


class Normalised(NamedTuple):
    """One definition: as code for people, and as the text that is hashed, the same on every Python."""

    code: str
    tree: str


def normalised(function: FunctionType) -> Normalised:
    """Give the normalised source of a function; of its bytecode, where there is no source text (an exec'd string)."""
    code = function.__code__
    definitions = _definitions(_text(code.co_filename, function.__globals__)).get((code.co_name, code.co_firstlineno))
    if not definitions:
        return Normalised(f"<{code.co_name}: no source>", f"bytecode {sys.version_info[:2]} {_bytecode(code)}")
    return _both([_plain(definition) for definition in definitions])


def normalised_module(module: ModuleType) -> Normalised | None:
    """Give the normalised source of a whole module, or None if it has none."""
    text = _text(getattr(module, "__file__", None) or "", vars(module))
    return _both([_Stripper().visit(ast.parse(text))]) if text else None


def _text(filename: str, namespace: dict[str, Any]) -> str:
    # The text as it is now is the text just imported: a transform is fingerprinted as its module is executed.
    linecache.checkcache(filename)
    return "".join(linecache.getlines(filename, namespace))


def _both(nodes: list[ast.AST]) -> Normalised:
    code = "\n".join(ast.unparse(ast.fix_missing_locations(node)) for node in nodes)
    return Normalised(code, "\n".join(_tree(node) for node in nodes))


@lru_cache(maxsize=64)
def _definitions(text: str) -> dict[tuple[str, int], list[_Definition]]:
    # Several lambdas may stand in one line: then they are taken together, which errs on the side of a change.
    found: dict[tuple[str, int], list[_Definition]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.setdefault((node.name, first), []).append(node)
    return found


def _plain(definition: _Definition) -> ast.AST:
    plain: ast.AST = _Stripper().visit(copy.deepcopy(definition))
    return plain


def _tree(part: Any) -> str:
    if isinstance(part, list):
        return f"[{','.join(map(_tree, part))}]"
    if isinstance(part, ast.JoinedStr):
        return f"JoinedStr([{','.join(_pieces(part))}])"
    if isinstance(part, ast.Constant):
        return f"{type(part.value).__name__}:{part.value!a}"
    if not isinstance(part, ast.AST):
        return ascii(part)
    fields = [(name, getattr(part, name, None)) for name in part._fields if name not in _NO_EFFECT]
    written = [f"{name}={_tree(value)}" for name, value in fields if value is not None and value != []]
    return f"{type(part).__name__}({','.join(written)})"


def _pieces(string: ast.JoinedStr) -> Iterator[str]:
    # Python 3.12 puts empty constants into an f-string, and versions differ in how they cut the others.
    for constant, group in groupby(string.values, key=lambda piece: isinstance(piece, ast.Constant)):
        if not constant:
            yield from map(_tree, group)
        elif text := "".join(str(piece.value) for piece in group if isinstance(piece, ast.Constant)):
            yield ascii(text)


class _Stripper(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._strip(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._strip(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(ast.copy_location(plain, node))

    def _strip(self, node: Any) -> ast.AST:
        node.decorator_list = []
        node.returns = None
        return self._without_docstring(node)

    def _without_docstring(self, node: Any) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"
