"""The step in the library's own loop: same updates as by hand, with penalties, samplers and checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from metabalance.data.batches import BatchLoader
from metabalance.engine import Objective, fit
from metabalance.optimize import MetaBalance, MetaBalanceStep
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.tensor([0] * 50 + [1] * 10)
WEIGHT = torch.rand(60, generator=GENERATOR, dtype=torch.float64) + 0.5


class Spread(nn.Module):
    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        return features.square().mean()


def parts() -> tuple:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    objective = Objective(nn.CrossEntropyLoss(reduction="none"), [(Spread(), 0.1)])
    outer = BatchLoader((X, Y, WEIGHT), 20, ClassBalancedSampler(Y, seed=1))
    inner = BatchLoader((X, Y, WEIGHT), 24, ShuffleSampler(len(Y), seed=2))
    return model, objective, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), inner, outer


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("vectorize", [True, False])
def test_equals_the_users_own_loop(order: int, vectorize: bool) -> None:
    settings = {"inner_lr": 0.3, "order": order, "accumulate": 4, "leak": 0.05, "vectorize": vectorize}
    model, objective, optimizer, inner, outer = parts()
    history = fit(
        model,
        outer,
        objective=objective,
        optimizer=optimizer,
        step=MetaBalanceStep(inner_loader=inner, **settings),
        epochs=3,
    )
    twin, objective, optimizer, inner, outer = parts()
    trainer = MetaBalance(twin, objective, optimizer, **settings)
    drawn, passes = iter(inner), 0
    for epoch in range(3):
        outer.set_epoch(epoch)
        for batch in outer:
            other = next(drawn, None)
            if other is None:
                passes += 1
                inner.set_epoch(passes)
                drawn = iter(inner)
                other = next(drawn)
            trainer.step(other, batch)
    torch.testing.assert_close(weights(model), weights(twin), rtol=0, atol=1e-12)
    assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    def train(epochs: int, path: Path | None) -> Tensor:
        model, objective, optimizer, inner, outer = parts()
        # 5 batches an epoch and M = 4: at each checkpoint some look-aheads wait.
        step = MetaBalanceStep(inner_loader=inner, inner_lr=0.3, accumulate=4)
        fit(model, outer, objective=objective, optimizer=optimizer, step=step, epochs=epochs, checkpoint=path)
        return weights(model)

    train(2, tmp_path / "run.pt")
    assert torch.equal(train(5, tmp_path / "run.pt"), train(5, None))


def test_clipping_acts_on_the_averaged_gradient() -> None:
    model, objective, optimizer, inner, outer = parts()
    before = weights(model)
    step = MetaBalanceStep(inner_loader=inner, accumulate=5)
    fit(model, outer, objective=objective, optimizer=optimizer, step=step, epochs=1, clip_norm=1e-3)
    assert float((weights(model) - before).norm()) == pytest.approx(0.1 * 1e-3, rel=1e-5)
