"""Post-hoc logit adjustment: the log prior is subtracted at prediction, so that rare classes can win.

Menon, Jayasumana, Rawat, Jain, Veit & Kumar, ICLR 2021, arXiv 2007.07314. At ``tau=1`` it is division of the
probabilities by the prior. Never on top of a loss that already adjusts, or on probabilities already shifted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_target

__all__ = ["PosthocLogitAdjustment"]

Array = NDArray[Any]
TAUS = np.linspace(0, 1.5, 31)


class PosthocLogitAdjustment:
    r"""Scores :math:`z_c - \tau \log \pi_c`, whose largest is the prediction.

    A uniform prior, or ``tau=0``, changes nothing. A class of share 0 is treated like the rarest other one.
    The authors' code adds 1e-12 to :math:`\pi^\tau` instead, which leaves such a class free to win every row.

    Args:
        priors: Class shares ``(C,)`` in training, or counts.
        tau: How much of the prior is taken out.

    Raises:
        ValueError: Impossible priors, or a ``tau`` that is not finite; in the calls, NaN or shapes that do not fit.

    ``tau_`` is the tau in use: the one given, or the one found by :meth:`fit_tau`.

    >>> adjust = PosthocLogitAdjustment([0.9, 0.1])
    >>> adjust(np.log([[0.8, 0.2]])).round(3)  # 0.2 is twice the share of class 1
    array([[-0.118,  0.693]])
    """

    def __init__(self, priors: ArrayLike, tau: float = 1.0) -> None:
        share = check_prior(priors)
        if not np.isfinite(tau):
            raise ValueError(f"tau must be a finite number, but {tau} was given")
        self.priors = np.where(share > 0, share, share[share > 0].min())
        self.tau = tau
        self.tau_ = tau

    def __call__(self, logits: ArrayLike) -> Array:
        """Adjusted scores ``(N, C)`` of logits or log-probabilities ``(N, C)``; rows no longer sum to 1."""
        z = np.asarray(logits, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != len(self.priors) or np.isnan(z).any():
            raise ValueError(f"logits must be (N, {len(self.priors)}) without NaN, but have shape {z.shape}")
        return z - self.tau_ * np.log(self.priors)

    def fit_tau(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        objective: str = "balanced_accuracy",
        sample_weight: ArrayLike | None = None,
        grid: ArrayLike = TAUS,
    ) -> "PosthocLogitAdjustment":
        """Chooses ``tau_`` on held-out data: the value of ``grid`` that scores best, of equals the smallest.

        Args:
            logits: ``(N, C)``.
            target: Class indices ``(N,)``; fewer than two classes leave ``tau_`` as given.
            objective: ``"balanced_accuracy"`` or ``"f1_macro"``, over the classes that occur.
            sample_weight: Weights ``(N,)``.
            grid: Values to try.
        """
        measure = label_objective(objective)
        y, w = check_target(target, len(np.asarray(logits)), len(self.priors), sample_weight)
        if len(np.unique(y[w > 0])) < 2:
            self.tau_ = self.tau
            return self
        best = -np.inf
        chosen = self.tau
        for tau in np.asarray(grid, dtype=np.float64):
            self.tau_ = float(tau)
            value = measure(self(logits).argmax(1), y, w)
            if value > best:
                best, chosen = value, float(tau)
        self.tau_ = chosen
        return self


def label_objective(name: str) -> Callable[[Array, Array, Array], float]:
    """``(labels, target, weight) -> value``, the mean over the classes that occur in the target."""
    if name not in ("balanced_accuracy", "f1_macro"):
        raise ValueError(f"objective={name!r} is unknown; use 'balanced_accuracy' or 'f1_macro'")

    def measure(label: Array, y: Array, w: Array) -> float:
        size = int(max(label.max(), y.max())) + 1
        hit = np.bincount(y[label == y], w[label == y], size)
        true, called = np.bincount(y, w, size), np.bincount(label, w, size)
        here = true > 0
        below = true if name == "balanced_accuracy" else (true + called) / 2
        return float(np.mean(hit[here] / below[here]))

    return measure
