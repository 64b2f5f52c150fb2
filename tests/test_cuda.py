"""On a GPU: the same results as on a CPU, every recipe trains, and what was trained there works here.

Skipped where there is none. Sums are ordered otherwise on a GPU, so bits differ; figures do not.
"""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metabalance import MetaBalanceClassifier, loss
from metabalance.bilevel import hypergradient
from metabalance.example_gradients import weight_gradient
from metabalance.optimize import MetaBalance
from metabalance.recipes import RECIPES
from metabalance.sample import ADASYN, SMOTE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

rng = np.random.default_rng(0)
Y = np.arange(150) % 10 // 8 + np.arange(150) % 30 // 29  # 120, 25 and 5 rows
TABLE = (rng.normal(size=(150, 5)) + Y[:, None]).astype(np.float32)
IMAGES = np.clip(rng.random((150, 1, 16, 16)) * 0.6 + 0.2 * Y[:, None, None, None], 0, 1).astype(np.float32)
IMAGES_ONLY = {"cutmix", "rotation_pretraining"}
SEPARATED = {"adasyn"}  # finds nothing to do where the classes of these images lie apart
COUNTS = torch.tensor([120.0, 25.0, 5.0])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def batch(seed: int, device: str) -> tuple[Tensor, Tensor]:
    draw = np.random.default_rng(seed)
    return torch.tensor(draw.normal(size=(12, 5)), device=device), torch.arange(12, device=device) % 3


def cross_entropy(model: nn.Module, one: tuple[Tensor, ...]) -> Tensor:
    return nn.functional.cross_entropy(model(one[0]), one[1])


def each(model: nn.Module, one: tuple[Tensor, ...]) -> Tensor:
    return nn.functional.cross_entropy(model(one[0]), one[1], reduction="none")


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().cpu().reshape(-1) for t in tensors if t is not None])


@pytest.mark.parametrize("X", [TABLE, IMAGES], ids=["table", "images"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name, X):
    if X.ndim == 2 and name in IMAGES_ONLY:
        pytest.skip("for images")
    if X.ndim == 4 and name in SEPARATED:
        pytest.skip("the classes lie apart")
    model = MetaBalanceClassifier(
        name, epochs=2, batch_size=64, hidden=(8,), random_state=0, min_positives=1, device="cuda"
    ).fit(X, Y, validation_data=(X[::2], Y[::2]))
    p = model.predict_proba(X)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["erm", "oversample", "logit_adjustment", "metabalance", "meta_weight_net"])
def test_a_gpu_finds_the_figures_of_a_cpu(name):
    p = {
        device: MetaBalanceClassifier(
            name, epochs=3, batch_size=64, hidden=(8,), random_state=0, min_positives=1, device=device
        )
        .fit(TABLE, Y, validation_data=(TABLE[::2], Y[::2]))
        .predict_proba(TABLE)
        for device in ("cpu", "cuda")
    }
    np.testing.assert_allclose(p["cuda"], p["cpu"], atol=2e-3)


@pytest.mark.parametrize("name", ["erm", "metabalance", "meta_weight_net", "ldam_drw", "sam", "supcon"])
def test_mixed_precision(name):
    model = MetaBalanceClassifier(
        name, epochs=3, batch_size=64, random_state=0, min_positives=1, device="cuda", precision="bf16-mixed"
    )
    p = model.fit(IMAGES, Y, validation_data=(IMAGES[::2], Y[::2])).predict_proba(IMAGES)
    assert np.isfinite(p).all()


OF_VALUES = ("BMCLoss", "BNILoss", "FocalRLoss", "GAILoss", "PinballLoss")


@pytest.mark.parametrize("name", [n for n in loss.__all__ if n.endswith("Loss") and n not in OF_VALUES])
def test_losses_are_those_of_a_cpu(name):
    wanted = {
        "CDBLoss": (3,),
        "FocalLoss": (),
        "DiceLoss": (),
        "SelfAdjustingDiceLoss": (),
        "TverskyLoss": (),
    }
    made = getattr(loss, name)(*wanted.get(name, (COUNTS,)))
    logits = torch.tensor(np.random.default_rng(0).normal(size=(30, 3)) * 5)
    target = torch.arange(30) % 3
    values, slopes = [], []
    for device in ("cpu", "cuda"):
        z = logits.to(device, copy=True).requires_grad_()
        value = copy.deepcopy(made).to(device)(z, target.to(device)).sum()
        value.backward()
        values.append(value.item())
        slopes.append(z.grad.cpu())
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("order", [1, 2])
def test_the_hypergradient_is_that_of_a_cpu(order):
    found = []
    for device in ("cpu", "cuda"):
        model = network().to(device)
        found.append(
            flat(
                hypergradient(
                    model, cross_entropy, batch(0, device), [batch(1, device)], inner_lr=0.1, order=order
                ).grads
            )
        )
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", ["forward", "double"])
def test_the_weight_gradient_is_that_of_a_cpu(mode):
    found = []
    for device in ("cpu", "cuda"):
        model = network().to(device)
        result = weight_gradient(
            model, each, batch(0, device), lambda losses: torch.full_like(losses, 1 / 12), cross_entropy,
            batch(1, device), inner_lr=0.1, mode=mode,
        )  # fmt: skip
        found.append(result.grad.cpu())
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-11)


def test_steps_are_those_of_a_cpu():
    ends = []
    for device in ("cpu", "cuda"):
        model = network().to(device)
        trainer = MetaBalance(model, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1))
        for i in range(4):
            trainer.step(batch(2 * i, device), batch(2 * i + 1, device))
        ends.append(flat(model.parameters()))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("sampler", [SMOTE, ADASYN])
def test_new_rows_lie_where_those_of_a_cpu_do(sampler):
    X, y = torch.tensor(TABLE, dtype=torch.float64), torch.tensor(Y)
    here = sampler(seed=0).fit_resample(X, y)
    there = sampler(seed=0).fit_resample(X.cuda(), y.cuda())
    assert there[0].is_cuda
    torch.testing.assert_close(torch.bincount(here[1]), torch.bincount(there[1].cpu()))
    inside = [(rows[y_ == 2].amin(0).cpu(), rows[y_ == 2].amax(0).cpu()) for rows, y_ in (here, there)]
    assert (inside[1][0] >= X[y == 2].amin(0) - 1e-9).all()
    assert (inside[1][1] <= X[y == 2].amax(0) + 1e-9).all()


def test_trained_on_a_gpu_saved_and_used_on_a_cpu(tmp_path):
    import pandas as pd

    from metabalance.study.load import make_table
    from metabalance.study.ship import TrainedModel
    from metabalance.study.train import train_table

    frame = pd.DataFrame(np.tile(TABLE, (4, 1)) + rng.normal(size=(600, 5)) * 0.1, columns=list("abcde"))
    frame["y"] = np.tile(Y, 4)
    trained = train_table(
        make_table(frame, "y"), "erm", network={"epochs": 3, "batch_size": 64}, holdout=0.2
    ).model
    trained.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    features = frame.drop(columns="y")
    np.testing.assert_allclose(trained.predict_proba(features), again.predict_proba(features), atol=1e-5)


def test_a_run_goes_on_where_it_stopped_on_a_gpu(tmp_path):
    from lightning_fabric import Fabric

    from metabalance.data.batches import BatchLoader
    from metabalance.engine import Objective, fit
    from metabalance.sample import ShuffleSampler

    def train(epochs: int, checkpoint=None) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
        loader = BatchLoader(
            (torch.tensor(TABLE), torch.tensor(Y)), 32, ShuffleSampler(torch.tensor(Y), seed=0)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        objective = Objective(loss.WeightedCrossEntropy())
        fit(
            model, loader, objective=objective, optimizer=optimizer, epochs=epochs, checkpoint=checkpoint,
            fabric=Fabric(accelerator="cuda", devices=1),
        )  # fmt: skip
        return flat(model.parameters())

    train(2, tmp_path / "run.ckpt")
    torch.testing.assert_close(train(4, tmp_path / "run.ckpt"), train(4), rtol=1e-4, atol=1e-5)
