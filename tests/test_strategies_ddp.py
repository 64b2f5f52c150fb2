"""Every recipe that goes with DDP: two processes of half the batch train the network that one of the whole does.

The processes are started once, for all recipes.
"""

import os
from functools import cache

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.recipes import RECIPES
from metabalance.recipes.needs import recipe_needs
from metabalance.strategies import why_not

CASES = {name: {} for name in RECIPES if why_not("ddp", recipe_needs(name)) is None}


def data():
    rng = np.random.default_rng(0)
    y = (np.arange(160) % 5 == 0).astype(int)
    return rng.normal(size=(160, 5)) + y[:, None], y


def train(name, options):
    X, y = data()
    model = MetaBalanceClassifier(
        name, recipe_options=options, hidden=(6,), epochs=2, batch_size=16, optimizer="sgd", lr=0.05, random_state=0,
        preprocess=None, min_positives=1, monitor="log_loss", device="cpu",
    )  # fmt: skip
    model.fit(X, y, validation_data=(X[:80], y[:80]))
    return {k: v for k, v in model.module_.state_dict().items()} | {"prior": torch.as_tensor(model.training_prior_)}


def safely(name, options):
    try:
        return train(name, options)
    except Exception as error:
        import traceback
        return traceback.format_exc()


def worker(fabric, folder, cases):
    torch.set_num_threads(1)
    torch.save({k: safely(k.split(":")[0], o) for k, o in cases.items()}, f"{folder}/{fabric.global_rank}.pt")
