# SPDX-License-Identifier: MIT
"""Sessions of small plugins, for the tests of this folder."""

from types import SimpleNamespace

import numpy as np
import torch

from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.head import CosFace, PartialFC
from arcface_fair.plugin.context import Run
from arcface_fair.plugin.session import Session

TABLE = GroupTable(
    {
        "race": Attribute(("a", "b"), np.array([0, 1, -1, 1])),
        "gender": Attribute(("f", "m"), np.array([1, 1, 0, -1])),
    }
)


def plugin_module(name, build):
    from dataclasses import make_dataclass

    settings = make_dataclass("Settings", [("weight", float, 1.0)], frozen=True)
    return SimpleNamespace(NAME=name, Settings=settings, build=build, __name__=name)


def make_session(*modules, table=TABLE, attribute=None, config=None, log=None):
    head = PartialFC(CosFace(8.0, 0.1), 5, 4)
    backbone = torch.nn.Linear(3, 5)
    run = Run(
        config=config or {},
        dataset=None,
        group_table=table,
        group_attribute=attribute,
        num_classes=4,
        num_epochs=1,
        total_steps=2,
        batch_size=4,
        seed=0,
        work_dir=None,
        device=torch.device("cpu"),
    )
    options = {} if log is None else {"log": log}
    return Session(run, modules, backbone=backbone, head=head, **options)


def one_step(session, images=None):
    images = torch.ones(4, 3, 1, 1) if images is None else images
    labels = torch.arange(4)
    seen = session.before_forward(images, labels)
    loss = session.head(session.backbone(seen[:, :, 0, 0]), labels)
    session.after_loss(loss)
    return loss
