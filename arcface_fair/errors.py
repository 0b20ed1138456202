# SPDX-License-Identifier: MIT
"""The exceptions a user can meet; everything else that is raised is our own mistake."""

from __future__ import annotations


class UserError(ValueError):
    """Something a user can put right, said in one sentence.

    The sentence has three parts: what was found, what was expected, what to do. The command
    line prints it without a traceback and exits with code 2.
    """
