"""Balanced MSE where the solution is known on paper: a line through targets that cluster around one value."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from metabalance.densities import bin_edges
from metabalance.loss import BMCLoss, BNILoss, GAILoss, binned_prior, gaussian_prior
from metabalance.study.reproduce.base import Contrast, Experiment, Published

CENTRE, SPREAD, NOISE = 5.0, 0.5, 1.0
ROWS = 1024
MSE, GAI, GAI_FITTED, BMC, BNI = "squared error", "GAI, true prior", "GAI, fitted prior", "BMC", "BNI"
SHRINKS, RECOVERS = "i. the squared error learns slope 0.2", "ii. Balanced MSE recovers slope 1"


def line_task(seed: int, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Inputs and targets ``(N,)``: y ~ N(5, 0.5), x = y minus standard normal noise; the true line is y = x."""
    generator = torch.Generator().manual_seed(seed)
    y = CENTRE + SPREAD * torch.randn(rows, generator=generator, dtype=torch.float64)
    return y - NOISE * torch.randn(rows, generator=generator, dtype=torch.float64), y


def fit_line(x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
    """Slope and intercept that minimise a loss over all rows, found by L-BFGS from the least squares line.

    >>> x, y = line_task(0)
    >>> slope, _ = fit_line(x, y, lambda p, t: (p - t).square().mean())
    >>> round(slope, 1)
    0.2
    """
    centred = x - x.mean()
    slope = (centred * (y - y.mean())).sum() / centred.square().sum()
    line = torch.stack([slope, y.mean()]).requires_grad_()
    optimizer = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(line[0] * centred + line[1], y)
        value.backward()
        return value

    optimizer.step(closure)
    a, b = line.tolist()
    return a, b - a * float(x.mean())


def measure(condition: str, seed: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """Each loss's slope, its distance from 0.2 and from 1, and its squared error on evenly spread targets."""
    x, y = line_task(seed)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        MSE: lambda p, t: (p - t).square().mean(),
        GAI: GAILoss([1.0], [CENTRE], [SPREAD**2], noise=NOISE),
        GAI_FITTED: GAILoss(*gaussian_prior(y), noise=NOISE),
        BMC: BMCLoss(noise=NOISE),
        BNI: BNILoss(*binned_prior(y, bin_edges(y, num_bins=100)), noise=NOISE),
    }
    even = torch.linspace(0, 10, 1001, dtype=torch.float64)
    found = {}
    for name, loss in losses.items():
        slope, intercept = fit_line(x, y, loss)
        error = (slope * even + intercept - even).square().mean()
        found[name] = {
            "slope": slope,
            "from_shrunk": slope - 0.2,
            "from_true": slope - 1,
            "mse": float(error),
        }
    return found


EXPERIMENT = Experiment(
    name="balanced-mse-line",
    paper="balanced_mse",
    statement=(
        "Where targets cluster, least squares shrinks predictions towards them; Balanced MSE with the true noise recovers the "
        "true line."
    ),
    published=Published(
        "On paper: least squares has slope 0.2, intercept 4 and a squared error of 5.33 on targets spread evenly over 0 to 10; "
        "GAI with the true prior has slope 1 and error 0.",
        "The authors' one-dimensional task: y ~ N(5, 0.5), x = y minus standard normal noise, a linear model.",
        "confirmed",
        "the authors' code, and the closed form of its optimum",
    ),
    arms={
        MSE: "least squares",
        GAI: "the prior in closed form, one Gaussian with the true mean and variance",
        GAI_FITTED: "the same with eight components fitted to the training targets",
        BMC: "the batch's own targets, here all rows",
        BNI: "100 bins",
    },
    conditions={
        "line": f"{ROWS:,} rows, noise of 1 given to all losses; the optimum over all rows, by L-BFGS"
    },
    measure=measure,
    contrasts=(
        Contrast("least squares: slope 0.2", "from_shrunk", (("*", MSE, 1.0),), 0.05, True, SHRINKS),
        *(
            Contrast(f"{name}: slope 1", "from_true", (("*", name, 1.0),), 0.05, True, RECOVERS)
            for name in (GAI, GAI_FITTED, BMC, BNI)
        ),
    ),
    shown=("slope", "from_shrunk", "from_true", "mse"),
    seeds=40,
)
