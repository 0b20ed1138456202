# SPDX-License-Identifier: MIT
"""What a patch is, and how the patches of one file are applied to its source, all or none."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst

from .changes import Walk
from .edits import Edit, statements

IMPORT = "from arcface_fair import bridge"


class Patch:
    """A named change of one upstream file; its edits are made in order.

    NAME: under which it is chosen.  FILE: relative to the arcface_torch folder.
    DESCRIPTION: one line, for people.
    """

    NAME: str
    FILE: str
    DESCRIPTION: str

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The edits for this file; ``tree`` is its syntax, where names can be looked up."""
        raise NotImplementedError


@dataclass(frozen=True)
class Missing:
    """An anchor that was not found."""

    file: str
    patch: str
    anchor: str
    by_hand: str


class MissingAnchorError(Exception):
    """Some anchors of a file were not found; nothing was changed."""

    def __init__(self, missing: list[Missing]) -> None:
        super().__init__(f"{len(missing)} anchors missing")
        self.missing = missing


def patched_source(source: bytes, patches: Iterable[Patch]) -> bytes:
    """``source`` with all patches applied; line ends, indentation and encoding are kept.

    An edit whose code a user has already written by hand counts as done. Raises
    MissingAnchorError naming every anchor that is not there, and SyntaxError for a file that is
    no Python.
    """
    tree = ast.parse(source)
    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise SyntaxError(str(error)) from error
    lines = {line.strip() for line in module.code.splitlines()}
    edits = [(patch, edit) for patch in patches for edit in patch.edits(tree)]
    changes = [edit.change(module) for _, edit in edits]
    module = module.visit(Walk(changes))
    missing = [
        Missing(patch.FILE, patch.NAME, edit.anchor, edit.by_hand)
        for (patch, edit), change in zip(edits, changes, strict=True)
        if not change.places
        and edit.required
        and not all(line.strip() in lines for line in edit.by_hand.splitlines())
    ]
    if missing:
        raise MissingAnchorError(missing)
    return _with_import(module).bytes


def _with_import(module: cst.Module) -> cst.Module:
    """Adds the import of the bridge behind the last import at the file's top, if it is used."""
    code = module.code
    if "bridge." not in code or IMPORT in code:
        return module
    last = max(
        (
            place
            for place, statement in enumerate(module.body)
            if isinstance(statement, cst.SimpleStatementLine)
            and isinstance(statement.body[0], cst.Import | cst.ImportFrom)
        ),
        default=-1,
    )
    body = [*module.body[: last + 1], *statements(IMPORT, module), *module.body[last + 1 :]]
    return module.with_changes(body=body)
