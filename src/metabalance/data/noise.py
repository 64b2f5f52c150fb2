r"""Wrong labels made to measure: symmetric, asymmetric, or drawn towards the large classes.

A noise model is its transition matrix ``(C, C)``, rows the true class, columns the label given. Symmetric noise
after Patrini, Rozza, Menon, Nock & Qu, CVPR 2017, arXiv 1609.03683, who also give the pairs of CIFAR-10; pair
flips after Han et al., NeurIPS 2018, arXiv 1804.06872; noise in proportion to class sizes as in CurveNet
(Jiang et al., AAAI 2022, arXiv 2201.00849; from the authors' code).

The papers draw each label on its own, so that a class of five rows at a rate of 0.4 may lose none or all of
them. Here the counts are exact: of the :math:`n_c` rows of class c, :math:`\text{round}(n_c (1 - T_{cc}))` are
relabelled (a half is rounded up), shared among the other classes as near to row c of the matrix as whole
numbers allow, ties by lot. Which rows they are is drawn by the seed, for each class on its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "CIFAR10_PAIRS",
    "apply_noise",
    "asymmetric_matrix",
    "asymmetric_noise",
    "proportional_matrix",
    "proportional_noise",
    "symmetric_matrix",
    "symmetric_noise",
]

# Truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog (Patrini et al. 2017).
CIFAR10_PAIRS = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}


def symmetric_matrix(num_classes: int, rate: float, *, include_own: bool = False) -> np.ndarray:
    r""":math:`1 - r` on the diagonal and :math:`r / (C - 1)` beside it.

    Args:
        num_classes: C.
        rate: r, the share of wrong labels.
        include_own: The other convention, :math:`(1 - r) I + r / C`: a label is redrawn among all classes, its own
            included, so that only :math:`r (C - 1) / C` are wrong (Meta-Weight-Net's uniform noise).

    >>> symmetric_matrix(3, 0.5)
    array([[0.5 , 0.25, 0.25],
           [0.25, 0.5 , 0.25],
           [0.25, 0.25, 0.5 ]])
    """
    _check(num_classes, rate)
    if include_own:
        return (1 - rate) * np.eye(num_classes) + rate / num_classes
    off = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(off, 1 - rate)
    return off


def asymmetric_matrix(num_classes: int, rate: float, mapping: Mapping[int, int] | None = None) -> np.ndarray:
    """A share ``rate`` of class c becomes ``mapping[c]``; classes that are not in the mapping stay clean.

    Args:
        num_classes: C.
        rate: The share of wrong labels in each class of the mapping.
        mapping: By default the pair flip ``c -> c + 1``, the last class becoming the first.

    >>> asymmetric_matrix(3, 0.25)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])
    """
    _check(num_classes, rate)
    if mapping is None:
        mapping = {c: (c + 1) % num_classes for c in range(num_classes)}
    wrong = [(c, k) for c, k in mapping.items() if not (0 <= c < num_classes and 0 <= k < num_classes)]
    if wrong:
        raise ValueError(f"mapping holds {wrong[0]}, but classes are numbered from 0 to {num_classes - 1}")
    matrix = np.eye(num_classes)
    for c, k in mapping.items():
        matrix[c, c] -= rate
        matrix[c, k] += rate
    return matrix


def proportional_matrix(counts: Any, rate: float) -> np.ndarray:
    r""":math:`(1 - r)\, I + r\, 1 \pi^\top`: a label is redrawn by the class shares :math:`\pi`.

    The large classes then receive most of the wrong labels, and the rare ones are buried.

    Args:
        counts: Class sizes ``(C,)``.
        rate: r; the share of wrong labels in class c is :math:`r (1 - \pi_c)`.

    >>> proportional_matrix([80, 20], 0.5)
    array([[0.9, 0.1],
           [0.4, 0.6]])
    """
    share = np.asarray(counts, dtype=np.float64)
    _check(len(share), rate)
    return (1 - rate) * np.eye(len(share)) + rate * share / share.sum()


def apply_noise(target: Any, matrix: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels under a transition matrix, with exact counts.

    Args:
        target: Class indices ``(N,)``.
        matrix: ``(C, C)``, rows sum to 1.
        seed: Chooses the rows, and settles ties.

    Returns:
        The noisy labels ``(N,)``, and whether each is wrong ``(N,)``.

    Raises:
        ValueError: ``target`` is not class indices below C, or the matrix is none of transitions.

    >>> noisy, wrong = apply_noise([0] * 8 + [1] * 4, [[0.75, 0.25], [0, 1]])
    >>> int(wrong.sum()), np.bincount(noisy)
    (2, array([6, 6]))
    """
    y, matrix = np.asarray(target).reshape(-1), np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a transition matrix is (C, C), but one of shape {matrix.shape} was given")
    if (matrix < -1e-12).any() or not np.allclose(matrix.sum(axis=1), 1):
        raise ValueError("the rows of a transition matrix are shares: not negative, and summing to 1")
    if y.dtype.kind not in "iu" or (len(y) and not 0 <= y.min() <= y.max() < len(matrix)):
        raise ValueError(f"target must be class indices from 0 to {len(matrix) - 1}")
    noisy = y.astype(np.int64)
    for c in np.unique(y):
        # A generator of its own for each class: the noise of one does not depend on the size of others.
        rng = np.random.default_rng([seed, int(c)])
        rows = rng.permutation(np.flatnonzero(y == c))
        others = np.maximum(matrix[c], 0)
        others[c] = 0
        flips = int(np.floor(len(rows) * others.sum() + 0.5 + 1e-9))
        noisy[rows[:flips]] = np.repeat(np.arange(len(matrix)), _shared(flips, others, rng))
    return noisy, noisy != y


def symmetric_noise(
    target: Any, rate: float, num_classes: int | None = None, seed: int = 0, *, include_own: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Labels ``(N,)`` with a share ``rate`` of every class wrong, evenly over the other classes, and which.

    See :func:`symmetric_matrix` and :func:`apply_noise`.

    >>> noisy, wrong = symmetric_noise([0] * 60 + [1] * 30 + [2] * 10, rate=0.2)
    >>> [int(wrong[a:b].sum()) for a, b in ((0, 60), (60, 90), (90, 100))]
    [12, 6, 2]
    """
    return apply_noise(
        target, symmetric_matrix(_classes(target, num_classes), rate, include_own=include_own), seed
    )


def asymmetric_noise(
    target: Any,
    rate: float,
    mapping: Mapping[int, int] | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels ``(N,)`` with a share ``rate`` of class c called ``mapping[c]``, and which are wrong.

    See :func:`asymmetric_matrix` and :func:`apply_noise`.

    >>> asymmetric_noise([0, 0, 1, 1, 2, 2], rate=0.5, mapping={0: 2})[1].tolist().count(True)
    1
    """
    return apply_noise(target, asymmetric_matrix(_classes(target, num_classes), rate, mapping), seed)


def proportional_noise(
    target: Any, rate: float, num_classes: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels ``(N,)`` redrawn with probability ``rate`` by the class shares of ``target``, and which are wrong.

    See :func:`proportional_matrix` and :func:`apply_noise`.

    >>> int(proportional_noise([0] * 80 + [1] * 20, rate=0.5)[1].sum())
    16
    """
    counts = np.bincount(np.asarray(target), minlength=_classes(target, num_classes))
    return apply_noise(target, proportional_matrix(counts, rate), seed)


def _shared(total: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers that sum to ``total``, as near to the weights' shares as possible, ties by lot."""
    if not total:
        return np.zeros(len(weights), dtype=np.int64)
    ideal = total * weights / weights.sum()
    share = np.floor(ideal + 1e-9).astype(np.int64)
    rest = np.where(weights > 0, np.round(ideal - share, 9), -1)
    order = np.lexsort((rng.permutation(len(weights)), -rest))
    share[order[: total - int(share.sum())]] += 1
    return share


def _classes(target: Any, num_classes: int | None) -> int:
    return int(np.max(target)) + 1 if num_classes is None else num_classes


def _check(num_classes: int, rate: float) -> None:
    if num_classes < 2 or not 0 <= rate <= 1:
        raise ValueError(
            f"label noise needs at least 2 classes and a rate from 0 to 1, but {num_classes} and {rate} were given"
        )
