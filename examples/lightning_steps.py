"""Losses, samplers and steps in PyTorch Lightning: long-tailed digits, MetaBalance under manual optimisation.

Any step of the library runs in ``training_step`` with ``automatic_optimization = False``; losses and samplers
need nothing at all. Runs in a few seconds: python examples/lightning_steps.py
"""

import logging
import warnings

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from metabalance.counts import class_counts
from metabalance.data.imbalance import long_tail
from metabalance.engine import Objective
from metabalance.loss import LogitAdjustedLoss
from metabalance.optimize import MetaBalanceStep
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")

pixels, digits = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(pixels / 16, digits, test_size=0.4, stratify=digits, random_state=0)
rows = long_tail(y, ratio=50, n_max=100)
X, y = torch.from_numpy(X[rows].astype(np.float32)), torch.from_numpy(y[rows])
X_test, y_test = torch.from_numpy(X_test.astype(np.float32)), torch.from_numpy(y_test)
train = TensorDataset(X, y)


class Classifier(pl.LightningModule):
    """A small network; ``step`` is any step of the library, or None for an ordinary update."""

    def __init__(self, loss: nn.Module, step: MetaBalanceStep | None = None) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.objective = Objective(loss)
        self.step = step
        self.automatic_optimization = step is None

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor | None:
        if self.step is None:
            return self.objective(self.network, batch)
        self.step(self.network, batch, self.objective, self.optimizers())
        return None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.network.parameters(), lr=3e-3)


def loader(sampler: torch.utils.data.Sampler, batch_size: int = 40) -> DataLoader:
    return DataLoader(train, batch_size=batch_size, sampler=sampler)


counts = class_counts(y)
plain = nn.CrossEntropyLoss(reduction="none")
look_aheads = MetaBalanceStep(inner_loader=loader(ShuffleSampler(y)), inner_lr=0.1, order=2, leak=0.005)
methods = {
    "cross-entropy": (plain, None, ShuffleSampler(y)),
    "logit-adjusted": (LogitAdjustedLoss(counts, reduction="none"), None, ShuffleSampler(y)),
    "class rotation": (plain, None, ClassBalancedSampler(y)),
    "MetaBalance": (plain, look_aheads, ClassBalancedSampler(y)),
}
print(f"training counts {counts.int().tolist()}\n{'method':16} mean recall")
for name, (loss, step, sampler) in methods.items():
    torch.manual_seed(0)
    model = Classifier(loss, step)
    trainer = pl.Trainer(
        max_steps=300, max_epochs=100, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, loader(sampler))
    with torch.no_grad():
        hit = (model.network(X_test).argmax(1) == y_test).float()
    print(f"{name:16} {torch.stack([hit[y_test == c].mean() for c in range(10)]).mean():.3f}")
