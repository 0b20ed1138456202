# SPDX-License-Identifier: MIT
"""INV-REG on MS1MV3 with ResNet-100 and ArcFace: the paper's run.

Behind each line stands where its value is from: paper (ICCV 2023), release (the authors' shipped
config), upstream (arcface_torch), or ours.
"""

import os

from easydict import EasyDict

WORLD_SIZE = int(os.environ.get("WORLD_SIZE", "1"))

config = EasyDict()
config.rec = "data/ms1mv3"  # ours: the folder that holds train.rec
config.num_classes = 93431  # paper (the record's)
config.num_image = 5179510  # paper (the record's)
config.network = "r100"  # paper
config.embedding_size = 512  # paper
config.dropout = 0.4  # release
config.margin_list = (1.0, 0.5, 0.0)  # upstream: the paper gives no margin for its ArcFace rows
config.margin_scale = 64.0  # release
config.margin_gradient = "exact"  # release
config.sample_rate = 1.0  # paper: every class; 0.1 works too
config.fp16 = True  # release
config.batch_size = 512 // WORLD_SIZE  # paper: 512 over all processes
config.optimizer = "sgd"  # paper
config.lr = 0.1  # release
config.momentum = 0.9  # release
config.weight_decay = 5e-4  # release
config.lr_schedule = "step"  # release
config.lr_steps = (9.7, 16.7, 19.3)  # release: iterations 110k, 190k, 220k of MS1MV2
config.num_epoch = 21  # paper
config.warmup_epoch = 0  # release
config.val_targets = ["lfw", "cfp_fp", "agedb_30"]  # upstream
config.verbose = 2000  # upstream
config.seed = 2048  # upstream

config.plugins = ["invreg_plugin"]
config.invreg = dict(
    weight=0.05,  # paper, figure 6; the release's effective value is 0.01 and grows
    penalty="irmv1",  # paper, section 5.4
    stages=(1, 11, 17),  # release
    subsets=2,  # paper, table 8
    objective="paper",  # release: mean + 0.2 variance + balance
)
