# SPDX-License-Identifier: MIT
"""Our head and any plugins in a training loop of your own, without either trainer.

python examples/plain_loop.py RECORD OUTPUT [PLUGIN ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from arcface_fair import ArcFace, PartialFC, Run, Session, load_plugin_modules
from arcface_fair.backbones import get_model
from arcface_fair.data.training.dataset import open_dataset, to_input


def train(record: str, output: str, plugins: list[str], epochs: int = 1) -> list[float]:
    """Trains a small network on the images in ``record``; the loss of every step."""
    torch.manual_seed(0)
    dataset = open_dataset(record)
    backbone = get_model("small", num_features=16).train()
    head = PartialFC(ArcFace(s=16.0, m=0.3), 16, dataset.num_classes)
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.05)
    batch, steps = 8, dataset.num_images // 8
    run = Run(
        config={}, dataset=dataset, group_table=None, group_attribute=None,
        num_classes=dataset.num_classes, num_epochs=epochs, total_steps=epochs * steps,
        batch_size=batch, seed=0, work_dir=Path(output), device=torch.device("cpu"),
    )  # fmt: skip
    session = Session(run, load_plugin_modules(plugins), backbone=backbone, head=head)
    losses = []
    try:
        session.before_train()
        for epoch in range(epochs):
            session.before_epoch(epoch)
            for rows in (
                np.random.default_rng(epoch)
                .permutation(dataset.num_images)[: steps * batch]
                .reshape(steps, batch)
            ):
                pixels = np.stack([dataset.read(row) for row in rows]).transpose(0, 3, 1, 2)
                labels = torch.from_numpy(dataset.identities[rows]).long()
                images = session.before_forward(to_input(torch.from_numpy(pixels.copy())), labels)
                loss = head(backbone(images), labels)
                session.after_loss(loss)
                optimizer.zero_grad()
                loss.backward()
                session.after_backward()
                optimizer.step()
                losses.append(loss.item())
                session.after_step()
            session.after_epoch()
            torch.save({"plugins": session.state_dict()}, Path(output) / "plugins.pt")
    finally:
        session.after_train()
    return losses


if __name__ == "__main__":
    record_folder, output_folder, *plugin_names = sys.argv[1:]
    for number, value in enumerate(train(record_folder, output_folder, plugin_names), start=1):
        print(f"step {number}: loss {value:.3f}")
