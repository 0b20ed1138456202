# SPDX-License-Identifier: MIT
"""The edits that let arcface_torch run today and call the plugins; one file per upstream file.

Each patch is a class with a name, an upstream file and a one-line description. Patches of one
name belong together and are chosen together (``--only``, ``--without``). What they insert calls
`arcface_fair.bridge` and nothing else.
"""

from __future__ import annotations

from .dataset import DeviceOfBatches, LabelsAsIntegers, LoadingErrors, RecordsWithoutMxnet
from .eval_ijbc import EvalIjbc
from .lr_scheduler import SchedulerWithoutVerbose
from .onnx_ijbc import OnnxIjbc
from .partial_fc_v2 import DeviceOfHead
from .patch import MissingAnchorError, Patch, patched_source
from .torch2onnx import ExportByUs
from .train_v2 import CheckpointsThatRecut, DeviceOfTraining, ProcessGroup, SessionMoments
from .utils_callbacks import MissingBinIsAnError
from .utils_distributed_sampler import DeviceOfSeed
from .verification import BinsWithoutMxnet, ThresholdBetweenGridPoints

PATCHES: tuple[type[Patch], ...] = (
    SessionMoments,
    CheckpointsThatRecut,
    ProcessGroup,
    DeviceOfTraining,
    DeviceOfHead,
    DeviceOfBatches,
    DeviceOfSeed,
    RecordsWithoutMxnet,
    LabelsAsIntegers,
    LoadingErrors,
    SchedulerWithoutVerbose,
    BinsWithoutMxnet,
    MissingBinIsAnError,
    ThresholdBetweenGridPoints,
    ExportByUs,
    OnnxIjbc,
    EvalIjbc,
)
"""All patches, in the order in which those of one file are applied."""

__all__ = ["PATCHES", "MissingAnchorError", "Patch", "patched_source"]
