# SPDX-License-Identifier: MIT
"""What a run shows: a progress bar, ``training.log``, TensorBoard curves. Rank 0 only."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from arcface_fair import dist
from arcface_fair.plugin.session import is_image

LOGGER = logging.getLogger("arcface_fair")


class RunLog:
    """Progress, log lines and curves of one run.

    Curves offered by `point` are written every ``frequent`` steps; between these, values are
    neither read from the device nor kept. On ranks other than 0 everything is silent.
    """

    def __init__(self, output: Path, *, total_steps: int, first_step: int, frequent: int) -> None:
        self.frequent = frequent
        self.total_steps = total_steps
        self._active = dist.rank() == 0
        self._writer: Any = None
        self._handler: logging.Handler | None = None
        self._offered: dict[str, float | Tensor] = {}
        self._images = 0
        self._since = time.perf_counter()
        if not self._active:
            return
        from torch.utils.tensorboard import SummaryWriter  # heavy; only where it is used

        self._writer = SummaryWriter(log_dir=str(output / "tensorboard"))
        self._handler = logging.FileHandler(output / "training.log")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        LOGGER.addHandler(self._handler)
        LOGGER.setLevel(logging.INFO)
        self._bar = tqdm(total=total_steps, initial=first_step, unit="step", dynamic_ncols=True)

    def line(self, text: str) -> None:
        """One line of the log file."""
        if self._active:
            LOGGER.info(text)

    def show(self, text: str) -> None:
        """A line of the log that is also shown above the progress bar."""
        if self._active:
            LOGGER.info(text)
            self._bar.write(text)

    def point(self, tag: str, value: float | Tensor, step: int) -> None:
        """Offers one value of the curve ``tag``; an image [C, H, W] is written at once."""
        if is_image(value):
            if self._active:
                self._writer.add_image(tag, value, step)
        elif self._active and step % self.frequent == 0:
            self._offered[tag] = value

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Writes one value of the curve ``tag`` at once, whatever the step."""
        if self._active:
            self._writer.add_scalar(tag, value, step)

    def step(self, *, epoch: int, step: int, loss: Tensor, rate: float, images: int) -> None:
        """Ends a step: advances the bar and, every ``frequent`` steps, writes the log."""
        if not self._active:
            return
        self._images += images
        self._bar.update(1)
        if step % self.frequent and step != self.total_steps:
            return
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        speed = self._images / elapsed
        self._images, self._since = 0, time.perf_counter()
        loss_value = loss.item()
        self._bar.set_postfix_str(f"epoch {epoch} loss {loss_value:.3f} {speed:.0f} images/s")
        curves = {"train/loss": loss_value, "train/lr": rate, "train/images_per_s": speed}
        for tag, value in (curves | self._offered).items():
            self._writer.add_scalar(tag, float(value), step)
        self._offered.clear()
        LOGGER.info(
            "step %d epoch %d loss %.4f lr %.6f %.1f images/s", step, epoch, loss_value, rate, speed
        )

    def close(self) -> None:
        """Ends the bar and the files."""
        if not self._active:
            return
        self._bar.close()
        self._writer.close()
        assert self._handler is not None
        LOGGER.removeHandler(self._handler)
        self._handler.close()
