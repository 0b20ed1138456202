# SPDX-License-Identifier: MIT
"""The miniature's loader: a record read by MXNet, or a folder of images; a prefetching thread."""
import os
import queue
import threading

import mxnet as mx
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from utils.utils_distributed_sampler import DistributedSampler


def get_dataloader(root_dir, local_rank, batch_size, seed=2048, num_workers=2):
    if os.path.exists(os.path.join(root_dir, "train.rec")):
        train_set = MXFaceDataset(root_dir=root_dir, local_rank=local_rank)
    else:
        transform = transforms.Compose([transforms.ToTensor()])
        train_set = ImageFolder(root_dir, transform)
    return DataLoaderX(
        local_rank, dataset=train_set, batch_size=batch_size, num_workers=num_workers,
        sampler=DistributedSampler(train_set, seed=seed), pin_memory=True, drop_last=True)


class BackgroundGenerator(threading.Thread):
    def __init__(self, generator, local_rank):
        super().__init__(daemon=True)
        self.queue = queue.Queue(6)
        self.generator = generator
        self.local_rank = local_rank
        self.start()

    def run(self):
        torch.cuda.set_device(self.local_rank)
        for item in self.generator:
            self.queue.put(item)
        self.queue.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        next_item = self.queue.get()
        if next_item is None:
            raise StopIteration
        return next_item


class DataLoaderX(DataLoader):
    def __init__(self, local_rank, **kwargs):
        super().__init__(**kwargs)
        self.stream = torch.cuda.Stream(local_rank)
        self.local_rank = local_rank

    def __iter__(self):
        for batch in BackgroundGenerator(super().__iter__(), self.local_rank):
            with torch.cuda.stream(self.stream):
                batch = [t.to(device=self.local_rank, non_blocking=True) for t in batch]
            torch.cuda.current_stream().wait_stream(self.stream)
            yield batch


class MXFaceDataset(Dataset):
    def __init__(self, root_dir, local_rank):
        self.imgrec = mx.recordio.MXIndexedRecordIO(
            os.path.join(root_dir, "train.idx"), os.path.join(root_dir, "train.rec"), "r")

    def __getitem__(self, index):
        header, img = mx.recordio.unpack(self.imgrec.read_idx(index + 1))
        label = header.label
        label = torch.tensor(label, dtype=torch.long)
        return transforms.functional.to_tensor(mx.image.imdecode(img).asnumpy()), label
