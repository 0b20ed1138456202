# SPDX-License-Identifier: MIT
"""The kinds of edit a patch is made of: each finds its anchor, changes it, and counts the places."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from .match import expression_matches, parse_expression, parse_statement, statement_matches

_Replaced = cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel


@dataclass(frozen=True)
class Edit:
    """One change at every place that matches ``pattern``.

    anchor: the place in words, for messages.  code: what is written there.
    required: whether a file without the place cannot be patched.
    """

    anchor: str
    pattern: str
    code: str
    required: bool = True

    @property
    def by_hand(self) -> str:
        """What a user can write in the file if the anchor is not found."""
        return self.code or f"remove: {self.pattern}"

    def apply(self, module: cst.Module) -> tuple[cst.Module, int]:
        """The changed module and the number of places."""
        change = self.transformer(module)
        return module.visit(change), change.places

    def transformer(self, module: cst.Module) -> Change:
        """The visitor that makes the change."""
        raise NotImplementedError


class Change(cst.CSTTransformer):
    """Counts the places that were changed."""

    def __init__(self) -> None:
        super().__init__()
        self.places = 0


@dataclass(frozen=True)
class Insert(Edit):
    """Writes statements ``before`` or ``after`` a statement, or first ``inside`` a block."""

    where: str = "before"

    def transformer(self, module: cst.Module) -> Change:
        """Inserts at every matching statement."""
        return _Insert(parse_statement(self.pattern), statements(self.code, module), self.where)


@dataclass(frozen=True)
class ReplaceStatement(Edit):
    """Writes statements in place of a statement; an empty ``code`` removes it."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces every matching statement."""
        return _Replace(parse_statement(self.pattern), statements(self.code, module))


@dataclass(frozen=True)
class ReplaceCall(Edit):
    """Writes another expression in place of a call; ``...`` in it takes the call's arguments."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces every matching call."""
        return _ReplaceCall(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceMethod(Edit):
    """Writes another method call in place of ``.pattern()``; the object stays as it is."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces every call of the method that has no arguments."""
        return _ReplaceMethod(self.pattern, self.code)


@dataclass(frozen=True)
class ReplaceBody(Edit):
    """Writes statements in place of the body of the function named ``pattern``."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces the function's body; decorators and arguments stay."""
        return _ReplaceBody(self.pattern, statements(self.code, module))


@dataclass(frozen=True)
class ReplaceName(Edit):
    """Writes another expression in place of a dotted name, such as ``np.int``."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces every use of the name."""
        return _ReplaceName(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceComparison(Edit):
    """Writes another expression in place of a comparison; what stands around it stays."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces every matching comparison."""
        return _ReplaceComparison(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceIterable(Edit):
    """Writes another expression for what a ``for`` loop runs over."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces the iterable of every matching loop."""
        return _ReplaceIterable(parse_statement(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceKeyword(Edit):
    """Writes another value for a keyword argument; the pattern is ``keyword=value``."""

    def transformer(self, module: cst.Module) -> Change:
        """Replaces the value in every call that has it."""
        name, value = self.pattern.split("=", 1)
        return _ReplaceKeyword(name, parse_expression(value), self.code)


def statements(code: str, module: cst.Module) -> list[cst.BaseStatement]:
    """``code`` as statements in the indentation and line ends of ``module``."""
    parsed = [ast.get_source_segment(code, node) or "" for node in ast.parse(code).body]
    config = module.config_for_parsing
    return [_parsed(text, config) for text in parsed]


def _parsed(text: str, config: cst.PartialParserConfig) -> cst.BaseStatement:
    statement = cst.parse_statement(text, config)
    assert isinstance(statement, cst.BaseStatement)
    return statement


class _Statements(Change):
    """Calls `at` for every statement that matches, innermost first."""

    def __init__(self, pattern: ast.stmt) -> None:
        super().__init__()
        self.pattern = pattern

    def at(self, node: cst.BaseStatement) -> _Replaced:
        raise NotImplementedError

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> _Replaced:  # type: ignore[override]
        updated = super().on_leave(original_node, updated_node)  # type: ignore[type-var]
        if isinstance(original_node, cst.BaseStatement) and statement_matches(
            self.pattern, original_node
        ):
            self.places += 1
            assert isinstance(updated, cst.BaseStatement)
            return self.at(updated)
        return updated  # type: ignore[return-value]


class _Insert(_Statements):
    def __init__(self, pattern: ast.stmt, new: list[cst.BaseStatement], where: str) -> None:
        super().__init__(pattern)
        assert where in ("before", "after", "inside")
        self.new, self.where = new, where

    def at(self, node: cst.BaseStatement) -> _Replaced:
        if self.where == "after":
            return cst.FlattenSentinel([node, *self.new])
        if self.where == "before":
            first, anchor = _move_blank_lines(node, self.new[0])
            return cst.FlattenSentinel([first, *self.new[1:], anchor])
        body = node.body  # type: ignore[attr-defined]
        return node.with_changes(body=body.with_changes(body=[*self.new, *body.body]))


def _move_blank_lines(
    anchor: cst.BaseStatement, new: cst.BaseStatement
) -> tuple[cst.BaseStatement, cst.BaseStatement]:
    """Blank lines above the anchor go above what is inserted; comments stay with the anchor."""
    lines: Sequence[cst.EmptyLine] = anchor.leading_lines  # type: ignore[attr-defined]
    if any(line.comment for line in lines):
        return new, anchor
    return new.with_changes(leading_lines=lines), anchor.with_changes(leading_lines=[])


class _Replace(_Statements):
    def __init__(self, pattern: ast.stmt, new: list[cst.BaseStatement]) -> None:
        super().__init__(pattern)
        self.new = new

    def at(self, node: cst.BaseStatement) -> _Replaced:
        if not self.new:
            return cst.RemoveFromParent()
        first = self.new[0].with_changes(leading_lines=node.leading_lines)  # type: ignore[attr-defined]
        return cst.FlattenSentinel([first, *self.new[1:]])


class _ReplaceIterable(_Statements):
    def __init__(self, pattern: ast.stmt, code: str) -> None:
        super().__init__(pattern)
        self.code = code

    def at(self, node: cst.BaseStatement) -> _Replaced:
        return node.with_changes(iter=cst.parse_expression(self.code))


class _ReplaceCall(Change):
    def __init__(self, pattern: ast.expr, code: str) -> None:
        super().__init__()
        self.pattern, self.code = pattern, code

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if not expression_matches(self.pattern, original_node):
            return updated_node
        self.places += 1
        new = cst.parse_expression(self.code)
        if isinstance(new, cst.Call) and new.args and isinstance(new.args[-1].value, cst.Ellipsis):
            return new.with_changes(
                args=[*new.args[:-1], *updated_node.args],
                whitespace_before_args=(
                    new.whitespace_before_args
                    if len(new.args) > 1
                    else updated_node.whitespace_before_args
                ),
            )
        return new


class _ReplaceMethod(Change):
    def __init__(self, name: str, code: str) -> None:
        super().__init__()
        self.name, self.code = name, code

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        function = updated_node.func
        if (
            not isinstance(function, cst.Attribute)
            or function.attr.value != self.name
            or updated_node.args
        ):
            return updated_node
        self.places += 1
        new = cst.parse_expression(f"x.{self.code}")
        assert isinstance(new, cst.Call)
        assert isinstance(new.func, cst.Attribute)
        return new.with_changes(func=new.func.with_changes(value=function.value))


class _ReplaceBody(Change):
    def __init__(self, name: str, new: list[cst.BaseStatement]) -> None:
        super().__init__()
        self.name, self.new = name, new

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        if original_node.name.value != self.name:
            return updated_node
        self.places += 1
        body = updated_node.body
        assert isinstance(body, cst.IndentedBlock)
        return updated_node.with_changes(body=body.with_changes(body=self.new))


class _ReplaceName(Change):
    def __init__(self, pattern: ast.expr, code: str) -> None:
        super().__init__()
        self.pattern, self.code = pattern, code

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        if not expression_matches(self.pattern, original_node):
            return updated_node
        self.places += 1
        return cst.parse_expression(self.code)


class _ReplaceKeyword(Change):
    def __init__(self, name: str, value: ast.expr, code: str) -> None:
        super().__init__()
        self.name, self.value, self.code = name, value, code

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        keyword = original_node.keyword
        if keyword is None or keyword.value != self.name:
            return updated_node
        if not expression_matches(self.value, original_node.value):
            return updated_node
        self.places += 1
        return updated_node.with_changes(value=cst.parse_expression(self.code))


class _ReplaceComparison(Change):
    def __init__(self, pattern: ast.expr, code: str) -> None:
        super().__init__()
        self.pattern, self.code = pattern, code

    def leave_Comparison(
        self, original_node: cst.Comparison, updated_node: cst.Comparison
    ) -> cst.BaseExpression:
        if not expression_matches(self.pattern, original_node):
            return updated_node
        self.places += 1
        return cst.parse_expression(self.code)
