"""Every recipe for values under DDP: two processes of half the batch train the network that one of the whole does."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from metabalance import MetaBalanceRegressor
from metabalance.ranks import rank
from metabalance.recipes import VALUE_RECIPES, base
from metabalance.recipes.needs import recipe_needs
from metabalance.strategies import why_not

pytestmark = pytest.mark.slow
RARE = {"points": [(0.0, 0.0), (1.0, 1.0)]}


def nudged(inputs, target, generator):
    """A view that draws nothing."""
    return inputs + 0.1 * inputs.roll(1, dims=1), target


# What each process draws for itself is switched off, so that the rest can be compared.
OPTIONS = {"conr": {"views": nudged}, "smogn": RARE, "smoter": RARE, "rare_over": RARE}
NAMES = [name for name in VALUE_RECIPES if why_not("ddp", recipe_needs(name, kind="values")) is None]
CASES = {name: OPTIONS.get(name, {}) for name in NAMES}
CASES |= {"conr: on fds": {"views": nudged, "base": "fds"}, "ranksim: on lds": {"base": "lds"}}
SHARDED = ["erm", "lds", "quantile", "regressor_retraining"]


def train(case, options, **settings):
    name = case.split(":")[0]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 5))
    y = X[:, 0] ** 3 + X[:, 1]
    model = MetaBalanceRegressor(
        name, recipe_options=options, hidden=(6,), module="mlp", epochs=2, batch_size=16, optimizer="sgd", lr=0.05,
        random_state=0, preprocess=None, device="cpu", augment=nudged, num_bins=6, **settings,
    )  # fmt: skip
    weight = None if name in ("smogn", "smoter") else np.where(np.arange(64) % 2, 1.5, 0.5)
    model.fit(X, y, weight, validation_data=(X[:32], y[:32]))
    return {key: value.clone() for key, value in model.module_.state_dict().items()}


def worker(fabric, folder):
    torch.set_num_threads(1)
    base.MIN_STEPS_PER_EPOCH = 2
    done = {case: train(case, options) for case, options in CASES.items()}
    done |= {f"{name}: fsdp": train(name, {}, strategy="fsdp") for name in SHARDED}
    torch.save(done, f"{folder}/{rank()}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    path = tmp_path_factory.mktemp("ddp")
    Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn").launch(worker, str(path))
    return [torch.load(path / f"{number}.pt") for number in range(2)]


@pytest.mark.parametrize("case", [*CASES, *(f"{name}: fsdp" for name in SHARDED)])
def test_two_processes_train_values_as_one_does(ranks, monkeypatch, case):
    monkeypatch.setattr(base, "MIN_STEPS_PER_EPOCH", 2)
    first, second = (found[case] for found in ranks)
    one = train(case, {} if "fsdp" in case else CASES[case])
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        torch.testing.assert_close(value, one[key], rtol=1e-5, atol=1e-7)
