# SPDX-License-Identifier: MIT
"""The kinds of edit that a patch is made of: an anchor, a pattern, and what is written there."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import libcst as cst

from .changes import (
    Change,
    InsertAt,
    ReplaceArgument,
    ReplaceAt,
    ReplaceExpressionAt,
    ReplaceFunctionBody,
    ReplaceIterableAt,
    ReplaceMethodCall,
)
from .match import parse_expression, parse_statement


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

    def change(self, module: cst.Module) -> Change:
        """What makes the change while a tree is walked."""
        raise NotImplementedError


@dataclass(frozen=True)
class Insert(Edit):
    """Writes statements ``before`` or ``after`` a statement, or first ``inside`` a block."""

    where: str = "before"

    def change(self, module: cst.Module) -> Change:
        """Inserts at every matching statement."""
        return InsertAt(parse_statement(self.pattern), statements(self.code, module), self.where)


@dataclass(frozen=True)
class ReplaceStatement(Edit):
    """Writes statements in place of a statement; an empty ``code`` removes it."""

    def change(self, module: cst.Module) -> Change:
        """Replaces every matching statement."""
        return ReplaceAt(parse_statement(self.pattern), statements(self.code, module))


@dataclass(frozen=True)
class ReplaceCall(Edit):
    """Writes another expression in place of a call; ``...`` in it takes the call's arguments."""

    def change(self, module: cst.Module) -> Change:
        """Replaces every matching call."""
        return ReplaceExpressionAt(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceMethod(Edit):
    """Writes another method call in place of ``.pattern()``; the object stays as it is."""

    def change(self, module: cst.Module) -> Change:
        """Replaces every call of the method that has no arguments."""
        return ReplaceMethodCall(self.pattern, self.code)


@dataclass(frozen=True)
class ReplaceBody(Edit):
    """Writes statements in place of the body of the function named ``pattern``."""

    def change(self, module: cst.Module) -> Change:
        """Replaces the function's body; decorators and arguments stay."""
        return ReplaceFunctionBody(self.pattern, statements(self.code, module))


@dataclass(frozen=True)
class ReplaceName(Edit):
    """Writes another expression in place of a dotted name, such as ``np.int``."""

    def change(self, module: cst.Module) -> Change:
        """Replaces every use of the name."""
        return ReplaceExpressionAt(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceComparison(Edit):
    """Writes another expression in place of a comparison; what stands around it stays."""

    def change(self, module: cst.Module) -> Change:
        """Replaces every matching comparison."""
        return ReplaceExpressionAt(parse_expression(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceIterable(Edit):
    """Writes another expression for what a ``for`` loop runs over."""

    def change(self, module: cst.Module) -> Change:
        """Replaces the iterable of every matching loop."""
        return ReplaceIterableAt(parse_statement(self.pattern), self.code)


@dataclass(frozen=True)
class ReplaceKeyword(Edit):
    """Writes another value for a keyword argument; the pattern is ``keyword=value``."""

    def change(self, module: cst.Module) -> Change:
        """Replaces the value in every call that has it."""
        name, value = self.pattern.split("=", 1)
        return ReplaceArgument(name, parse_expression(value), self.code)


def statements(code: str, module: cst.Module) -> list[cst.BaseStatement]:
    """``code`` as statements in the indentation and line ends of ``module``."""
    parsed = [ast.get_source_segment(code, node) or "" for node in ast.parse(code).body]
    config = module.config_for_parsing
    return [_parsed(text, config) for text in parsed]


def _parsed(text: str, config: cst.PartialParserConfig) -> cst.BaseStatement:
    statement = cst.parse_statement(text, config)
    assert isinstance(statement, cst.BaseStatement)
    return statement
