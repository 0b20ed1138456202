# SPDX-License-Identifier: MIT
"""BUPT-Balancedface (1.3 million images, 28,000 people), ResNet-34, 30 epochs.

Baseline of GABN's tables: ArcFace, s = 64, m = 0.35, SGD 0.1, divided by 10 at epochs 9, 15 and
20. `batch_size` is per process: the paper's 200 are 200 on one GPU, 100 on each of two.
Inputs are (x - 127.5) / 127.5 where the paper divides by 128: that is what every InsightFace
loader, server and exported model assumes, and 0.4 % of contrast is no reason to differ from them.
Set `rec` to the folder of the record; groups.tsv beside it names each identity's group.
"""

from easydict import EasyDict

config = EasyDict()
config.rec = "data/bupt_balanced"
config.num_classes = None  # arcface_torch wants the number of identities in your record here
config.network = "r34"
config.embedding_size = 512
config.margin_list = (1.0, 0.35, 0.0)
config.margin_scale = 64.0
config.batch_size = 200
config.lr = 0.1
config.momentum = 0.9
config.weight_decay = 5e-4
config.lr_schedule = "step"
config.lr_steps = (9, 15, 20)
config.num_epoch = 30
config.num_workers = 4
