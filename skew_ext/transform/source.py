"""A function's source as it matters: without comments, docstrings, decorators, annotations and layout."""

from __future__ import annotations

import ast
import linecache
import sys
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def normalised(function: FunctionType) -> str:
    """Give the normalised source of a function; of its bytecode, where there is no source text (an exec'd string)."""
    code = function.__code__
    # The text as it is now is the text just imported: a transform is fingerprinted as its module is executed.
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    definitions = _definitions(text).get((code.co_name, code.co_firstlineno), []) if text else []
    if not definitions:
        return f"bytecode {sys.version_info[:2]} {_bytecode(code)}"
    return "\n".join(_plain(definition) for definition in definitions)


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


def _plain(definition: _Definition) -> str:
    # A round trip gives a tree of our own to strip.
    tree = ast.parse(ast.unparse(definition))
    return ast.unparse(_Stripper().visit(tree))


class _Stripper(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._strip(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._strip(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(ast.fix_missing_locations(ast.copy_location(plain, node)))

    def _strip(self, node: Any) -> ast.AST:
        node.decorator_list = []
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"
