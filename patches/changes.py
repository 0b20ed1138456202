# SPDX-License-Identifier: MIT
"""One walk over a file's tree that makes all edits, each where its pattern matches.

Every pattern is compared with the file as it was, so edits do not see each other's work.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst as cst

from .match import kind_of, matches, syntax_of


@dataclass
class Place:
    """A node on its way: what shall stand before it, in its stead (None: nothing), and after."""

    node: cst.CSTNode | None
    before: list[cst.BaseStatement] = field(default_factory=list)
    after: list[cst.BaseStatement] = field(default_factory=list)

    def result(self) -> cst.CSTNode | cst.FlattenSentinel | cst.RemovalSentinel:
        """As LibCST wants it."""
        if self.before or self.after:
            middle = [] if self.node is None else [self.node]
            return cst.FlattenSentinel([*self.before, *middle, *self.after])  # type: ignore[list-item]
        return cst.RemoveFromParent() if self.node is None else self.node


class Change:
    """What one edit does at a node. ``places`` counts where it was done."""

    kind: type[cst.CSTNode] = cst.Call

    def __init__(self) -> None:
        self.places = 0

    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        """Whether the edit is to be made at ``node``, given as it was."""
        raise NotImplementedError

    def make(self, place: Place) -> None:
        """Makes the edit."""
        raise NotImplementedError


class AtPattern(Change):
    """A change wherever a pattern matches."""

    def __init__(self, pattern: ast.AST) -> None:
        super().__init__()
        self.pattern = pattern
        self.kind = kind_of(pattern)

    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        """Where the pattern matches."""
        return syntax is not None and matches(self.pattern, syntax)


class Walk(cst.CSTTransformer):
    """Makes all changes in one walk."""

    def __init__(self, changes: Sequence[Change]) -> None:
        super().__init__()
        self.changes = changes
        self._kinds = tuple({change.kind for change in changes})
        self._compared = tuple({c.kind for c in changes if isinstance(c, AtPattern)})

    def on_visit_attribute(self, node: cst.CSTNode, attribute: str) -> None:
        """Nothing; the default looks for a method for every attribute of every node."""

    def on_leave_attribute(self, original_node: cst.CSTNode, attribute: str) -> None:
        """Nothing, for the same reason."""

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Everything is visited."""
        return True

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.FlattenSentinel | cst.RemovalSentinel:
        """Makes the changes that want this node."""
        if not isinstance(original_node, self._kinds):
            return updated_node
        compared = isinstance(original_node, self._compared)
        syntax = syntax_of(original_node) if compared else None
        place = Place(updated_node)
        for change in self.changes:
            if isinstance(original_node, change.kind) and change.wants(original_node, syntax):
                change.places += 1
                change.make(place)
        return place.result()


class InsertAt(AtPattern):
    """Statements before or after the anchor, or first inside its block."""

    def __init__(self, pattern: ast.AST, new: list[cst.BaseStatement], where: str) -> None:
        super().__init__(pattern)
        assert where in ("before", "after", "inside")
        self.new, self.where = new, where

    def make(self, place: Place) -> None:
        """Inserts."""
        node = place.node
        assert node is not None
        if self.where == "after":
            place.after += self.new
        elif self.where == "before":
            first, place.node = _move_blank_lines(node, self.new[0])
            place.before += [first, *self.new[1:]]
        else:
            body = node.body  # type: ignore[attr-defined]
            place.node = node.with_changes(body=body.with_changes(body=[*self.new, *body.body]))


def _move_blank_lines(
    anchor: cst.CSTNode, new: cst.BaseStatement
) -> tuple[cst.BaseStatement, cst.CSTNode]:
    """Blank lines above the anchor go above what is inserted; comments stay with the anchor."""
    lines: Sequence[cst.EmptyLine] = anchor.leading_lines  # type: ignore[attr-defined]
    if any(line.comment for line in lines):
        return new, anchor
    return new.with_changes(leading_lines=lines), anchor.with_changes(leading_lines=[])


class ReplaceAt(AtPattern):
    """Statements in place of the anchor; none removes it."""

    def __init__(self, pattern: ast.AST, new: list[cst.BaseStatement]) -> None:
        super().__init__(pattern)
        self.new = new

    def make(self, place: Place) -> None:
        """Replaces."""
        lines = place.node.leading_lines  # type: ignore[union-attr]
        place.node = None
        if self.new:
            place.before += [self.new[0].with_changes(leading_lines=lines), *self.new[1:]]


class ReplaceExpressionAt(AtPattern):
    """Another expression; a last argument ``...`` of a call takes those that were there."""

    def __init__(self, pattern: ast.AST, code: str) -> None:
        super().__init__(pattern)
        self.code = code

    def make(self, place: Place) -> None:
        """Replaces."""
        old, new = place.node, cst.parse_expression(self.code)
        if (
            isinstance(old, cst.Call)
            and isinstance(new, cst.Call)
            and new.args
            and isinstance(new.args[-1].value, cst.Ellipsis)
        ):
            if len(new.args) == 1:
                new = new.with_changes(whitespace_before_args=old.whitespace_before_args)
            new = new.with_changes(args=[*new.args[:-1], *old.args])
        place.node = new


class ReplaceIterableAt(AtPattern):
    """Another iterable of a ``for`` loop."""

    def __init__(self, pattern: ast.AST, code: str) -> None:
        super().__init__(pattern)
        self.code = code

    def make(self, place: Place) -> None:
        """Replaces."""
        assert place.node is not None
        place.node = place.node.with_changes(iter=cst.parse_expression(self.code))


class ReplaceMethodCall(Change):
    """Another method call on the same object, for calls of ``name`` without arguments."""

    def __init__(self, name: str, code: str) -> None:
        super().__init__()
        self.name, self.code = name, code

    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        """Calls of the method."""
        return (
            isinstance(node, cst.Call)
            and not node.args
            and isinstance(node.func, cst.Attribute)
            and node.func.attr.value == self.name
        )

    def make(self, place: Place) -> None:
        """Replaces all but the object."""
        new = cst.parse_expression(f"x.{self.code}")
        assert isinstance(new, cst.Call)
        assert isinstance(new.func, cst.Attribute)
        value = place.node.func.value  # type: ignore[union-attr]
        place.node = new.with_changes(func=new.func.with_changes(value=value))


class ReplaceFunctionBody(Change):
    """Another body of the function ``name``; decorators and arguments stay."""

    kind = cst.FunctionDef

    def __init__(self, name: str, new: list[cst.BaseStatement]) -> None:
        super().__init__()
        self.name, self.new = name, new

    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        """The function's definition."""
        return isinstance(node, cst.FunctionDef) and node.name.value == self.name

    def make(self, place: Place) -> None:
        """Replaces the body."""
        assert isinstance(place.node, cst.FunctionDef)
        body = place.node.body
        assert isinstance(body, cst.IndentedBlock)
        place.node = place.node.with_changes(body=body.with_changes(body=self.new))


class ReplaceArgument(Change):
    """Another value of a keyword argument."""

    kind = cst.Arg

    def __init__(self, name: str, value: ast.expr, code: str) -> None:
        super().__init__()
        self.name, self.value, self.code = name, value, code

    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        """The keyword with the pattern's value."""
        assert isinstance(node, cst.Arg)
        if node.keyword is None or node.keyword.value != self.name:
            return False
        return matches(self.value, syntax_of(node.value))

    def make(self, place: Place) -> None:
        """Replaces the value."""
        assert place.node is not None
        place.node = place.node.with_changes(value=cst.parse_expression(self.code))
