"""A real training of a second, the same on every machine: dropout, Adam, a schedule, shuffled data, three kinds of randomness.

Prints "resumed N", "step N" when a step's work is done, "paused" at step TRAIN_PAUSE_AT until a line comes, and "weights SHA-256".
"""

import hashlib
import logging
import os
import random
import sys

import numpy
import torch
from nerve_checkpoint import Checkpoint, ResumableSampler
from torch.utils.data import DataLoader, TensorDataset

logging.basicConfig(level=logging.INFO, format="%(message)s")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
for seed in (random.seed, numpy.random.seed, torch.manual_seed):
    seed(20)

inputs = torch.randn(100, 24)
labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
model = torch.nn.Sequential(
    torch.nn.Linear(24, 48), torch.nn.BatchNorm1d(48), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(48, 2)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60], gamma=0.5)
sampler = ResumableSampler(len(inputs), seed=5)
loader = DataLoader(TensorDataset(inputs, labels), batch_size=8, sampler=sampler, generator=torch.Generator())
total, pause = int(os.environ["TRAIN_STEPS"]), int(os.environ.get("TRAIN_PAUSE_AT", "-1"))


def say(line):
    print(line, flush=True)


with Checkpoint(model=model, optimizer=optimizer, scheduler=scheduler, sampler=sampler) as checkpoint:
    say(f"resumed {checkpoint.steps}")
    while checkpoint.steps < total:
        for batch, wanted in loader:
            noise = numpy.random.normal(scale=0.1) + random.random() / 10
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch + noise), wanted).backward()
            optimizer.step()
            scheduler.step()
            sampler.advance(len(batch))
            say(f"step {checkpoint.steps + 1}")
            if checkpoint.steps + 1 == pause:
                say("paused")
                sys.stdin.readline()
            checkpoint.step()
            if checkpoint.steps == total:
                break

digest = hashlib.sha256()
for name, tensor in sorted(model.state_dict().items()):
    digest.update(name.encode() + tensor.numpy().tobytes())
say(f"weights {digest.hexdigest()}")
