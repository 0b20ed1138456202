# SPDX-License-Identifier: MIT
"""The miniature's defaults, in the names of arcface_torch."""
from easydict import EasyDict

config = EasyDict(
    margin_list=(1.0, 0.3, 0.0), network="tiny", resume=False, save_all_states=True, output=None,
    embedding_size=16, sample_rate=1, interclass_filtering_threshold=0, fp16=False, batch_size=8,
    lr=0.05, momentum=0.9, weight_decay=5e-4, optimizer="sgd", verbose=1000, frequent=1,
    dali=False, gradient_acc=1, seed=2048, num_workers=1, num_epoch=2, warmup_epoch=0,
    val_targets=[], num_classes=None, num_image=None)
