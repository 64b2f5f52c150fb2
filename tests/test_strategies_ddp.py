"""Every recipe that goes with DDP: two processes of half the batch train the network that one of the whole does.

The processes are started once, for all recipes. In double precision, so that only rounding is left between them.
"""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from metabalance import MetaBalanceClassifier
from metabalance.loss import DiceLoss, TverskyLoss
from metabalance.ranks import average_norms, mean, own, rank, share, spread, together, total, world_size
from metabalance.recipes import RECIPES, base
from metabalance.recipes.needs import recipe_needs
from metabalance.strategies import why_not

pytestmark = pytest.mark.slow
IMAGES_ONLY = {"cutmix", "rotation_pretraining"}
# What each process draws for itself is switched off, so that the rest can be compared.
STILL = {
    "mixup": {"alpha": 0.0},
    "remix": {"alpha": 0.0},
    "cutmix": {"probability": 0.0},
    "adversarial": {"eps": 0.0},
    "srat": {"eps": 0.0},
}
DRAWS = {
    "rotation_pretraining": "how often each image is turned",
    "m2m": "which rows are translated, and their start",
}
# Resampling leaves an odd number of these rows, of which one waits for the next pass where there are two processes.
ODD = {"adasyn", "all_knn"}
MORE = {
    "metabalance: exact, several look-aheads, a leak": {
        "order": 2,
        "accumulate": 3,
        "leak": 0.1,
        "inner_lr": 0.1,
    },
    "metabalance: a meta set": {"meta_set": 0.3, "inner_lr": 0.1},
    "learning_to_reweight: a meta set": {"meta_set": 0.3},
    "arb: global": {"counts": "global"},
    "supcon: two views": {"views": True},
    "ot_reweighting: a network of weights": {"parametrization": "weightnet", "meta": "whole"},
    "ot_reweighting: published": {"published": True},
}
NAMES = [name for name in RECIPES if why_not("ddp", recipe_needs(name)) is None]
CASES = {name: STILL.get(name, {}) for name in NAMES} | MORE
# A division of the network does not depend on the recipe: some of every kind.
PLAIN = [name for name in NAMES if why_not("fsdp", recipe_needs(name)) is None and name not in STILL]
SHARDED = [name for name in ("erm", "oversample", "cdb", "ldam_drw", "crt", "tau_norm") if name in PLAIN]


def nudged(inputs, target, generator):
    """An augmentation that draws nothing."""
    return inputs + 0.1 * inputs.roll(1, dims=1), target


def train(case, options, **settings):
    name = case.split(":")[0]
    rng = np.random.default_rng(0)
    y = (np.arange(64) % 4 == 0).astype(int)
    X = rng.normal(size=(64, 5)) + 1.5 * y[:, None]
    if name in IMAGES_ONLY:
        X = np.clip(rng.random((64, 1, 4, 4)) / 2 + y[:, None, None, None] / 3, 0, 1)
    model = MetaBalanceClassifier(
        name, recipe_options=options, hidden=(6,), module="mlp", epochs=2, batch_size=16, optimizer="sgd", lr=0.05,
        random_state=0, preprocess=None, min_positives=1, monitor="log_loss", device="cpu", class_weight={1: 2.0},
        augment=nudged if X.ndim == 2 else None, **settings,
    )  # fmt: skip
    weight = np.where(np.arange(64) % 2, 1.5, 0.5) if recipe_takes_weights(name) else None
    model.fit(X, y, weight, validation_data=(X[:32], y[:32]))
    learned = {"prior": torch.as_tensor(model.training_prior_)}
    return learned | {key: value.clone() for key, value in model.module_.state_dict().items()}


def recipe_takes_weights(name):
    return name not in {"smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn", "cluster_centroids"}


def slopes(world, number):
    """Gradients of losses that count over a whole batch."""
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.arange(8) % 3
    found = []
    for loss in (DiceLoss("class"), TverskyLoss(level="class")):
        z = logits[number::world].clone().requires_grad_()
        loss(z, target[number::world]).backward()
        found.append(z.grad / world)  # as DDP takes the mean
    return found


def primitives():
    """What the functions of ``ranks`` give: of a number, of two rows, and of a layer."""
    number = torch.tensor(float(rank() + 1), requires_grad=True)
    average = mean(number)
    average.square().backward()
    layer = torch.nn.BatchNorm1d(1)
    layer.running_mean.fill_(rank())
    average_norms(layer)
    average_of_norms = layer.running_mean.item()
    layer.running_mean.fill_(rank() + 5)
    spread(layer)
    (rows,) = together(torch.tensor([0.0, 2.0]) + rank())
    return {
        "world": world_size(), "share": share(7), "mean": average.item(), "slope": number.grad.item(),
        "total": total(torch.tensor(2)).item(), "rows": rows.tolist(), "own": own(rows).tolist(),
        "norm": average_of_norms, "spread": layer.running_mean.item(),
    }  # fmt: skip


def worker(fabric, folder):
    torch.set_num_threads(1)
    base.MIN_STEPS_PER_EPOCH = 2
    done = {case: train(case, options) for case, options in CASES.items()}
    done |= {f"{name}: fsdp": train(name, {}, strategy="fsdp") for name in SHARDED}
    torch.save(done | {"slopes": slopes(2, rank()), "primitives": primitives()}, f"{folder}/{rank()}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    path = tmp_path_factory.mktemp("ddp")
    Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn").launch(worker, str(path))
    return [torch.load(path / f"{number}.pt") for number in range(2)]


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr(base, "MIN_STEPS_PER_EPOCH", 2)
    return lambda case: train(case, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_what_one_does(ranks, alone, case):
    first, second = (found[case] for found in ranks)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        assert torch.isfinite(value).all()
    if case in DRAWS or case in ODD:
        return
    for key, value in alone(case).items():
        # A network of weights is in single precision.
        torch.testing.assert_close(
            first[key], value, rtol=0, atol=1e-5 if "weight" in case else 1e-9, msg=key
        )


@pytest.mark.parametrize("name", SHARDED)
def test_a_divided_network_is_the_whole_one(ranks, alone, name):
    for found in ranks:
        for key, value in alone(name).items():
            torch.testing.assert_close(found[f"{name}: fsdp"][key], value, rtol=0, atol=1e-9, msg=key)


def test_losses_over_a_batch_are_those_of_all_rows(ranks):
    for index, whole in enumerate(slopes(1, 0)):
        together_ = torch.stack([found["slopes"][index] for found in ranks], 1).flatten(0, 1)
        torch.testing.assert_close(together_, whole, rtol=1e-12, atol=1e-12)


def test_what_processes_do_together(ranks):
    alike = {
        "world": 2,
        "share": 4,
        "mean": 1.5,
        "slope": 3.0,
        "total": 4,
        "rows": [0, 1, 2, 3],
        "norm": 0.5,
        "spread": 5,
    }
    for number, found in enumerate(ranks):
        assert {key: found["primitives"][key] for key in alike} == alike
        assert found["primitives"]["own"] == [number, number + 2]


def test_a_process_by_itself():
    one = torch.tensor([3.0])
    assert (world_size(), rank(), share(7)) == (1, 0, 7)
    assert all(same is one for same in (mean(one), total(one), own(one), together(one)[0]))
