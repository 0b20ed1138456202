# SPDX-License-Identifier: MIT
"""What the patched arcface_torch calls: the one module that its inserted lines import.

    configure, build_backbone, build_margin, head_class, ...   the parts of a run, by config
    start                                                      returns the run's `HostRun`
    init_process_group, device, ...                            where the run computes
    RecordImages, load_bin, until_failure, ...                 data, without MXNet
    convert_onnx, colours                                      the scripts beside the trainer

A run that lists no plugin keeps upstream's own head, margin, schedule and network.
"""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from arcface_fair.hosts.upstream.config import configure, require_bin
from arcface_fair.hosts.upstream.data import (
    RecordImages,
    load_bin,
    threshold_between,
    unless_failed,
    until_failure,
)
from arcface_fair.hosts.upstream.devices import (
    copy_stream,
    device,
    device_ids,
    init_process_group,
    on_gpu,
    set_device,
    using_stream,
    wait_for_stream,
)
from arcface_fair.hosts.upstream.parts import (
    build_backbone,
    build_margin,
    choose_schedule,
    head_class,
    register_comm_hook,
)
from arcface_fair.hosts.upstream.run import HostRun, load_checkpoint, save_checkpoint, start

__all__ = [
    "HostRun",
    "RecordImages",
    "build_backbone",
    "build_margin",
    "choose_schedule",
    "colours",
    "configure",
    "convert_onnx",
    "copy_stream",
    "device",
    "device_ids",
    "head_class",
    "init_process_group",
    "load_bin",
    "load_checkpoint",
    "on_gpu",
    "register_comm_hook",
    "require_bin",
    "save_checkpoint",
    "set_device",
    "start",
    "threshold_between",
    "unless_failed",
    "until_failure",
    "using_stream",
    "wait_for_stream",
]

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
