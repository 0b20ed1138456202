# SPDX-License-Identifier: MIT
"""Twenty steps in float32, fp16 and bf16 on a GPU, over NCCL: losses, step and memory ratios.

`make gpu-check` runs it. Without CUDA it says that it was skipped and ends well. One rank per GPU;
on a machine with one GPU the group has one rank, so that NCCL is started all the same.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp

from arcface_fair.backbones import get_model
from arcface_fair.head import ArcFace, PartialFC
from arcface_fair.hosts.scaler import build_scaler

STEPS, BATCH, CLASSES, SIZE = 20, 64, 20_000, 512
WARM_UP = 5
# A half-precision run may differ from float32 by this share of the loss after 20 steps.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Measured:
    """One precision: the losses of all steps, median step time, peak memory."""

    losses: list[float]
    step_s: float
    peak_mib: float


def measure(precision: str, kernel: str, device: torch.device) -> Measured:
    """Twenty training steps of r18 on fixed random faces."""
    torch.manual_seed(0)
    half = precision != "float32"
    if half:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float16
        torch.set_autocast_dtype("cuda", dtype)
    backbone = get_model("r18", fp16=half, num_features=SIZE).to(device).train()
    head = PartialFC(ArcFace(), SIZE, CLASSES, kernel=kernel).to(device)
    parameters = [*(p for p in backbone.parameters() if p.requires_grad), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9)
    scaler = build_scaler(enabled=precision == "fp16")
    generator = torch.Generator(device).manual_seed(1)
    images = torch.randn(BATCH, 3, 112, 112, device=device, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), device=device, generator=generator)
    torch.cuda.reset_peak_memory_stats(device)
    losses, times = [], []
    for _ in range(STEPS):
        started = time.perf_counter()
        loss = head(backbone(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(loss.item())
        times.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated(device) / 2**20
    return Measured(losses, statistics.median(times[WARM_UP:]), peak)


def check(rank: int, world_size: int) -> None:
    """One rank: every precision and kernel against float32 dense; rank 0 prints the table."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ.get("MASTER_PORT", "29517"),
        RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank),
    )  # fmt: skip
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    torch_dist.init_process_group("nccl")
    try:
        base = measure("float32", "dense", device)
        failed = False
        if rank == 0:
            name = torch.cuda.get_device_name(device)
            print(f"{name}, {world_size} rank(s), torch {torch.__version__}")
            heads = ("last loss", "step ratio", "memory ratio")
            print(f"{'precision':<10}{'kernel':<9}" + "".join(f"{head:>14}" for head in heads))
        for precision in ("float32", "fp16", "bf16"):
            for kernel in ("dense", "chunked"):
                got = measure(precision, kernel, device)
                off = abs(got.losses[-1] - base.losses[-1]) / max(base.losses[0], 1.0)
                failed |= not off < TOLERANCE
                if rank == 0:
                    print(
                        f"{precision:<10}{kernel:<9}{got.losses[-1]:>14.4f}"
                        f"{got.step_s / base.step_s:>14.2f}{got.peak_mib / base.peak_mib:>14.2f}"
                    )
        if failed:
            raise SystemExit(f"a precision left float32's loss by more than {TOLERANCE:.0%}")
    finally:
        torch_dist.destroy_process_group()


def main() -> int:
    """Exit code 0 if all is well or there is no GPU."""
    if not torch.cuda.is_available():
        print("gpu-check skipped: torch finds no CUDA device on this machine")
        return 0
    world_size = torch.cuda.device_count()
    mp.spawn(check, args=(world_size,), nprocs=world_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
