# SPDX-License-Identifier: MIT
"""Verification during training: every ``.bin`` set by all ranks, a table, curves, the best model.

P pairs of a set.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from arcface_fair import dist
from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.errors import UserError
from arcface_fair.evaluation.groups import FairnessTable, group_table
from arcface_fair.evaluation.metrics import METRICS
from arcface_fair.evaluation.verification import squared_distances
from arcface_fair.files import write_whole
from arcface_fair.run.checkpoint import write_atomically
from arcface_fair.run.embed import embed_bin, rank0_statistics


class Log(Protocol):
    """What of `logs.RunLog` is needed."""

    def show(self, text: str) -> None:
        """One line, shown and kept."""

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One value of a curve."""


class Verification:
    """The table over every ``.bin`` named in ``val_targets``, one group each.

    Every rank embeds its share of each set's pairs, all with rank 0's BatchNorm statistics, so
    that the figures are those of the ``model.pt`` that rank 0 writes.
    """

    def __init__(self, folder: Path, names: tuple[str, ...], device: torch.device) -> None:
        self.names = names
        self.device = device
        paths = {name: folder / f"{name}.bin" for name in names}
        missing = [str(path) for path in paths.values() if not path.is_file()]
        if missing:
            raise UserError(
                f"config.val_targets names {missing[0]}, which does not exist; "
                "put the .bin beside the record or take its name out of val_targets"
            )
        self._same: dict[str, NDArray[np.bool_]] = {}
        self._images: dict[str, NDArray[np.uint8]] = {}
        for name, path in paths.items():
            images, self._same[name] = load_bin(path)
            own = _share(len(self._same[name]))
            self._images[name] = decode_bin(images[2 * own.start : 2 * own.stop], str(path))

    def __call__(self, backbone: nn.Module, batch_size: int = 64) -> FairnessTable:
        """The table, the same on all ranks; call it on all of them.

        Raises UserError on all ranks if the embeddings of one are not finite.
        """
        own: dict[str, NDArray[np.float64]] = {}
        with rank0_statistics(backbone), dist.failing_together():
            for name, images in self._images.items():
                try:
                    own[name] = self._distances(backbone, images, batch_size)
                except UserError as error:
                    raise UserError(f"verification of {name}: {error}") from error
        parts = dist.gather_objects(own)
        return group_table(
            {
                name: (np.concatenate([part[name] for part in parts]), self._same[name])
                for name in self.names
            }
        )

    def _distances(
        self, backbone: nn.Module, images: NDArray[np.uint8], batch_size: int
    ) -> NDArray[np.float64]:
        if not len(images):
            return np.zeros(0)
        embeddings = embed_bin(backbone, images, device=self.device, batch_size=batch_size)
        return squared_distances(embeddings[0::2], embeddings[1::2])


def _share(pairs: int) -> range:
    """This rank's pairs."""
    rank, world = dist.rank(), dist.world_size()
    return range(pairs * rank // world, pairs * (rank + 1) // world)


def log_table(table: FairnessTable, log: Log, step: int) -> None:
    """Lines and the table in the log; curves of every group, mean, worst, TPR, STD and SER."""
    for group, accuracy in table.by_group(METRICS["accuracy"]).items():
        log.show(f"[{group}][{step}] accuracy {accuracy:.5f}")
        log.scalar(f"verification/{group}", accuracy, step)
    if len(table.groups) > 1:
        for line in table.as_text(f"step {step}").splitlines():
            log.show(line)
    for name, value in table.summary().items():
        if math.isfinite(value):
            log.scalar(f"verification_groups/{name}", value, step)


# config.best_by -> what of the table's summary it stands for; "none" keeps no best.pt.
BEST_BY = {"worst": "worst", "mean": "mean", "tpr": "mean_tpr"}


class BestModel:
    """Keeps ``best.pt``, the network with the highest figure so far, and ``best.json`` about it.

    figure: ``worst`` group's accuracy, ``mean`` accuracy, ``tpr`` (mean over groups) or ``none``.
    Spreads (STD, SER) are no choice: a network that has collapsed has the best.
    A run that resumes goes on from the figure in ``best.json``.
    """

    def __init__(self, folder: Path, figure: str, resume: bool) -> None:
        self.folder = folder
        self.figure = figure
        self.value = self._read() if resume else -math.inf

    def _read(self) -> float:
        path = self.folder / "best.json"
        try:
            known = json.loads(path.read_text())
            return float(known["value"]) if known["figure"] == self.figure else -math.inf
        except (OSError, ValueError, KeyError, TypeError):
            # No best so far, or by another figure: the next verification is the first one.
            return -math.inf

    def offer(self, table: FairnessTable, backbone: nn.Module, log: Log, step: int) -> None:
        """Keeps the network if it is the best; call it on all ranks, rank 0 writes."""
        if self.figure == "none":
            return
        value = table.summary()[BEST_BY[self.figure]]
        if not value > self.value:
            return
        self.value = value
        log.show(f"best.pt is step {step}: {self.figure} {100 * value:.2f} %")
        if dist.rank() != 0:
            return
        write_atomically(backbone.state_dict(), self.folder / "best.pt")
        about = {"figure": self.figure, "value": value, "step": step, "table": table.as_dict()}
        write_whole(self.folder / "best.json", json.dumps(about, indent=1).encode() + b"\n")
