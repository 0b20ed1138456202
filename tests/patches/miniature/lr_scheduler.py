# SPDX-License-Identifier: MIT
"""The miniature's schedule: linear warm-up and decay, with the argument that torch dropped."""
from torch.optim.lr_scheduler import LRScheduler


class PolynomialLRWarmup(LRScheduler):
    def __init__(self, optimizer, warmup_iters, total_iters, last_epoch=-1, verbose=False):
        self.warmup_iters, self.total_iters = warmup_iters, total_iters
        super().__init__(optimizer, last_epoch=last_epoch, verbose=verbose)

    def get_lr(self):
        step, warm, total = self.last_epoch, self.warmup_iters, self.total_iters
        factor = step / warm if 0 < step <= warm else 1 - max(step - warm, 0) / (total - warm)
        return [base * factor for base in self.base_lrs]
