# SPDX-License-Identifier: MIT
"""The miniature's verification at steps, on rank 0."""
import logging
import os

from eval import verification
from torch import distributed


class CallBackVerification(object):
    def __init__(self, val_targets, rec_prefix, summary_writer=None):
        self.rank = distributed.get_rank()
        self.sets = {}
        if self.rank is 0:  # noqa: F632
            for name in val_targets:
                path = os.path.join(rec_prefix, name + ".bin")
                if os.path.exists(path):
                    self.sets[name] = verification.load_bin(path, (112, 112))

    def __call__(self, step, backbone):
        if self.rank is 0:  # noqa: F632
            for name, data_set in self.sets.items():
                accuracy, rate = verification.test(data_set, backbone)
                logging.info("[%s][%d] accuracy %.4f val %.4f", name, step, accuracy, rate)
