# SPDX-License-Identifier: MIT
"""The list of pictures that a run's plugins write: ``figures.json`` in the run's folder.

It is written when training begins, so that reports find the pictures without the plugins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files
from arcface_fair.plugin.parts import Figure, Plugin

FIGURES_FILE = "figures.json"


def list_figures(folder: Path, plugins: Sequence[Plugin]) -> None:
    """Writes the list on rank 0; nothing where no plugin has a figure. All ranks call it.

    Raises UserError on all ranks for a path outside the run's folder, and where the folder cannot
    be written.
    """
    figures = [(plugin.name, figure) for plugin in plugins for figure in plugin.figures]
    if not figures:
        return
    for name, figure in figures:
        path = PurePosixPath(figure.path)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".png":
            raise UserError(
                f"the plugin {name!r} names the figure {figure.path!r}, expected a .png relative "
                f"to the run's folder; write it there, for example as {name}/figure.png"
            )
    rows = [{"plugin": n, "path": f.path, "caption": f.caption} for n, f in figures]
    with dist.failing_together():
        if dist.rank() == 0:
            with atomic_files(folder / FIGURES_FILE) as (file,):
                file.write(json.dumps(rows, indent=1).encode() + b"\n")


def read_figures(folder: Path) -> list[Figure]:
    """The figures of the run in ``folder`` that exist, one per file; empty for a run without any.

    Raises UserError for a list that cannot be read.
    """
    path = folder / FIGURES_FILE
    if not path.is_file():
        return []
    try:
        rows = [(str(row["path"]), str(row["caption"])) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} is no list of figures ({type(error).__name__}), expected what training wrote; "
            "restore or delete the file"
        ) from error
    return [
        Figure(picture.relative_to(folder).as_posix(), caption)
        for pattern, caption in rows
        for picture in sorted(folder.glob(pattern))
    ]
