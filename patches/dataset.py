# SPDX-License-Identifier: MIT
"""Patches of dataset.py: records without MXNet, whole labels, errors that arrive, any device."""

from __future__ import annotations

import ast

from .edits import Edit, Insert, ReplaceCall, ReplaceIterable, ReplaceKeyword, ReplaceStatement
from .patch import Patch


class RecordsWithoutMxnet(Patch):
    """Our record reader in place of MXNet's; torchvision is imported for image folders only."""

    NAME = "records"
    FILE = "dataset.py"
    DESCRIPTION = (
        "reads train.rec without MXNet, and without torchvision unless images lie in folders"
    )

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Imports, the construction of the record data set, and the late import."""
        return [
            ReplaceStatement("the line `import mxnet as mx`", "import mxnet as mx", ""),
            ReplaceStatement("the import of torchvision's transforms",
                             "from torchvision import transforms", ""),
            ReplaceStatement("the import of torchvision's ImageFolder",
                             "from torchvision.datasets import ImageFolder", ""),
            Insert("the transforms of image folders", "transform = transforms.Compose(...)",
                   "from torchvision import transforms\n"
                   "from torchvision.datasets import ImageFolder"),
            ReplaceCall("the construction of MXFaceDataset", "MXFaceDataset(...)",
                        "bridge.RecordImages(root_dir)"),
        ]  # fmt: skip


class LabelsAsIntegers(Patch):
    """Labels that a record stores as arrays or floats, for those who keep MXNet's loader."""

    NAME = "labels"
    FILE = "dataset.py"
    DESCRIPTION = "accepts labels that a record stores as arrays of floats"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The line that makes the label a tensor."""
        return [
            ReplaceCall("the line that makes the label a tensor",
                        "torch.tensor(label, dtype=torch.long)",
                        "torch.tensor(int(label), dtype=torch.long)"),
        ]  # fmt: skip


class LoadingErrors(Patch):
    """An error in the prefetching thread ends the run instead of leaving it to wait for ever."""

    NAME = "loading"
    FILE = "dataset.py"
    DESCRIPTION = "an image that cannot be loaded ends the run with its record's number"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The prefetching thread's two ends."""
        return [
            ReplaceIterable("the loop of the prefetching thread",
                            "for item in self.generator: pass",
                            "bridge.until_failure(self.generator)"),
            ReplaceStatement("the line `next_item = self.queue.get()`",
                             "next_item = self.queue.get()",
                             "next_item = bridge.unless_failed(self.queue.get())"),
        ]  # fmt: skip


class DeviceOfBatches(Patch):
    """Batches go to whatever device the machine has; streams exist on GPUs only."""

    NAME = "device"
    FILE = "dataset.py"
    DESCRIPTION = "moves batches to the GPU where there is one"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Device choice, streams, copies, pinned memory."""
        return [
            ReplaceCall("the line `torch.cuda.set_device(...)`", "torch.cuda.set_device(...)",
                        "bridge.set_device(...)"),
            ReplaceCall("the copy stream", "torch.cuda.Stream(...)", "bridge.copy_stream()"),
            ReplaceCall("the use of the copy stream", "torch.cuda.stream(...)",
                        "bridge.using_stream(...)"),
            ReplaceCall("the wait for the copy stream",
                        "torch.cuda.current_stream().wait_stream(...)",
                        "bridge.wait_for_stream(...)"),
            ReplaceKeyword("the device of a batch", "device=self.local_rank", "bridge.device()"),
            ReplaceKeyword("the argument `pin_memory`", "pin_memory=True", "bridge.on_gpu()",
                           required=False),
        ]  # fmt: skip
