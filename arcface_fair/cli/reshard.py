# SPDX-License-Identifier: MIT
"""``arcface-fair reshard RUN --to N``: a run's checkpoint for another number of processes."""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_fair.errors import UserError

HELP = "reshard a run's checkpoint for another number of processes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Resuming reshards by itself; the command is for moving and merging checkpoints."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder with checkpoint_gpu_*")
    parser.add_argument(
        "--to", type=int, required=True, metavar="N", help="processes; 1 merges into a single file"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write there and leave RUN as it is"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the new parts, then moves the former ones aside."""
    from arcface_fair.run.checkpoint import read_parts

    if not args.run_folder.is_dir():
        raise UserError(
            f"{args.run_folder} is no folder; give that of a run, with checkpoint_gpu_*"
        )
    states = read_parts(args.run_folder)
    out = args.out or args.run_folder
    written = write_recut(states, args.to, out)
    first = states[0]
    print(
        f"checkpoint of {len(states)} processes, epoch {first['epoch']}, step "
        f"{first['global_step']}, resharded for {args.to}:"
    )
    print("\n".join(f"  {path}" for path in written))
    if len(states) > 1:
        print("BatchNorm statistics and the random state are those of rank 0")
    kept = out / kept_name(len(states))
    if kept.is_dir():
        print(f"the former parts lie in {kept}")


def kept_name(world_size: int) -> str:
    """The sub-folder for parts that were resharded."""
    return f"checkpoint_of_{world_size}"


def write_recut(states: list[dict], world_size: int, out: Path) -> list[Path]:
    """All parts or none. What lay in `out` under their names moves into a sub-folder."""
    import os
    import tempfile

    from arcface_fair.run.checkpoint import checkpoint_path, write_atomically
    from arcface_fair.run.reshard import check_parts, check_world_size, cut

    check_parts(states)
    check_world_size(states, world_size)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".reshard-") as folder:
            drafts = [checkpoint_path(Path(folder), rank) for rank in range(world_size)]
            for rank, draft in enumerate(drafts):
                write_atomically(cut(states, rank, world_size), draft)
            for former in sorted(out.glob("checkpoint_gpu_*.pt")):
                kept = out / kept_name(len(states))
                kept.mkdir(exist_ok=True)
                os.replace(former, kept / former.name)
            for draft in drafts:
                os.replace(draft, out / draft.name)
    except OSError as error:
        raise UserError(
            f"{out} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room with --out"
        ) from error
    return [out / draft.name for draft in drafts]
