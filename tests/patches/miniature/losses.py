# SPDX-License-Identifier: MIT
"""The miniature's margin: ArcFace on the target's angle."""
import torch


class CombinedMarginLoss(torch.nn.Module):
    def __init__(self, s, m1, m2, m3, interclass_filtering_threshold=0):
        super().__init__()
        self.s, self.m2 = s, m2

    def forward(self, cosines, labels):
        own = torch.nn.functional.one_hot(labels, cosines.shape[1]).bool()
        return self.s * torch.where(own, torch.cos(torch.acos(cosines) + self.m2), cosines)
