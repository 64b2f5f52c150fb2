"""Class counts, and all that follows from them: priors, weights, imbalance ratio, shot groups.

One resolver, :func:`class_weights`, gives ``class_weight`` the same meaning in every loss, sampler,
estimator and tree baseline of the library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "class_counts",
    "class_priors",
    "class_weights",
    "effective_number",
    "gini",
    "imbalance_ratio",
    "shot_groups",
]

CLASS_WEIGHTS = ("balanced", "sqrt", "effective")


def class_counts(target: Any, num_classes: int | None = None, sample_weight: Any = None) -> Tensor:
    """Counts, or the summed weights, of each class.

    Args:
        target: Class indices ``(N,)``, integers from 0.
        num_classes: The number of classes; by default the largest index plus one. Classes that do
            not occur count 0.
        sample_weight: Weights ``(N,)``; by default one each.

    Returns:
        Counts ``(C,)``, float64.

    Raises:
        ValueError: An index is not whole, negative or not below ``num_classes``, or there is not one weight
            for each.

    >>> class_counts([0, 0, 0, 1])
    tensor([3., 1.], dtype=torch.float64)
    """
    given = target if isinstance(target, Tensor) else np.asarray(target)
    if isinstance(given, np.ndarray) and given.dtype.kind not in "biuf":
        raise ValueError(f"class indices are whole numbers, not {given.dtype}; encode the labels first")
    given = torch.as_tensor(given).reshape(-1)
    y = given.long()
    if given.is_floating_point() and bool((given != y).any()):
        raise ValueError(
            "class indices are whole numbers, but the target holds others; encode the labels first"
        )
    if y.numel() and int(y.min()) < 0:
        raise ValueError(f"class indices start at 0, but {int(y.min())} was given; encode the labels first")
    size = int(num_classes) if num_classes is not None else (int(y.max()) + 1 if y.numel() else 0)
    if y.numel() and int(y.max()) >= size:
        raise ValueError(f"class index {int(y.max())} does not fit num_classes={size}")
    weight = (
        None if sample_weight is None else torch.as_tensor(sample_weight, dtype=torch.float64).reshape(-1)
    )
    if weight is not None and len(weight) != len(y):
        raise ValueError(f"there are {len(y)} class indices, but {len(weight)} sample weights")
    return torch.bincount(y, weight, minlength=size).to(torch.float64)


def class_priors(counts: Any) -> Tensor:
    """Shares of the classes ``(C,)``, float64, summing to one.

    >>> class_priors([3, 1])
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    n = _counts(counts)
    return n / n.sum()


def effective_number(counts: Any, beta: float = 0.9999) -> Tensor:
    r"""Effective number of samples :math:`E_n = (1-\beta^n)/(1-\beta)` of each class ``(C,)``.

    ``beta=0`` gives 1 for every class, ``beta=1`` the counts themselves (the limit). Cui et al., CVPR 2019,
    arXiv 1901.05555.

    Raises:
        ValueError: ``beta`` is outside ``[0, 1]``.

    >>> effective_number([10, 1], beta=0.9)
    tensor([6.5132, 1.0000], dtype=torch.float64)
    """
    n = _counts(counts)
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must lie between 0 and 1, but {beta} was given")
    if beta == 1:
        return n
    if beta == 0:
        return (n > 0).to(n.dtype)
    # expm1: near beta = 1 the direct power loses all its digits.
    return -torch.expm1(n * np.log(beta)) / (1 - beta)


def class_weights(
    counts: Any,
    class_weight: str | Mapping[Any, float] | Sequence[float] | Tensor | None,
    classes: Sequence[Any] | None = None,
    *,
    beta: float = 0.9999,
) -> Tensor:
    r"""The one resolver of ``class_weight``.

    ========================  ==============================================================
    ``None``                  1 for every class
    ``"balanced"``            :math:`N / (C n_c)`, scikit-learn's formula
    ``"sqrt"``                proportional to :math:`1/\sqrt{n_c}`
    ``"effective"``           proportional to :math:`1/E_{n_c}` (see :func:`effective_number`)
    ``{label: weight}``       as given; labels not named weigh 1
    sequence ``(C,)``         as given
    ========================  ==============================================================

    The named ones are scaled so that the average weight of an *example* is one: the learning rate keeps
    its meaning. A class without examples weighs 0.

    Args:
        counts: Class counts ``(C,)``.
        class_weight: See the table.
        classes: The labels ``(C,)``, for a mapping; by default ``0 .. C-1``.
        beta: For ``"effective"``.

    Returns:
        Weights ``(C,)``, float64.

    Raises:
        ValueError: An unknown name, an unknown label, a negative or infinite weight, or a wrong length.

    >>> class_weights([90, 10], "balanced")
    tensor([0.5556, 5.0000], dtype=torch.float64)
    >>> class_weights([90, 10], {"fraud": 4.0}, classes=["good", "fraud"])
    tensor([1., 4.], dtype=torch.float64)
    """
    n = _counts(counts)
    if class_weight is None:
        return torch.ones_like(n)
    if isinstance(class_weight, str):
        if class_weight not in CLASS_WEIGHTS:
            raise ValueError(
                f"class_weight={class_weight!r} is unknown; use None, one of "
                f"{', '.join(map(repr, CLASS_WEIGHTS))}, or a dictionary from label to weight"
            )
        scale = {"balanced": n, "sqrt": n.sqrt(), "effective": effective_number(n, beta)}[class_weight]
        raw = torch.where(n > 0, 1 / scale.clamp_min(torch.finfo(n.dtype).tiny), torch.zeros_like(n))
        return raw * (n.sum() / (n * raw).sum())
    if isinstance(class_weight, Mapping):
        labels = list(range(len(n))) if classes is None else list(classes)
        if len(labels) != len(n):
            raise ValueError(f"{len(labels)} class labels were given for {len(n)} counts")
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown[0]!r}, which is not among the classes {labels[:20]}"
            )
        weights = torch.tensor([float(class_weight.get(label, 1.0)) for label in labels], dtype=n.dtype)
    else:
        weights = torch.as_tensor(class_weight, dtype=n.dtype).reshape(-1)
        if len(weights) != len(n):
            raise ValueError(f"class_weight has {len(weights)} entries, but there are {len(n)} classes")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise ValueError(f"class weights must be finite and not negative, but {weights.tolist()} were given")
    return weights


def imbalance_ratio(counts: Any) -> float:
    """Largest count over smallest; infinite when a class is empty.

    >>> imbalance_ratio([90, 10])
    9.0
    """
    n = _counts(counts)
    return float(n.max() / n.min()) if float(n.min()) > 0 else float("inf")


def gini(counts: Any) -> float:
    """Gini coefficient of the class sizes: 0 when equal, towards 1 when one class holds everything.

    >>> gini([50, 50])
    0.0
    """
    n = _counts(counts).sort().values
    size = len(n)
    rank = torch.arange(1, size + 1, dtype=n.dtype)
    return float(2 * (rank * n).sum() / (size * n.sum()) - (size + 1) / size)


def shot_groups(counts: Any, many: int = 100, few: int = 20) -> dict[str, Tensor]:
    """Class indices of the many-shot (> ``many``), medium and few-shot (< ``few``) groups.

    The thresholds on *training* counts are those of Liu et al., CVPR 2019, arXiv 1904.05160.

    >>> shot_groups([500, 50, 5])["few"]
    tensor([2])
    """
    n = _counts(counts)
    index = torch.arange(len(n))
    return {"many": index[n > many], "medium": index[(n <= many) & (n >= few)], "few": index[n < few]}


def _counts(counts: Any) -> Tensor:
    n = torch.as_tensor(counts, dtype=torch.float64).reshape(-1)
    if not len(n) or not bool(torch.isfinite(n).all()) or bool((n < 0).any()) or float(n.sum()) <= 0:
        raise ValueError(
            f"class counts must be finite, not negative and not all 0, but {n.tolist()} were given"
        )
    return n
