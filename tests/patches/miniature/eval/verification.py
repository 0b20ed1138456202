# SPDX-License-Identifier: MIT
"""The miniature's verification: best accuracy, and the true accept rate at a false one."""
import pickle

import mxnet as mx
import numpy as np
import torch
from mxnet import ndarray as nd


def load_bin(path, image_size):
    with open(path, "rb") as file:
        bins, same = pickle.load(file)
    images = [nd.transpose(mx.image.imdecode(data), axes=(2, 0, 1)).asnumpy() for data in bins]
    images = torch.tensor(np.stack(images)).float()
    return [images, images.flip(3)], same


def calculate_val(thresholds, distances, same, far_target):
    far_train = np.array([(distances[~same] < t).mean() for t in thresholds])
    from scipy import interpolate
    f = interpolate.interp1d(far_train, thresholds, kind="slinear")
    return (distances[same] < f(far_target)).mean()


@torch.no_grad()
def test(data_set, backbone):
    (images, _), same = data_set
    backbone.eval()
    features = torch.nn.functional.normalize(backbone(images / 127.5 - 1)).numpy()
    backbone.train()
    distances = np.square(features[0::2] - features[1::2]).sum(1)
    thresholds, same = np.arange(0, 4, 0.01), np.array(same)
    accuracy = max(((distances < t) == same).mean() for t in thresholds)
    return accuracy, calculate_val(thresholds, distances, same, 0.1)
