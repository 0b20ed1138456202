# SPDX-License-Identifier: MIT
"""Runs train_v2.py of the working folder and writes every loss to $LOSSES, as the recorder does.

With $STUBS "all", what an unpatched arcface_torch lacks on a CPU is stood in for: MXNet by our
reader, torchvision by three lines, CUDA by nothing, NCCL by gloo, `verbose` by silence. With
"torchvision" only that, of which there is no CPU build on PyPI.
"""

from __future__ import annotations

import os
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, os.getcwd())


def record_losses(path: str) -> None:
    from utils.utils_logging import AverageMeter

    steps = iter(range(1, 1 << 30))
    update = AverageMeter.update

    def recorded(self: Any, value: float, n: int = 1) -> None:
        if os.environ.get("RANK", "0") == "0":
            with Path(path).open("a") as file:
                file.write(f"{next(steps)} {value.hex()}\n")
        update(self, value, n)

    AverageMeter.update = recorded


def stand_in_for_mxnet() -> None:
    from arcface_fair.data.image.images import decode
    from arcface_fair.data.record.recordio import IndexedRecordReader, unpack

    class Reader:
        def __init__(self, idx: str, rec: str, mode: str) -> None:
            self.reader = IndexedRecordReader(Path(rec), Path(idx))

        def read_idx(self, key: int) -> bytes:
            return self.reader.read(int(key))

    class Image:
        def __init__(self, pixels: np.ndarray) -> None:
            self.pixels = pixels

        def asnumpy(self) -> np.ndarray:
            return self.pixels

    class Header:
        def __init__(self, header: Any) -> None:
            self.flag = header.flag
            self.label = header.label if header.flag else float(header.first_label)

    def unpacked(data: bytes) -> tuple[Header, bytes]:
        header, payload = unpack(data)
        return Header(header), payload

    mx, nd = types.ModuleType("mxnet"), types.ModuleType("mxnet.ndarray")
    mx.recordio = types.SimpleNamespace(MXIndexedRecordIO=Reader, unpack=unpacked)
    mx.image = types.SimpleNamespace(imdecode=lambda data: Image(decode(data, "an image")))
    mx.ndarray = nd
    sys.modules.update({"mxnet": mx, "mxnet.ndarray": nd})


def stand_in_for_torchvision() -> None:
    class Compose:
        def __init__(self, steps: list[Any]) -> None:
            self.steps = steps

        def __call__(self, image: Any) -> Any:
            for step in self.steps:
                image = step(image)
            return image

    def flip(image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(image[:, ::-1]) if torch.rand(1) < 0.5 else image

    def to_tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255)

    def normalize(mean: list[float], std: list[float]) -> Any:
        wide = [torch.tensor(values).view(-1, 1, 1) for values in (mean, std)]
        return lambda image: image.sub(wide[0]).div(wide[1])

    package, transforms = (
        types.ModuleType("torchvision"),
        types.ModuleType("torchvision.transforms"),
    )
    datasets = types.ModuleType("torchvision.datasets")
    transforms.Compose = Compose
    transforms.ToPILImage = lambda: lambda image: image
    transforms.RandomHorizontalFlip = lambda: flip
    transforms.ToTensor = lambda: to_tensor
    transforms.Normalize = normalize
    datasets.ImageFolder = None
    package.transforms, package.datasets = transforms, datasets
    sys.modules.update({
        "torchvision": package, "torchvision.transforms": transforms,
        "torchvision.datasets": datasets,
    })  # fmt: skip


def stand_in_for_cuda() -> None:
    import contextlib

    torch.Tensor.cuda = lambda self, *a, **k: self
    torch.nn.Module.cuda = lambda self, *a, **k: self
    torch.cuda.set_device = lambda device: None
    torch.cuda.Stream = lambda device=None: None
    torch.cuda.stream = lambda stream: contextlib.nullcontext()
    torch.cuda.current_stream = lambda: types.SimpleNamespace(wait_stream=lambda stream: None)
    move = torch.Tensor.to

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if kwargs.get("device") == 0:
            kwargs.pop("device")
        return move(self, *args, **kwargs) if args or kwargs else self

    torch.Tensor.to = to
    wrap = torch.nn.parallel.DistributedDataParallel

    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        return wrap(*args, **{**kwargs, "device_ids": None})

    torch.nn.parallel.DistributedDataParallel = on_cpu
    start = torch.distributed.init_process_group

    def gloo(*args: Any, **kwargs: Any) -> None:
        start("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

    torch.distributed.init_process_group = gloo


def stand_in_for_verbose() -> None:
    from torch.optim import lr_scheduler

    begin = lr_scheduler.LRScheduler.__init__
    lr_scheduler._LRScheduler.__init__ = lambda self, optimizer, last_epoch=-1, verbose=False: (
        begin(self, optimizer, last_epoch)
    )


if os.environ.get("STUBS"):
    stand_in_for_torchvision()
if os.environ.get("STUBS") == "all":
    stand_in_for_mxnet()
    stand_in_for_cuda()
    stand_in_for_verbose()
record_losses(os.environ["LOSSES"])
sys.argv = ["train_v2.py", *sys.argv[1:]]
runpy.run_path("train_v2.py", run_name="__main__")
