"""Label shift: the class shares of new rows, estimated from a model's probabilities alone, without their labels.

EM (maximum likelihood): Saerens, Latinne & Decaestecker, Neural Computation 2002; needs calibrated probabilities.
BBSE (method of moments): Lipton, Wang & Smola, ICML 2018, arXiv 1802.03916; needs labelled rows of the old kind, but no
calibration. Both assume that only the shares of the classes have changed, not what their members look like.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities, check_target

__all__ = ["PriorEstimate", "estimate_prior_bbse", "estimate_prior_em"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PriorEstimate:
    """Estimated class shares with their bootstrap interval.

    Args:
        prior: Shares ``(C,)``, summing to 1; NaN where they cannot be estimated, and ``note`` says why.
        low: Lower ends ``(C,)``, NaN without a bootstrap.
        high: Upper ends ``(C,)``.
        level: Nominal coverage of each class's interval.
        method: ``"em"``, ``"bbse_soft"`` or ``"bbse_hard"``.
        condition_number: BBSE: of the confusion matrix with columns ``P(prediction | class)``; how many times over an
            error in the predictions' shares may grow. NaN for EM.
        iterations: EM: until it stood still.
        note: What the user should know, or empty.
    """

    prior: Array
    low: Array
    high: Array
    level: float
    method: str
    condition_number: float = float("nan")
    iterations: int = 0
    note: str = ""

    def __str__(self) -> str:
        shares = zip(self.prior, self.low, self.high)
        return f"{self.method}: " + ", ".join(f"{p:.4f} [{low:.4f}, {high:.4f}]" for p, low, high in shares)


def estimate_prior_em(
    probs: ArrayLike,
    source_prior: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    n_boot: int = 200,
    level: float = 0.95,
    seed: int = 0,
    tol: float = 1e-9,
    max_iter: int = 10_000,
) -> PriorEstimate:
    r"""The class shares that make the probabilities of new rows most likely.

    Probabilities are restated for the present shares, averaged to new shares, and so on: the likelihood
    :math:`\sum_i \log \sum_c \pi'_c\, p_{ic} / \pi_c` is concave, so that the shares reached do not depend on the
    start. Steps are extrapolated while the likelihood grows (Varadhan & Roland, 2008).

    Args:
        probs: ``(N, C)`` of the new rows, calibrated under ``source_prior``.
        source_prior: Shares ``(C,)`` in training.
        sample_weight: Weights ``(N,)`` of the new rows.
        n_boot: Bootstrap resamples of the new rows; 0 gives no interval. The model counts as given.
        level: Nominal coverage.
        seed: Of the resamples.
        tol: Ends when no share moves by more.
        max_iter: Ends here at the latest, and ``note`` says so.

    Raises:
        ValueError: Rows that are no probabilities, an impossible prior, a class of source share 0 with a probability
            above 0, or settings out of range.

    >>> probs = [[0.9, 0.1]] * 60 + [[0.1, 0.9]] * 40  # under equal shares
    >>> estimate_prior_em(probs, [0.5, 0.5], n_boot=0).prior.round(3)
    array([0.625, 0.375])
    """
    _check_bootstrap(n_boot, level)
    p, source = check_probabilities(probs, ndim=2), check_prior(source_prior)
    if len(source) != p.shape[1]:
        raise ValueError(f"source_prior has {len(source)} shares, but the probabilities {p.shape[1]} columns")
    if (p[:, source == 0] > 0).any():
        c = int(np.flatnonzero(source == 0)[0])
        raise ValueError(
            f"class {c} has share 0 in source_prior but probabilities above 0; give its true share"
        )
    w = _weights(sample_weight, len(p))
    size, nan = len(source), np.full(len(source), np.nan)
    if not w.sum() > 0:
        return PriorEstimate(nan, nan, nan, level, "em", note="there are no rows")
    ratio = p / np.where(source > 0, source, 1)
    # Equal rows count once: a bootstrap over a million rows of few distinct scores is then cheap.
    ratio, index = np.unique(ratio, axis=0, return_inverse=True)
    index = index.reshape(-1)
    mass = np.bincount(index, w, len(ratio))
    start = np.where(source > 0, source, 0)
    prior, steps = _climb(ratio, mass, start, tol, max_iter)
    note = "" if steps < max_iter else f"did not stand still within {max_iter} steps"
    if np.ptp(ratio[mass > 0], axis=0).max() == 0:
        note = "all rows have the same probabilities: they say nothing about the shares"
    drawn = np.full((n_boot, size), np.nan)
    for b, count in enumerate(_resamples(len(p), n_boot, seed)):
        resample = np.bincount(index, w * count, len(ratio))
        if resample.sum() > 0:
            drawn[b] = _climb(ratio, resample, prior * 0.9 + start * 0.1, max(tol, 1e-6), max_iter)[0]
    low, high = _ends(drawn, level)
    return PriorEstimate(prior, low, high, level, "em", iterations=steps, note=note)


def estimate_prior_bbse(
    val_probs: ArrayLike,
    val_target: ArrayLike,
    new_probs: ArrayLike,
    *,
    hard: bool = False,
    val_weight: ArrayLike | None = None,
    new_weight: ArrayLike | None = None,
    n_boot: int = 200,
    level: float = 0.95,
    seed: int = 0,
    max_condition: float = 1e4,
) -> PriorEstimate:
    r"""The class shares that explain the new rows' predictions by the confusion of labelled ones.

    Solves :math:`A\,\pi' = \mu`, where :math:`A_{jc}` is the share of prediction j within class c of the labelled rows
    and :math:`\mu_j` that among the new rows. Dividing by the old shares gives the paper's weights; columns of
    :math:`A` are conditional on the class, so that its condition number does not blame a class for being rare.

    Args:
        val_probs: ``(M, C)`` of labelled rows that the model was not trained on; they need not be calibrated.
        val_target: Their class indices ``(M,)``.
        new_probs: ``(N, C)`` of the new rows, by the same model.
        hard: Predictions are the most probable class (the paper's form); otherwise the probabilities themselves,
            which keeps more of what is known about a class that is never the most probable.
        val_weight: Weights ``(M,)``.
        new_weight: Weights ``(N,)``.
        n_boot: Bootstrap resamples of both sets of rows, the labelled ones within classes; 0 gives no interval.
        level: Nominal coverage.
        seed: Of the resamples.
        max_condition: Beyond this condition number the estimate is NaN.

    Returns:
        The estimate. Shares below 0 are set to 0, and ``note`` says so; a class without labelled rows or a confusion
        that cannot be inverted gives NaN.

    Raises:
        ValueError: Rows that are no probabilities, a target or shapes that do not fit, or settings out of range.

    >>> val = [[0.9, 0.1]] * 9 + [[0.2, 0.8]] + [[0.9, 0.1]] + [[0.2, 0.8]] * 4
    >>> new = [[0.9, 0.1]] * 50 + [[0.2, 0.8]] * 50  # 1 of 10 negatives and 4 of 5 positives are called positive
    >>> estimate = estimate_prior_bbse(val, [0] * 10 + [1] * 5, new, hard=True, n_boot=0)
    >>> estimate.prior.round(3), round(estimate.condition_number, 2)
    (array([0.429, 0.571]), 1.46)
    """
    _check_bootstrap(n_boot, level)
    a, b = check_probabilities(val_probs, ndim=2), check_probabilities(new_probs, ndim=2)
    size, method = a.shape[1], "bbse_hard" if hard else "bbse_soft"
    if b.shape[1] != size:
        raise ValueError(f"val_probs has {size} classes, but new_probs has {b.shape[1]}")
    y, v = check_target(val_target, len(a), size, val_weight)
    w = _weights(new_weight, len(b))
    if hard:
        a, b = np.eye(size)[a.argmax(1)], np.eye(size)[b.argmax(1)]
    nan, none = np.full(size, np.nan), float("nan")
    lacking = np.flatnonzero(np.bincount(y, v, size) == 0)
    if len(lacking) or not w.sum() > 0:
        said = f"class {lacking[0]} has no labelled rows" if len(lacking) else "there are no new rows"
        return PriorEstimate(nan, nan, nan, level, method, none, note=said)
    member = np.eye(size)[y]
    table = _conditional(a, member * v[:, None])
    condition = float(np.linalg.cond(table))
    if not condition <= max_condition:
        said = f"the confusion matrix cannot be inverted (condition number {condition:.3g})"
        if hard and (table.sum(1) == 0).any():
            said += f": class {int((table.sum(1) == 0).argmax())} is never predicted; use hard=False"
        return PriorEstimate(nan, nan, nan, level, method, condition, note=said)
    prior, clipped = _solved(table, w @ b / w.sum())
    groups = [np.flatnonzero(y == c) for c in range(size)]
    drawn = np.full((n_boot, size), np.nan)
    rng = np.random.default_rng(seed)
    for i, count in enumerate(_resamples(len(b), n_boot, seed + 1)):
        again = np.zeros(len(a))
        for rows in groups:
            again[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        within = member * (v * again)[:, None]
        weight = w * count
        if (within.sum(0) > 0).all() and weight.sum() > 0:
            resampled = _conditional(a, within)
            if np.linalg.cond(resampled) <= max_condition:
                drawn[i] = _solved(resampled, weight @ b / weight.sum())[0]
    low, high = _ends(drawn, level)
    note = f"shares came out below 0 and were set to 0: classes {clipped}" if clipped else ""
    return PriorEstimate(prior, low, high, level, method, condition, note=note)


def _climb(ratio: Array, weight: Array, prior: Array, tol: float, max_iter: int) -> tuple[Array, int]:
    """Squared extrapolation of EM steps, falling back on the plain step wherever that is better."""
    share = weight / weight.sum()

    def step(q: Array) -> tuple[Array, float]:
        mixed = ratio @ q
        with np.errstate(divide="ignore"):
            likelihood = float(share[share > 0] @ np.log(mixed[share > 0]))
        return q * (ratio.T @ (share / np.where(mixed > 0, mixed, 1))), likelihood

    q = prior
    for steps in range(1, max_iter + 1):
        first, _ = step(q)
        second, reached = step(first)
        if abs(second - first).max() <= tol * 0.1 or abs(first - q).max() <= tol * 0.1:
            return second / second.sum(), steps
        r, v = first - q, second - 2 * first + q
        length = -np.sqrt((r @ r) / max(float(v @ v), 1e-300))
        jump = q - 2 * length * r + length**2 * v
        q = second
        if length < -1 and (jump >= 0).all():
            after, likelihood = step(jump / jump.sum())
            if likelihood >= reached:
                q = after
    return q / q.sum(), max_iter


def _conditional(predictions: Array, weighted_member: Array) -> Array:
    return predictions.T @ weighted_member / weighted_member.sum(0)


def _solved(table: Array, shares: Array) -> tuple[Array, list[int]]:
    raw = np.linalg.solve(table, shares)
    below = np.flatnonzero(raw < -1e-12)
    raw = np.maximum(raw, 0)
    return raw / raw.sum(), below.tolist()


def _resamples(rows: int, n_boot: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    for _ in range(n_boot):
        yield np.bincount(rng.integers(rows, size=rows), minlength=rows)


def _ends(drawn: Array, level: float) -> tuple[Array, Array]:
    """Percentile ends ``(C,)`` of the resamples that have a value; NaN when fewer than half do."""
    defined = drawn[np.isfinite(drawn).all(1)]
    if not len(drawn) or len(defined) < len(drawn) / 2:
        nan = np.full(drawn.shape[1], np.nan)
        return nan, nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _weights(given: ArrayLike | None, rows: int) -> Array:
    return check_target(np.zeros(rows, dtype=np.int64), rows, 1, given)[1]


def _check_bootstrap(n_boot: int, level: float) -> None:
    if n_boot < 0 or not 0 < level < 1:
        raise ValueError(
            f"n_boot must be at least 0 and level between 0 and 1, but {n_boot} and {level} were given"
        )
