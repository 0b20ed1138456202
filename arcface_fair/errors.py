# SPDX-License-Identifier: MIT
"""The exception a user can meet, and how a process ends; all else that is raised is our mistake."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


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


def leave(code: int) -> NoReturn:
    """Ends the process with ``code``; a rank of several skips Python's finalisation.

    DistributedDataParallel keeps the threads of gloo's group alive beyond destroy_process_group,
    and one that asks for the interpreter during finalisation aborts the process: SIGABRT, after a
    run that ended well too (seen in about 1 of 150 runs on a busy machine).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
