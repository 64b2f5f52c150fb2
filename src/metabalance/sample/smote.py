"""SMOTE: new examples of a small class on the lines between its neighbours.

Chawla, Bowyer, Hall & Kegelmeyer, "SMOTE: Synthetic minority over-sampling technique", JAIR 2002, arXiv
1106.1813. As in imbalanced-learn, the row and its neighbour are drawn uniformly with replacement; the paper goes
through the rows in turn. In pixels a line between two images means nothing: give it features
(:func:`metabalance.heads.features`), as DeepSMOTE does (Dablain, Krawczyk & Chawla 2021, arXiv 2105.02340).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import BLOCK, fresh
from metabalance.sample.neighbours import nearest

__all__ = ["SMOTE", "target_sizes"]


class SMOTE:
    r"""Grows small classes by points :math:`x_i + u\,(x_j - x_i)`, with :math:`u \sim U[0, 1)` and :math:`x_j` one of
    the k nearest neighbours of :math:`x_i` in its class.

    Distances are taken in the given columns: scale them first. Fit it on training rows only.

    Args:
        k: Neighbours. A class of at most k rows takes all its others; ``note_`` says so.
        target: Sizes afterwards: ``"auto"`` (every class as large as the largest), a ratio of the largest in
            ``(0, 1]``, or ``{class: size}``.
        seed: Everything random follows from it.

    Attributes:
        note_: What had to differ from the settings, in one sentence; empty if nothing.

    >>> X, y = torch.tensor([[0.0], [5.0], [6.0], [7.0]]), torch.tensor([1, 0, 0, 0])
    >>> X, y = torch.cat([X, torch.tensor([[1.0]])]), torch.cat([y, torch.tensor([1])])
    >>> new_X, new_y = SMOTE(k=1).fit_resample(X, y)
    >>> new_y.tolist(), bool(0 <= new_X[-1] <= 1)
    ([1, 0, 0, 0, 1, 1], True)
    """

    def __init__(self, k: int = 5, target: Any = "auto", seed: int = 0) -> None:
        self.k = k
        self.target = target
        self.seed = seed
        self.note_ = ""

    def fit_resample(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The given rows, then the new ones, class by class.

        Args:
            X: Finite numbers ``(N, ...)``; all dimensions but the first count as features.
            y: Class indices ``(N,)``.

        Returns:
            Rows ``(M, ...)`` of the same dtype and device, and their classes ``(M,)``.

        Raises:
            ValueError: An impossible setting, values that are not finite, or a class of one row that should grow.
        """
        return resampled(self, X, y, lambda rows, size, X, y, generator: self._grow(X[rows], size, generator))

    def _grow(self, X: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        near = nearest(X, min(self.k, len(X) - 1))
        pick = torch.randint(near.numel(), (size,), generator=generator).to(X.device)
        return X, pick // near.shape[1], near.reshape(-1)[pick]


def interpolate(X: Tensor, rows: Tensor, others: Tensor, generator: torch.Generator, out: Tensor) -> None:
    """Fills ``out`` ``(M, D)`` by points at a random place between ``X[rows]`` and ``X[others]``, in blocks."""
    step = max(1, 2 * BLOCK // max(X.shape[1], 1))
    other = X.new_empty(min(step, len(rows)), X.shape[1])
    for start in range(0, len(rows), step):
        part = torch.index_select(X, 0, rows[start : start + step], out=out[start : start + step])
        end = torch.index_select(X, 0, others[start : start + step], out=other[: len(part)])
        part.lerp_(end, torch.rand(len(part), 1, generator=generator, dtype=torch.float64).to(X))


def resampled(sampler: Any, X: Tensor, y: Tensor, grow: Any) -> tuple[Tensor, Tensor]:
    """What SMOTE and ADASYN share: checks, the sizes to reach, and the rows put together.

    ``grow(rows, size, X, y, generator)`` gives the points of a class ``(n, D)``, and for each new row the two of
    them that it lies between.
    """
    if len(X) != len(y) or not len(y) or y.dim() != 1 or y.is_floating_point():
        raise ValueError(
            f"X must be (N, ...) and y class indices (N,), but they have shapes {tuple(X.shape)} and {tuple(y.shape)}"
        )
    flat = X.reshape(len(X), -1)
    # The extremes carry a NaN along, and need no copy of the table.
    if not flat.is_floating_point() or not bool(torch.isfinite(torch.stack(torch.aminmax(flat))).all()):
        raise ValueError("new rows lie between given ones, which must be finite floating-point numbers")
    if sampler.k < 1:
        raise ValueError(f"k must be at least 1 neighbour, but {sampler.k} was given")
    generator = torch.Generator().manual_seed(sampler.seed)
    sizes = torch.bincount(y)
    jobs, notes = [], []
    for c, size in target_sizes(sizes, sampler.target).items():
        rows = torch.nonzero(y == c).reshape(-1)
        if len(rows) < 2:
            raise ValueError(
                f"{type(sampler).__name__} mixes rows of one class, but class {c} has {len(rows)}; "
                "use OverSampler, or leave the class out of target"
            )
        if len(rows) <= sampler.k:
            notes.append(f"class {c} has {len(rows)} rows, so {len(rows) - 1} neighbours were taken")
        jobs.append((c, *grow(rows, size - len(rows), flat, y, generator)))
    sampler.note_ = "; ".join(notes)
    ends = torch.tensor([len(X), *(len(first) for _, _, first, _ in jobs)]).cumsum(0).tolist()
    new_X = fresh((ends[-1], flat.shape[1]), flat)
    new_X[: len(X)] = flat
    new_y = torch.cat([y, *(torch.full_like(first, c, dtype=y.dtype) for c, _, first, _ in jobs)])
    for (_, points, first, second), start, end in zip(jobs, ends, ends[1:]):
        interpolate(points, first, second, generator, new_X[start:end])
    return new_X.reshape(-1, *X.shape[1:]), new_y


def target_sizes(sizes: Tensor, target: Any) -> dict[int, int]:
    """The classes to grow and their sizes afterwards; see :class:`SMOTE`.

    Args:
        sizes: Rows of each class ``(C,)``; a class without rows does not grow by itself.
        target: ``"auto"``, a ratio or ``{class: size}``.

    Raises:
        ValueError: Something else, or a size below what is there.

    >>> target_sizes(torch.tensor([10, 0, 4]), 0.5)
    {2: 5}
    """
    if isinstance(target, Mapping):
        for c, size in target.items():
            if not 0 <= c < len(sizes) or size < int(sizes[c]):
                there = int(sizes[c]) if 0 <= c < len(sizes) else 0
                raise ValueError(
                    f"target wants {size} rows of class {c}, which has {there}; name sizes of classes that "
                    "occur, not below what is there"
                )
        return {int(c): int(size) for c, size in target.items() if size > int(sizes[c])}
    ratio = 1.0 if target == "auto" else target
    if isinstance(ratio, str) or not 0 < ratio <= 1:
        raise ValueError(
            f"target={target!r} is unknown; use 'auto', a ratio above 0 and up to 1, or a mapping of sizes"
        )
    least = math.ceil(ratio * int(sizes.max()) - 1e-9)
    return {c: least for c, size in enumerate(sizes.tolist()) if 0 < size < least}
