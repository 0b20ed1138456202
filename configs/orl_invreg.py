# SPDX-License-Identifier: MIT
"""Real photographs: 30 people of the AT&T / Olivetti face database, 300 images, two partitions.

Set `rec` to the folder that holds train.rec and orl.bin. So few people need shifts as augmentation.
"""

from easydict import EasyDict

config = EasyDict()
config.rec = "data/orl"
config.network = "small"
config.embedding_size = 128
config.margin_list = (1.0, 0.3, 0.0)
config.margin_scale = 32.0
config.batch_size = 50
config.lr = 0.1
config.num_epoch = 40
config.warmup_epoch = 2
config.shift = 6
config.seed = 0
config.num_workers = 0
config.val_targets = ["orl"]
config.verbose = 60
config.plugins = ["invreg_plugin"]
config.invreg = dict(weight=0.05, stages=(10, 25))
