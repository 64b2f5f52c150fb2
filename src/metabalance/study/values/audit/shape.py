"""The shape of a target: skewness and tails, and values far from the rest.

Fences of the box plot: Tukey, "Exploratory Data Analysis", 1977.
"""

from typing import Any

import numpy as np
from scipy.stats import kurtosis, skew

from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, amount
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["check_shape", "shape"]

SKEWED, HEAVY = 1.0, 7.0
INNER, OUTER = 1.5, 3.0
FEWEST = 20  # rows; of fewer, moments mean nothing


def shape(y: np.ndarray) -> dict[str, Any]:
    """Moments and fences of a target.

    Args:
        y: ``(N,)``, not constant.

    Returns:
        ``skewness``; ``excess_kurtosis``, 0 for a normal distribution; ``logarithm``: ``"log"``, of values above 0,
        ``"log1p"``, from 0, or None; ``skewness_of_logarithm``; ``inner_fences`` and ``outer_fences``, 1.5 and 3 times the
        middle half beyond the quartiles; ``beyond_inner`` and ``beyond_outer``, shares.

    >>> told = shape(np.exp(np.random.default_rng(0).normal(size=5000)))
    >>> told["logarithm"], told["skewness"] > 3, abs(told["skewness_of_logarithm"]) < 0.1
    ('log', True, True)
    """
    unit = float(np.abs(y).max()) or 1.0
    scaled = y / unit  # squares of 1e200 overflow
    logarithm = "log" if y.min() > 0 else "log1p" if y.min() == 0 else None
    logged = None if logarithm is None else np.log(y) if logarithm == "log" else np.log1p(y)
    low, high = (float(q) for q in np.quantile(y, [0.25, 0.75]))
    told: dict[str, Any] = {
        "skewness": float(skew(scaled)), "excess_kurtosis": float(kurtosis(scaled)), "logarithm": logarithm,
        "skewness_of_logarithm": float(skew(logged)) if logged is not None and np.ptp(logged) > 0 else None,
    }  # fmt: skip
    for name, times in (("inner", INNER), ("outer", OUTER)):
        fences = [low - times * (high - low), high + times * (high - low)]
        told[f"{name}_fences"] = fences
        told[f"beyond_{name}"] = float(((y < fences[0]) | (y > fences[1])).mean()) if high > low else 0.0
    return told


def check_shape(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB102 and MB104."""
    part = Part(facts={"shape": {}})
    for t in subject.varying:
        y = subject.y[:, t]
        if len(y) < FEWEST:
            part.skipped |= dict.fromkeys(("MB102", "MB104"), f"there are fewer than {FEWEST} rows")
            return part
        told = part.facts["shape"][subject.names[t]] = shape(y)
        _skewed(subject, t, told, part)
        _far(subject, t, y, told, part)
    return part


def _skewed(subject: ValueSubject, t: int, told: dict[str, Any], part: Part) -> None:
    skewed, heavy = told["skewness"], told["excess_kurtosis"]
    if abs(skewed) < SKEWED and heavy < HEAVY:
        return
    long = f", its long tail {'above' if skewed > 0 else 'below'}" if abs(skewed) >= SKEWED else ""
    message = (
        f"the {subject.of(t)} has a skewness of {skewed:.2f}{long}, and an excess kurtosis of {heavy:.3g}"
    )
    after = told["skewness_of_logarithm"]
    if after is not None and abs(after) <= abs(skewed) / 2:
        of = "its logarithm" if told["logarithm"] == "log" else "the logarithm of 1 + its values"
        message += (
            f"; {of} has a skewness of {after:.2f}: predicted on that scale, errors count as ratios, and the largest values "
            "no longer rule the fit"
        )
    part.found("MB102", "info", message)


def _far(subject: ValueSubject, t: int, y: np.ndarray, told: dict[str, Any], part: Part) -> None:
    low, high = told["outer_fences"]
    if not told["beyond_outer"]:
        return
    beyond = np.flatnonzero((y < low) | (y > high))
    order = beyond[np.argsort(-np.maximum(low - y[beyond], y[beyond] - high), kind="stable")]
    farthest = ", ".join(f"{amount(y[row])} in row {subject.position[row] + 1}" for row in order[:3])
    message = (
        f"{len(beyond):,} rows ({percent(told['beyond_outer'])}) lie beyond the outer fences of the {subject.of(t)}, "
        f"{amount(low)} and {amount(high)}: {farthest}; they are the rare values themselves, or mistakes that rule squared errors"
    )
    part.found("MB104", "info", message, rows=tuple(map(int, order[:20])))
