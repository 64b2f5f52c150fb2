"""Thresholding: class probabilities are divided by the class shares of the training set.

Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381, after Richard & Lippmann, Neural Computation 1991.
The shares are those of the set *before* any re-sampling, also for a network trained on a re-sampled one, which it
then over-corrects. The largest quotient is the prediction of post-hoc logit adjustment with ``tau=1``.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities

__all__ = ["prior_threshold"]

Array = NDArray[Any]


def prior_threshold(scores: ArrayLike, prior: ArrayLike, renormalize: bool = False) -> Array:
    r"""Divides probabilities by the prior: :math:`s_c = p_c / \pi_c`.

    Every class's scores are multiplied by one number, so that no one-vs-rest curve changes, only the largest of a
    row. Made to sum to 1 again (``renormalize=True``), rows are divided by different numbers, and the curves
    change too.

    Args:
        scores: Probabilities ``(N, C)``.
        prior: Class shares ``(C,)`` of the original training set, or counts. A class of share 0 is treated like
            the rarest other one.
        renormalize: Scale rows to sum to 1, which gives the probabilities under equal class shares.

    Returns:
        ``(N, C)``, float64.

    Raises:
        ValueError: Rows that are no probabilities, an impossible prior, or not one share for each class.

    >>> prior_threshold([[0.8, 0.2]], [0.9, 0.1]).round(3)
    array([[0.889, 2.   ]])
    """
    p, share = check_probabilities(scores, ndim=2), check_prior(prior)
    if p.shape[1] != len(share):
        raise ValueError(f"the prior has {len(share)} shares, but the scores have {p.shape[1]} columns")
    out: Array = p / np.where(share > 0, share, share[share > 0].min())
    return out / out.sum(axis=1, keepdims=True) if renormalize else out
