"""Prior shift: probabilities learned under one class mix, restated for another.

Elkan, IJCAI 2001; Saerens, Latinne & Decaestecker, Neural Computation 2002. Sound as long as only the shares
of the classes differ, not what their members look like: re-sampling, class weights, case-control samples.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities, log_softmax

__all__ = ["sampling_prior", "shift_binary", "shift_log_prior", "shift_prior"]

Array = NDArray[Any]


def shift_prior(probs: ArrayLike, source_prior: ArrayLike, target_prior: ArrayLike) -> Array:
    r"""Restates probabilities: :math:`p'_c \propto p_c\, \pi'_c / \pi_c`.

    Equal priors give the input, bit for bit; shifting there and back does so up to rounding.

    Args:
        probs: ``(N, C)``, each row summing to 1.
        source_prior: Shares ``(C,)`` under which ``probs`` are calibrated; scaled to sum to 1.
        target_prior: Shares ``(C,)`` wanted.

    Returns:
        Probabilities ``(N, C)``, float64.

    Raises:
        ValueError: Rows that are no probabilities, impossible priors, or a class of source share 0 that is
            wanted: no factor brings it back.

    >>> shift_prior([[0.5, 0.5]], [0.5, 0.5], [0.9, 0.1])
    array([[0.9, 0.1]])
    """
    p = check_probabilities(probs, ndim=2)
    if _same(source_prior, target_prior, p):
        return p.copy()
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        return np.exp(shift_log_prior(np.log(p), source_prior, target_prior))


def shift_log_prior(log_probs: ArrayLike, source_prior: ArrayLike, target_prior: ArrayLike) -> Array:
    """As :func:`shift_prior`, on log-probabilities (or logits) ``(N, C)``; returns log-probabilities.

    >>> shift_log_prior([[0.0, 0.0]], [0.5, 0.5], [0.75, 0.25]).round(4)
    array([[-0.2877, -1.3863]])
    """
    z = np.asarray(log_probs, dtype=np.float64)
    if np.isnan(z).any():
        raise ValueError("log-probabilities must not be NaN; find out why the model gives them")
    _same(source_prior, target_prior, z)
    source, target = check_prior(source_prior), check_prior(target_prior)
    if ((source == 0) & (target > 0)).any():
        c = int(((source == 0) & (target > 0)).argmax())
        raise ValueError(f"class {c} has share 0 in the source prior: no shift can give it {target[c]:g}")
    with np.errstate(divide="ignore"):
        # Where both are 0 the class is impossible before and after.
        shift = np.where(target > 0, np.log(target) - np.log(np.where(source > 0, source, 1)), -np.inf)
        fallback = np.log(target)
    shifted = z + shift
    # All the mass on classes that are impossible under the target prior: nothing is left but that prior.
    shifted = np.where(np.isneginf(shifted).all(1, keepdims=True), fallback, shifted)
    return log_softmax(shifted)


def shift_binary(scores: ArrayLike, source_rate: float, target_rate: float) -> Array:
    """As :func:`shift_prior`, on probabilities ``(N,)`` of the positive class and its share before and after.

    >>> shift_binary([0.5, 0.9], source_rate=0.5, target_rate=0.01).round(4)
    array([0.01  , 0.0833])
    """
    p = check_probabilities(scores, ndim=1)
    if source_rate == target_rate:
        return p.copy()
    pair = np.stack([1 - np.minimum(p, 1), p], axis=1)
    return shift_prior(pair, [1 - source_rate, source_rate], [1 - target_rate, target_rate])[:, 1]


def sampling_prior(prior: ArrayLike, sampling_rate: ArrayLike) -> Array:
    """The class shares of a sample that keeps each class at its own rate (a case-control sample).

    King & Zeng, Political Analysis 2001. With ``1 / sampling_rate`` it leads back to the population.

    Args:
        prior: Population shares ``(C,)``.
        sampling_rate: Kept share of each class ``(C,)``, or anything proportional to it; above 0.

    Returns:
        Shares ``(C,)``, summing to 1.

    Raises:
        ValueError: Impossible shares or rates, or not one rate per class.

    >>> sampling_prior([0.998, 0.002], [0.01, 1.0]).round(3)  # all frauds, 1 % of the rest
    array([0.833, 0.167])
    """
    share, rate = check_prior(prior), np.asarray(sampling_rate, dtype=np.float64)
    if rate.shape != share.shape or not np.isfinite(rate).all() or (rate <= 0).any():
        raise ValueError(
            f"sampling_rate must be {len(share)} numbers above 0, but {rate.tolist()} were given"
        )
    return check_prior(share * rate)


def _same(source: ArrayLike, target: ArrayLike, scores: Array) -> bool:
    a, b = check_prior(source), check_prior(target)
    if scores.ndim != 2 or not scores.shape[1] == len(a) == len(b):
        raise ValueError(
            f"scores must be (N, C) and both priors (C,), but have shapes {scores.shape}, {a.shape} "
            f"and {b.shape}"
        )
    return bool(np.array_equal(a, b))
