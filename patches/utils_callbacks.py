# SPDX-License-Identifier: MIT
"""Patch of utils/utils_callbacks.py: a verification set that is not there is an error."""

from __future__ import annotations

import ast

from .edits import Edit, Insert, ReplaceComparison
from .patch import Patch


class MissingBinIsAnError(Patch):
    """A name in val_targets without a .bin beside the record was passed over in silence."""

    NAME = "bins"
    FILE = "utils/utils_callbacks.py"
    DESCRIPTION = "a .bin that val_targets names and that is not there ends the run at its start"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The place where sets are looked for, and two comparisons that Python warns about."""
        return [
            Insert("the line `if os.path.exists(path):`", "if os.path.exists(path): pass",
                   "bridge.require_bin(path)"),
            ReplaceComparison("the comparison `self.rank is 0`", "self.rank is 0",
                              "self.rank == 0", required=False),
        ]  # fmt: skip
