# SPDX-License-Identifier: MIT
"""Finds a statement or call in a syntax tree by a pattern written as Python.

A pattern is source in which ``...`` stands for any expression, and ``f(...)`` for a call of f with
any arguments. Layout, comments, quotes and annotations of variables do not matter. Of compound
statements the header is compared: ``if cfg.resume: ...``, ``for x in y: ...``, ``def f(): ...``.
"""

from __future__ import annotations

import ast
import textwrap

import libcst as cst

_HEADERS: dict[type[ast.AST], tuple[str, ...]] = {
    ast.If: ("test",),
    ast.For: ("target", "iter"),
    ast.FunctionDef: ("name",),
    ast.ClassDef: ("name",),
}
_STATEMENT_KINDS: dict[type[ast.AST], type[cst.CSTNode]] = {
    ast.If: cst.If,
    ast.For: cst.For,
    ast.FunctionDef: cst.FunctionDef,
    ast.ClassDef: cst.ClassDef,
}
_EXPRESSION_KINDS: dict[type[ast.AST], type[cst.CSTNode]] = {
    ast.Call: cst.Call,
    ast.Attribute: cst.Attribute,
    ast.Compare: cst.Comparison,
}


def parse_statement(source: str) -> ast.stmt:
    """The one statement in ``source``; ``x: T = v`` becomes ``x = v``."""
    (statement,) = ast.parse(textwrap.dedent(source)).body
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return ast.Assign(targets=[statement.target], value=statement.value)
    return statement


def parse_expression(source: str) -> ast.expr:
    """The expression in ``source``."""
    return ast.parse(source.strip(), mode="eval").body


def code_of(node: cst.CSTNode) -> str:
    """The source of ``node``."""
    return cst.Module([]).code_for_node(node)


def kind_of(pattern: ast.AST) -> type[cst.CSTNode]:
    """The kind of LibCST node that a pattern can match."""
    kinds = _EXPRESSION_KINDS if isinstance(pattern, ast.expr) else _STATEMENT_KINDS
    return kinds.get(type(pattern), cst.SimpleStatementLine)


def syntax_of(node: cst.CSTNode) -> ast.AST | None:
    """The same piece of source as Python's own syntax tree; None for several on one line."""
    if isinstance(node, cst.SimpleStatementLine):
        return parse_statement(code_of(node)) if len(node.body) == 1 else None
    if isinstance(node, cst.BaseExpression):
        return parse_expression(f"({code_of(node)})")
    return parse_statement(code_of(node))


def matches(pattern: object, found: object) -> bool:
    """Whether ``found`` has the pattern's form."""
    return _same(pattern, found)


def _same(pattern: object, found: object) -> bool:
    if isinstance(pattern, ast.Constant) and pattern.value is Ellipsis:
        return isinstance(found, ast.expr)
    if isinstance(pattern, list):
        return (
            isinstance(found, list)
            and len(pattern) == len(found)
            and all(map(_same, pattern, found))
        )
    if not isinstance(pattern, ast.AST):
        return pattern == found
    if type(pattern) is not type(found):
        return False
    if isinstance(pattern, ast.Call) and _takes_anything(pattern):
        assert isinstance(found, ast.Call)
        return _same(pattern.func, found.func)
    fields = _HEADERS.get(type(pattern)) or [
        name for name in pattern._fields if name not in ("ctx", "kind", "type_comment")
    ]
    return all(_same(getattr(pattern, f, None), getattr(found, f, None)) for f in fields)


def _takes_anything(call: ast.Call) -> bool:
    return (
        len(call.args) == 1
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value is Ellipsis
        and not call.keywords
    )
