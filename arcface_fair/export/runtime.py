# SPDX-License-Identifier: MIT
"""Runs any InsightFace recognition file (.onnx) on aligned faces, as InsightFace would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.optional import require


class OnnxEmbedder:
    """uint8 RGB images [B, 112, 112, 3] -> embeddings [B, D], flips summed, not normalised.

    The input is normalised by InsightFace's own rule: with mean and std 127.5, unless names of
    the first eight nodes tell of a subtraction and a multiplication inside the graph.
    Raises UserError if the file cannot be read or is no recognition model for such images.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        onnx, runtime = require("onnx"), require("onnxruntime")
        providers = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session = runtime.InferenceSession(str(path), providers=providers)
            names = [node.name for node in onnx.load(str(path)).graph.node[:8]]
        except Exception as error:  # each of the two packages has its own family of errors
            raise UserError(
                f"{path} cannot be read as an ONNX model ({type(error).__name__}); "
                "check the path, and copy the file again if it is damaged"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or list(inputs[0].shape[1:]) != [3, 112, 112]:
            shapes = ", ".join(str(value.shape) for value in (*inputs, *outputs))
            raise UserError(
                f"{path} is no recognition model for 112 x 112 faces (inputs and outputs: "
                f"{shapes}); expected one input [batch, 3, 112, 112] and one output"
            )
        self._input = inputs[0]
        inside = _any_starts(names, "Sub", "_minus") and _any_starts(names, "Mul", "_mul")
        self._mean, self._std = (0.0, 1.0) if inside else (127.5, 127.5)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of the images and of their mirror images, summed."""
        faces = (images.transpose(0, 3, 1, 2).astype(np.float32) - self._mean) / self._std
        return self._run(faces) + self._run(faces[:, :, :, ::-1])

    def _run(self, faces: NDArray[np.float32]) -> NDArray[np.float32]:
        fixed = self._input.shape[0]
        step = fixed if isinstance(fixed, int) else len(faces)
        parts = []
        for start in range(0, len(faces), step):
            part = faces[start : start + step]
            # A file with a fixed batch is fed whole batches; the filling is cut off again.
            filled = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), "f4")])
            (output,) = self._session.run(None, {self._input.name: np.ascontiguousarray(filled)})
            parts.append(output[: len(part)])
        return np.concatenate(parts)


def _any_starts(names: list[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
