"""Imbalance made to measure: rows are taken from balanced data until the classes have a given profile.

Long-tailed and step profiles after Cao, Wei, Gaidon, Arechiga & Ma, NeurIPS 2019, arXiv 1906.07413; step and
linear ones after Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381; one class against few-row
others after Bansal et al., "MetaBalance", 2021, arXiv 2106.09643. ``ratio`` is always the papers' ρ, the
largest count over the smallest (its inverse is the ``imb_factor`` of the long-tail codes).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "linear",
    "linear_counts",
    "long_tail",
    "long_tail_counts",
    "one_vs_rest",
    "step",
    "step_counts",
    "take_counts",
]


def long_tail_counts(num_classes: int, n_max: int, ratio: float) -> list[int]:
    r"""Counts :math:`\lfloor n_{\max}\, \rho^{-i/(C-1)} \rfloor`, largest first.

    >>> long_tail_counts(10, 5000, 100)
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    _check(num_classes, n_max, ratio)
    return [_floor(n_max * ratio ** (-i / (num_classes - 1))) for i in range(num_classes)]


def linear_counts(num_classes: int, n_max: int, ratio: float) -> list[int]:
    """Counts in an arithmetic progression from ``n_max`` down to ``n_max / ratio``, rounded down.

    >>> linear_counts(5, 100, 5)
    [100, 80, 60, 40, 20]
    """
    _check(num_classes, n_max, ratio)
    drop = (n_max - n_max / ratio) / (num_classes - 1)
    return [_floor(n_max - i * drop) for i in range(num_classes)]


def step_counts(num_classes: int, n_max: int, ratio: float, minority: float = 0.5) -> list[int]:
    """``n_max`` for the first classes and ``n_max / ratio``, rounded down, for the rest.

    Args:
        num_classes: The number of classes, at least 2.
        n_max: Rows of a majority class.
        ratio: Largest count over smallest.
        minority: Share of the classes that are small, the papers' μ.

    >>> step_counts(10, 5000, 10)
    [5000, 5000, 5000, 5000, 5000, 500, 500, 500, 500, 500]
    """
    _check(num_classes, n_max, ratio)
    if not 0 <= minority <= 1:
        raise ValueError(f"minority is a share of the classes, from 0 to 1, but {minority} was given")
    small = round(minority * num_classes)
    return [n_max] * (num_classes - small) + [_floor(n_max / ratio)] * small


def long_tail(
    target: Any, ratio: float, n_max: int | None = None, order: Sequence[int] | None = None, seed: int = 0
) -> np.ndarray:
    """Rows of an exponentially long-tailed subset; see :func:`long_tail_counts`.

    Args:
        target: Class indices ``(N,)``.
        ratio: Largest count over smallest, at least 1.
        n_max: Rows of the largest class; by default the smallest count in ``target``.
        order: Classes from the largest to the smallest; by default 0, 1, 2, ...
        seed: Chooses the rows.

    Returns:
        Row indices in rising order.

    Raises:
        ValueError: An impossible profile, or a class with too few rows for it.

    >>> y = np.repeat([0, 1, 2], 100)
    >>> np.bincount(y[long_tail(y, ratio=100)])
    array([100,  10,   1])
    """
    classes, n_max, order = _plan(target, n_max, order)
    return take_counts(target, dict(zip(order, long_tail_counts(classes, n_max, ratio))), seed)


def linear(
    target: Any, ratio: float, n_max: int | None = None, order: Sequence[int] | None = None, seed: int = 0
) -> np.ndarray:
    """Rows of a linearly imbalanced subset; see :func:`linear_counts`.

    The arguments are those of :func:`long_tail`.

    >>> y = np.repeat([0, 1, 2], 100)
    >>> np.bincount(y[linear(y, ratio=10)])
    array([100,  55,  10])
    """
    classes, n_max, order = _plan(target, n_max, order)
    return take_counts(target, dict(zip(order, linear_counts(classes, n_max, ratio))), seed)


def step(
    target: Any,
    ratio: float,
    minority: float = 0.5,
    n_max: int | None = None,
    order: Sequence[int] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Rows of a subset with large and small classes; see :func:`step_counts`.

    The other arguments are those of :func:`long_tail`.

    >>> y = np.repeat([0, 1, 2, 3], 100)
    >>> np.bincount(y[step(y, ratio=10, order=[3, 2, 1, 0])])
    array([ 10,  10, 100, 100])
    """
    classes, n_max, order = _plan(target, n_max, order)
    return take_counts(target, dict(zip(order, step_counts(classes, n_max, ratio, minority))), seed)


def one_vs_rest(
    target: Any, majority: int, n_majority: int | None = None, n_minority: int = 5, seed: int = 0
) -> np.ndarray:
    """Rows of a subset in which one class is large and all others have a handful of rows.

    MetaBalance's "severe" setting on CIFAR-10 is 5,000 rows of one class and 5 of each other.

    Args:
        target: Class indices ``(N,)``.
        majority: The large class.
        n_majority: Its rows; by default all.
        n_minority: Rows of each other class.
        seed: Chooses the rows.

    Returns:
        Row indices in rising order.

    Raises:
        ValueError: No such class, or a class with too few rows.

    >>> y = np.repeat([0, 1, 2], 100)
    >>> np.bincount(y[one_vs_rest(y, majority=1)])
    array([  5, 100,   5])
    """
    y = _labels(target)
    classes = np.unique(y)
    if majority not in classes:
        raise ValueError(f"majority={majority} is not among the classes {classes[:20].tolist()}")
    most = int((y == majority).sum()) if n_majority is None else n_majority
    return take_counts(y, {int(c): most if c == majority else n_minority for c in classes}, seed)


def take_counts(target: Any, counts: dict[int, int], seed: int = 0) -> np.ndarray:
    """Row indices, in rising order, of ``counts[c]`` random rows of each class ``c`` named.

    For one seed a smaller count takes a subset of the rows of a larger one, so that profiles are comparable.

    Raises:
        ValueError: A class has fewer rows than asked for.

    >>> take_counts([0, 0, 1, 1], {0: 2, 1: 1}).shape
    (3,)
    """
    y = _labels(target)
    taken = []
    for c, n in counts.items():
        rows = np.flatnonzero(y == c)
        if not 0 <= n <= len(rows):
            raise ValueError(
                f"{n} rows of class {c} were asked for, but it has {len(rows)}; choose a smaller n_max"
            )
        # A generator of its own for each class: the rows of one do not depend on the counts of others.
        taken.append(np.random.default_rng([seed, int(c)]).permutation(rows)[:n])
    return np.sort(np.concatenate(taken))


def _plan(target: Any, n_max: int | None, order: Sequence[int] | None) -> tuple[int, int, list[int]]:
    counts = np.bincount(_labels(target))
    order = list(range(len(counts))) if order is None else [int(c) for c in order]
    if sorted(order) != list(range(len(counts))):
        raise ValueError(f"order must name each class from 0 to {len(counts) - 1} once, but is {order}")
    return len(counts), int(counts.min()) if n_max is None else n_max, order


def _labels(target: Any) -> np.ndarray:
    y = np.asarray(target).reshape(-1)
    if not len(y) or y.dtype.kind not in "iu" or y.min() < 0:
        raise ValueError("target must be class indices (N,), integers from 0, and not empty")
    return y


def _check(num_classes: int, n_max: int, ratio: float) -> None:
    if num_classes < 2 or n_max < 1 or not 1 <= ratio < math.inf:
        raise ValueError(
            f"a profile needs at least 2 classes, 1 row and a ratio of at least 1, but "
            f"num_classes={num_classes}, n_max={n_max}, ratio={ratio} were given"
        )


def _floor(x: float) -> int:
    # 5000 * 1000 ** (-1/3) is 499.99999999999994 in floating point, and the published count is 500.
    return math.floor(x + 1e-6)
