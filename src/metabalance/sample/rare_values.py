"""Rare values of a continuous target: their relevance, and over-sampling of the rows that have them.

Torgo & Ribeiro, "Utility-Based Regression", PKDD 2007 (the relevance function); Branco, Torgo & Ribeiro, "Pre-processing
approaches for imbalanced distributions in regression", Neurocomputing 2019 (random over-sampling). Written from the papers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metabalance.densities import as_values

__all__ = ["RareOverSampler", "box_plot_points", "relevance"]

SIDES = ("both", "high", "low")


def relevance(target: Any, points: Sequence[tuple[float, float]]) -> Tensor:
    r"""How much each value matters, from 0 to 1 ``(N,)``: a smooth curve through points of value and relevance.

    Piecewise cubic Hermite, flat in every point, so that it is monotone between them; beyond the first and last it is
    constant.

    Args:
        target: Values ``(N,)``.
        points: ``(value, relevance)``, values increasing; of :func:`box_plot_points`, or the user's own.

    Raises:
        ValueError: Values that are not finite, fewer than one point, or points that do not increase.

    >>> relevance([0.0, 5.0, 7.5, 10.0, 99.0], [(5.0, 0.0), (10.0, 1.0)])
    tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    y = as_values(target)
    x = torch.tensor([float(a) for a, _ in points], dtype=y.dtype)
    phi = torch.tensor([float(b) for _, b in points], dtype=y.dtype)
    if (
        not len(x)
        or not bool(torch.isfinite(x).all())
        or bool((x.diff() <= 0).any())
        or bool(((phi < 0) | (phi > 1)).any())
    ):
        raise ValueError(
            "points of relevance are (value, relevance) with increasing values and relevances from 0 to 1, but "
            f"{list(points)} were given"
        )
    if len(x) == 1:
        return phi.expand(len(y)).clone()
    right = torch.searchsorted(x, y).clamp(1, len(x) - 1)
    t = ((y - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
    return phi[right - 1] + (phi[right] - phi[right - 1]) * t**2 * (3 - 2 * t)


def box_plot_points(target: Any, side: str = "both", reach: float = 1.5) -> list[tuple[float, float]]:
    """Points of relevance from the box plot: 0 at the median, 1 at the end of a whisker that has outliers beyond it.

    Args:
        target: Training values ``(N,)``.
        side: Which rare values matter: ``"high"``, ``"low"`` or ``"both"``.
        reach: Of the whiskers, in interquartile ranges; they end at the last value within it.

    Raises:
        ValueError: No value lies beyond the whiskers on such a side: then nothing is rare by this rule, and points have
            to be given.

    >>> box_plot_points([1, 2, 3, 4, 5, 6, 7, 8, 9, 50.0])
    [(5.5, 0.0), (9.0, 1.0)]
    """
    if side not in SIDES:
        raise ValueError(f"side={side!r} is unknown; use 'both', 'high' or 'low'")
    y = as_values(target)
    low, middle, high = torch.quantile(y, torch.tensor([0.25, 0.5, 0.75], dtype=y.dtype)).tolist()
    top, bottom = high + reach * (high - low), low - reach * (high - low)
    points = [(middle, 0.0)]
    if side != "low" and bool((y > top).any()):
        points.append((float(y[y <= top].max()), 1.0))
    if side != "high" and bool((y < bottom).any()):
        points.insert(0, (float(y[y >= bottom].min()), 1.0))
    # Where more than half of the rows share one value, box and whiskers shrink to it.
    points = [p for p in points if p[1] == 0 or p[0] != middle] if len(points) > 1 else points
    if len(points) < 2:
        raise ValueError(
            f"no value of the target lies beyond the whiskers of its box plot (side={side!r}), so none is rare by that "
            "rule; give points such as [(median, 0), (value that matters, 1)]"
        )
    return points


class Partition(NamedTuple):
    """Rows ``(n,)`` whose targets are neighbours and are all rare, or all common."""

    rows: Tensor
    rare: bool


def partitions(target: Tensor, phi: Tensor, threshold: float) -> list[Partition]:
    """The rows in order of the target, cut wherever relevance crosses the threshold.

    >>> [(p.rows.tolist(), p.rare) for p in partitions(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 0.0, 0.0]), 0.5)]
    [([1, 2], False), ([0], True)]
    """
    order = target.argsort(stable=True)
    rare = phi[order] >= threshold
    sizes = rare.unique_consecutive(return_counts=True)[1].tolist()
    kinds = rare.unique_consecutive().tolist()
    return [Partition(rows, kind) for rows, kind in zip(order.split(sizes), kinds)]


def wanted_sizes(parts: list[Partition], balance: str) -> list[int]:
    """Rows of each part afterwards: all equal, or in inverse order of what they were; the total stays."""
    n = torch.tensor([len(p.rows) for p in parts], dtype=torch.float64)
    wanted = (
        torch.full_like(n, float(n.mean())) if balance == "equal" else (1 / n) * (n.sum() / (1 / n).sum())
    )
    return [max(1, round(size)) for size in wanted.tolist()]


class RareResampler:
    """What over-samplers of rare values share: which rows are rare, how many are wanted, and what is kept.

    Args:
        points: Of :func:`relevance`; None takes :func:`box_plot_points`.
        side: See there.
        threshold: Rows of at least this relevance are rare, above 0.
        balance: ``"equal"``: every run of rare or of common values as large as any other; ``"inverse"``: the rarer, the
            larger.
        undersample: Whether common rows are dropped down to the wanted size.
        seed: Everything random follows from it.

    After ``fit_resample``: ``source_index_`` ``(M,)``, the row each comes from (-1 for a new one), and ``note_``.
    """

    def __init__(
        self,
        points: Sequence[tuple[float, float]] | None = None,
        side: str = "both",
        threshold: float = 0.5,
        balance: str = "equal",
        undersample: bool = True,
        seed: int = 0,
    ) -> None:
        self.points, self.side, self.threshold = points, side, threshold
        self.balance, self.undersample, self.seed = balance, undersample, seed
        self.note_ = ""

    def plan(self, X: Tensor, y: Any) -> tuple[Tensor, Tensor, list[tuple[Tensor, int]], torch.Generator]:
        """The target, the rows that are kept, and for each rare part its rows and how many to add.

        Raises:
            ValueError: Unknown settings, shapes that do not fit, values that are not finite, or nothing rare.
        """
        if not 0 < self.threshold <= 1 or self.balance not in ("equal", "inverse"):
            raise ValueError(
                f"threshold must lie above 0 and up to 1 and balance be 'equal' or 'inverse', but {self.threshold} and "
                f"{self.balance!r} were given"
            )
        values = as_values(y)
        if len(X) != len(values):
            raise ValueError(f"X and y must have as many rows, but have {len(X)} and {len(values)}")
        points = box_plot_points(values, self.side) if self.points is None else self.points
        parts = partitions(values, relevance(values, points), self.threshold)
        if not any(p.rare for p in parts) or all(p.rare for p in parts):
            some = "all" if parts[0].rare else "none"
            raise ValueError(
                f"{some} of the rows have a relevance of at least {self.threshold}; there must be rare and common ones: "
                "give other points or another threshold"
            )
        generator = torch.Generator().manual_seed(self.seed)
        kept, grow = [], []
        for part, size in zip(parts, wanted_sizes(parts, self.balance)):
            rows = part.rows
            if part.rare and size > len(rows):
                grow.append((rows, size - len(rows)))
            elif not part.rare and self.undersample and size < len(rows):
                rows = rows[torch.randperm(len(rows), generator=generator)[:size]]
            kept.append(rows)
        return values, torch.cat(kept).sort().values, grow, generator


class RareOverSampler(RareResampler):
    """Repeats random rows with rare target values, and drops random common ones, until both are as wanted.

    Arguments as for :class:`RareResampler`.

    >>> X = torch.arange(12.0)[:, None]
    >>> sampler = RareOverSampler(points=[(5.0, 0.0), (10.0, 1.0)])
    >>> new_X, new_y = sampler.fit_resample(X, X[:, 0])
    >>> len(new_X), int((new_y > 7).sum())
    (12, 6)
    """

    def fit_resample(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``(M, ...)`` and targets ``(M,)``: those kept, in the given order, and then the repeated ones.

        Raises:
            ValueError: See :meth:`RareResampler.plan`.
        """
        _, kept, grow, generator = self.plan(X, y)
        more = [rows[torch.randint(len(rows), (size,), generator=generator)] for rows, size in grow]
        self.source_index_ = torch.cat([kept, *more])
        return X[self.source_index_], torch.as_tensor(y)[self.source_index_]
