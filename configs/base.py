# SPDX-License-Identifier: MIT
"""Every key that a run may set, with its default; configs/NAME.py overrides some of them.

A copy of the dataclass `RunSettings`, by a test. The embedded trainer reads it; arcface_torch has
a base of its own. `arcface-fair config` says what every key means and which host honours it.
"""

from easydict import EasyDict

config = EasyDict()

# Data: a folder with train.rec, or one sub-folder per identity.
config.rec = None
config.num_classes = None  # None: as many as the data holds (arcface_torch wants the number)
config.num_image = None
config.val_targets = []  # .bin sets beside the record, by name, without the ending
config.groups = None  # identity -> group table; None: groups.tsv beside the record, if any
config.group_attribute = None  # the column that plugins read; None: the first
config.flip = True
config.shift = 0  # move images by up to so many pixels
config.num_workers = 2
config.skip_bad_images = False  # go on past images that cannot be decoded, and count them

# Network and head.
config.network = "r50"
config.embedding_size = 512
config.dropout = 0.0
config.norm = "batch"  # or "none", for small networks in tests
config.margin_list = (1.0, 0.5, 0.0)  # ArcFace, m = 0.5 rad
config.margin = None  # dict(name="cosface", m=0.4): a margin by name, in place of margin_list
config.margin_scale = 64.0
config.margin_gradient = "upstream"  # or "exact": ArcFace's true derivative
config.cifp = False  # consistent false positives on top of the margin
config.sample_rate = 1.0
config.interclass_filtering_threshold = 0.0
config.kernel = "auto"  # how the head computes its softmax: auto | dense | chunked
config.head_memory_mib = 64.0  # budget of the head's blocks; "auto" is dense where it fits

# Optimisation; batch_size is per process.
config.batch_size = 128
config.optimizer = "sgd"
config.lr = 0.1
config.momentum = 0.9
config.weight_decay = 5e-4
config.lr_schedule = "poly"
config.lr_steps = ()
config.num_epoch = 20
config.warmup_epoch = 0.0
config.gradient_acc = 1
config.fp16 = False
config.bf16 = False
config.clip_norm = 5.0  # largest norm of the backbone's gradient
config.gradient_compression = "none"
config.seed = 2048
config.device = "auto"  # auto | cpu | cuda

# Output.
config.output = None  # None: work_dirs/NAME
config.save_all_states = True
config.checkpoint_steps = 0
config.keep_epochs = 0  # keep the model of every so many epochs, for `arcface-fair partitions`
config.resume = False
config.init_backbone = None  # .pt or .onnx to start the backbone from
config.verbose = 2000
config.best_by = "worst"  # worst | mean | tpr | none: the figure by which best.pt is kept
config.frequent = 10

# Plugins, in the order in which they act; each reads the block of its own name.
config.plugins = []
