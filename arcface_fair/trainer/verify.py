# SPDX-License-Identifier: MIT
"""Verification during training: the run's ``.bin`` sets, shared out over the ranks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from arcface_fair import dist
from arcface_fair.batchnorm import rank0_statistics
from arcface_fair.data.bins import decode_bin, load_bin
from arcface_fair.errors import UserError
from arcface_fair.evaluation.embed import embed_bin
from arcface_fair.evaluation.verification import ten_fold


class Verification:
    """10-fold accuracy of every ``.bin`` named in ``val_targets``, 0..1 by name.

    Set i is embedded by rank i modulo the number of ranks, all with rank 0's BatchNorm
    statistics, so that the figures are those of the ``model.pt`` that rank 0 writes.
    """

    def __init__(self, folder: Path, names: tuple[str, ...], device: torch.device) -> None:
        self.names = names
        self.device = device
        self._paths = {name: folder / f"{name}.bin" for name in names}
        missing = [str(path) for path in self._paths.values() if not path.is_file()]
        if missing:
            raise UserError(
                f"config.val_targets names {missing[0]}, which does not exist; "
                "put the .bin beside the record or take its name out of val_targets"
            )
        own = names[dist.rank() :: dist.world_size()]
        self._sets = {}
        for name in own:
            images, same = load_bin(self._paths[name])
            self._sets[name] = (decode_bin(images), same)

    def __call__(self, backbone: nn.Module, batch_size: int = 64) -> dict[str, float]:
        """Accuracies by name, the same on all ranks; call it on all of them."""
        own: dict[str, float] = {}
        with rank0_statistics(backbone):
            for name, (images, same) in self._sets.items():
                embeddings = embed_bin(backbone, images, device=self.device, batch_size=batch_size)
                result = ten_fold(embeddings[0::2], embeddings[1::2], same)
                own[name] = float(result.accuracy)
        merged = {name: value for part in dist.gather_objects(own) for name, value in part.items()}
        return {name: merged[name] for name in self.names}
