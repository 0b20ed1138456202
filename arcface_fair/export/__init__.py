# SPDX-License-Identifier: MIT
"""Turns a trained backbone into one ONNX file that InsightFace's loaders accept, and proves it."""

from arcface_fair.export.onnx_file import export_onnx
from arcface_fair.run.weights import TrainedModel, find_model, load_backbone

__all__ = ["TrainedModel", "export_onnx", "find_model", "load_backbone"]
