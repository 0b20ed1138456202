# SPDX-License-Identifier: MIT
"""The miniature's configs: configs/base.py, then configs/NAME.py."""
import importlib
import os


def get_config(path):
    assert path.startswith("configs/")
    name = os.path.splitext(os.path.basename(path))[0]
    cfg = importlib.import_module("configs.base").config
    cfg.update(importlib.import_module(f"configs.{name}").config)
    if cfg.output is None:
        cfg.output = os.path.join("work_dirs", name)
    return cfg
