# SPDX-License-Identifier: MIT
"""The exceptions a user can meet; everything else that is raised is our own mistake."""

from __future__ import annotations

import os
import sys


class UserError(ValueError):
    """Something a user can put right, said in one sentence.

    The sentence has three parts: what was found, what was expected, what to do. The command
    line prints it without a traceback and exits with code 2.
    """

    # Whether another rank of the same run prints the sentence; None: not settled between ranks.
    printed_elsewhere: bool | None = None


def print_sentence(error: UserError) -> None:
    """Prints what ends the process, and leaves it for torchrun, whose last box shows it."""
    if not error.printed_elsewhere:
        sys.stderr.write(f"arcface-fair: {error}\n")
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        try:
            raise UserError(str(error)) from None  # the box shows the traceback of what is raised
        except UserError as short:
            get_error_handler().record_exception(short)
