# SPDX-License-Identifier: MIT
"""The miniature's networks: one, of a convolution and a linear layer."""
from torch import nn


def get_model(name, dropout=0.0, num_features=16):
    if name != "tiny":
        raise ValueError()
    return nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), nn.BatchNorm2d(8), nn.PReLU(8), nn.Flatten(),
        nn.Dropout(dropout), nn.Linear(8 * 14 * 14, num_features), nn.BatchNorm1d(num_features))
