# SPDX-License-Identifier: MIT
"""What the scripts beside arcface_torch's trainer call: export, and a figure's colours."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

LOGGER = logging.getLogger("arcface_fair")


def convert_onnx(
    net: nn.Module, path_module: str, output: str, opset: int = 11, simplify: bool = False
) -> None:
    """Loads ``path_module`` strictly into ``net`` and writes one verified ONNX file.

    Any batch size, weights inside, not normalised; see `arcface_fair.export.export_onnx`.
    ``simplify`` is not needed: the exporter folds what onnxsim would.
    """
    from pathlib import Path

    from arcface_fair.export import export_onnx
    from arcface_fair.run.weights import read_state

    if simplify:
        LOGGER.info("--simplify is ignored: the exported graph is folded already")
    net.load_state_dict(read_state(Path(path_module)), strict=True)
    export_onnx(net.eval(), output, opset=opset)


def colours(number: int, name: str) -> Any:
    """``number`` colours [number, 4] in 0..1 of Matplotlib's colour map ``name``."""
    import matplotlib
    import numpy as np

    return matplotlib.colormaps[name](np.linspace(0, 1, number))
