# SPDX-License-Identifier: MIT
"""Drawn faces, a small network, half a minute on a CPU: the baseline of `make demo`."""

from easydict import EasyDict

config = EasyDict()
config.rec = "demo/faces"
config.output = "demo/arcface"
config.network = "small"
config.embedding_size = 128
config.margin_list = (1.0, 0.3, 0.0)
config.margin_scale = 32.0
config.batch_size = 64
config.lr = 0.1
config.num_epoch = 8
config.warmup_epoch = 1
config.seed = 0
config.num_workers = 0
config.verbose = 10_000
