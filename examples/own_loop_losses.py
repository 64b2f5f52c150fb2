"""Losses and samplers in a bare PyTorch loop: long-tailed digits, and the recall of the rare ones.

Runs in a few seconds: python examples/own_loop_losses.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from metabalance.counts import class_counts, class_weights
from metabalance.data.batches import BatchLoader
from metabalance.data.imbalance import long_tail
from metabalance.loss import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    FocalLoss,
    LogitAdjustedLoss,
    WeightedCrossEntropy,
)
from metabalance.sample import ClassBalancedSampler, PowerSampler, ShuffleSampler

pixels, digits = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(pixels / 16, digits, test_size=0.4, stratify=digits, random_state=0)
rows = long_tail(y, ratio=50, n_max=100)  # a hundred zeros, two nines
X, y = (torch.from_numpy(a[rows]) for a in (X.astype(np.float32), y))
X_test, y_test = torch.from_numpy(X_test.astype(np.float32)), torch.from_numpy(y_test)
counts = class_counts(y)
print("training counts", counts.int().tolist())

natural = ShuffleSampler(y)
methods = {
    "cross-entropy": (nn.CrossEntropyLoss(), natural),
    "balanced weights": (WeightedCrossEntropy(class_weights(counts, "balanced")), natural),
    "focal": (FocalLoss(gamma=2.0), natural),
    "class-balanced": (ClassBalancedLoss(counts, beta=0.99), natural),
    "logit-adjusted": (LogitAdjustedLoss(counts, tau=1.5), natural),
    "balanced softmax": (BalancedSoftmaxLoss(counts), natural),
    "class rotation": (nn.CrossEntropyLoss(), ClassBalancedSampler(y)),
    "square-root sampling": (nn.CrossEntropyLoss(), PowerSampler(y, q=0.5)),
}

print(f"{'method':22} mean recall   recall of 7, 8 and 9")
for name, (loss, sampler) in methods.items():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loader = BatchLoader((X, y), batch_size=40, sampler=sampler)
    steps, epoch = 0, 0
    while steps < 300:  # equally many steps, since an epoch's length depends on the sampler
        loader.set_epoch(epoch)
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()
            steps += 1
        epoch += 1
    with torch.no_grad():
        hit = (model(X_test).argmax(1) == y_test).float()
    recall = torch.stack([hit[y_test == c].mean() for c in range(10)])
    print(f"{name:22} {recall.mean():.3f}         {recall[7]:.2f}  {recall[8]:.2f}  {recall[9]:.2f}")
