"""SMOTER and SMOGN: new rows with rare target values, between neighbours or, where those are far, around a row.

Torgo, Ribeiro, Pfahringer & Branco, "SMOTE for Regression", EPIA 2013; Branco, Torgo & Ribeiro, "SMOGN: a Pre-processing
Approach for Imbalanced Regression", PMLR 74, 2017. Written from the papers. A neighbour counts as near within half the
median distance from the row to the others of its part.
"""

import torch
from torch import Tensor

from metabalance.sample.neighbours import nearest
from metabalance.sample.rare_values import RareResampler

__all__ = ["SMOGN"]

BLOCK = 1 << 24


class SMOGN(RareResampler):
    r"""Grows each run of rare values. A new row starts from a random row :math:`x_i` and one of its k nearest
    :math:`x_j` in the same run: if :math:`x_j` is near, it is :math:`x_i + u (x_j - x_i)` with the target moved by the
    same u; else it is :math:`x_i` plus Gaussian noise of the columns' standard deviations times
    :math:`\min(\text{noise}, \text{limit}_i)`, and so is its target.

    Distances are taken in the given columns: scale them first. Fit it on training rows only. ``noise=None`` always
    interpolates: that is SMOTER.

    Args:
        k: Neighbours; a run of at most k rows takes all its others, and one of a single row grows by noise alone.
        noise: The largest perturbation, in standard deviations.
        points, side, threshold, balance, undersample, seed: See :class:`~metabalance.sample.rare_values.RareResampler`.

    Attributes:
        note_: What had to differ from the settings, in one sentence; empty if nothing.
        source_index_: The row each comes from ``(M,)``; -1 for a new one.

    >>> X = torch.arange(12.0)[:, None]
    >>> new_X, new_y = SMOGN(k=2, points=[(5.0, 0.0), (10.0, 1.0)]).fit_resample(X, X[:, 0])
    >>> len(new_X), int((new_y > 7).sum())
    (12, 6)
    """

    def __init__(self, k: int = 5, noise: float | None = 0.02, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.k, self.noise = k, noise

    def fit_resample(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The rows kept, in the given order, and then the new ones, run by run.

        Args:
            X: Finite numbers ``(N, D)``.
            y: Target ``(N,)``.

        Returns:
            Rows ``(M, D)`` and targets ``(M,)``, of the given dtypes.

        Raises:
            ValueError: Settings outside their limits, values that are not finite, or nothing rare.
        """
        if self.k < 1 or (self.noise is not None and not 0 <= self.noise < float("inf")):
            raise ValueError(
                f"k must be at least 1 and noise at least 0 or None, but {self.k} and {self.noise} were given"
            )
        if X.dim() != 2 or not X.is_floating_point() or not bool(torch.isfinite(X).all()):
            raise ValueError(
                "new rows lie between given ones: X must be (N, D), finite floating-point numbers"
            )
        values, kept, grow, generator = self.plan(X, y)
        new_X, new_y, notes = [X[kept]], [values[kept]], []
        whole = X.std(0), values.std()
        for rows, size in grow:
            if len(rows) <= self.k:
                notes.append(f"a run of {len(rows)} rare rows took {len(rows) - 1} neighbours")
            more_X, more_y = self._grow(X[rows], values[rows], size, whole, generator)
            new_X.append(more_X)
            new_y.append(more_y)
        self.note_ = "; ".join(notes)
        self.source_index_ = torch.cat([kept, torch.full((sum(size for _, size in grow),), -1)])
        given = y.dtype if isinstance(y, Tensor) and y.is_floating_point() else torch.float64
        return torch.cat(new_X), torch.cat(new_y).to(given)

    def _grow(
        self, X: Tensor, y: Tensor, size: int, whole: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        seed = torch.randint(len(X), (size,), generator=generator)
        if len(X) == 1:
            reach = 0.02 if self.noise is None else self.noise
            limit = torch.full((1,), reach, dtype=X.dtype)
            return self._noisy(X, y, seed, limit, whole, generator)
        near = nearest(X, min(self.k, len(X) - 1))
        column = torch.randint(near.shape[1], (size,), generator=generator)
        other = near[seed, column]
        u = torch.rand(size, 1, generator=generator, dtype=X.dtype)
        between = X[seed].lerp(X[other], u), y[seed].lerp(y[other], u[:, 0].to(y.dtype))
        if self.noise is None:
            return between
        limit = half_median_distance(X, seed)
        far = torch.linalg.vector_norm(X[seed] - X[other], dim=1) >= limit[seed]
        spread = X.std(0), y.std()
        around = self._noisy(X, y, seed, limit.clamp_max(self.noise), spread, generator)
        return torch.where(far[:, None], around[0], between[0]), torch.where(far, around[1], between[1])

    def _noisy(
        self,
        X: Tensor,
        y: Tensor,
        seed: Tensor,
        limit: Tensor,
        spread: tuple[Tensor, Tensor],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        step = torch.randn(len(seed), X.shape[1], generator=generator, dtype=X.dtype) * spread[0]
        turn = torch.randn(len(seed), generator=generator, dtype=y.dtype) * spread[1]
        scale = limit[seed]
        return X[seed] + scale[:, None] * step, y[seed] + scale.to(y.dtype) * turn


def half_median_distance(X: Tensor, seed: Tensor) -> Tensor:
    """Half the median distance of rows to all others ``(n,)``, for those that ``seed`` names; 0 elsewhere.

    The lower median of an even number.

    >>> half_median_distance(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 2]))
    tensor([0.5000, 0.0000, 2.0000])
    """
    asked = seed.unique()
    # Centred, so that matrix products lose fewer digits.
    Z = X.double() - X.double().mean(0)
    Z = Z.to(X.dtype if X.dtype == torch.float64 else torch.float32)
    norms = Z.square().sum(1)
    out = torch.zeros(len(X), dtype=X.dtype)
    for rows in asked.split(max(1, BLOCK // len(X))):
        squared = torch.addmm(norms, Z[rows], Z.T, alpha=-2).add_(norms[rows][:, None])
        squared.scatter_(1, rows[:, None], -1.0)  # itself comes first, whatever the rounding
        # Of the n - 1 others the lower median, of all n the entry after it.
        middle = squared.kthvalue((len(X) - 2) // 2 + 2, dim=1).values
        out[rows] = middle.clamp_min(0).sqrt().to(X.dtype) / 2
    return out
