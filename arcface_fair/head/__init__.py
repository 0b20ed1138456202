# SPDX-License-Identifier: MIT
"""The classification head: margins, class shards, softmax statistics."""

from arcface_fair.head.cifp import CIFP
from arcface_fair.head.margin import ArcFace, CombinedMargin, CosFace, MarginContext
from arcface_fair.head.partial_fc import PartialFC, Statistics
from arcface_fair.head.sampling import Active, shard_of
from arcface_fair.head.softmax import softmax_statistics

__all__ = [
    "CIFP",
    "Active",
    "ArcFace",
    "CombinedMargin",
    "CosFace",
    "MarginContext",
    "PartialFC",
    "Statistics",
    "shard_of",
    "softmax_statistics",
]
