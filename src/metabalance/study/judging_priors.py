"""The same scores where positives have other shares: what a figure of a case-control sample is worth in the field."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.judge import Metric, get_metric, metric_against_prior
from metabalance.study.scored import Scored

__all__ = ["at_priors", "parse_priors"]

DEFAULT = ("average_precision", "precision", "recall", "roc_auc")


def parse_priors(text: str) -> tuple[float, ...]:
    """Shares of the positive class from ``0.1,1%``.

    Raises:
        DataError: Something that is no share between 0 and 1.

    >>> parse_priors("0.1, 1%")
    (0.1, 0.01)
    """
    shares = []
    for part in text.split(","):
        word = part.strip()
        try:
            share = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise DataError(
                f"--priors {word!r} is no share of positives; write for instance 0.1,0.01 or 10%,1%"
            )
        shares.append(share)
    return tuple(shares)


def at_priors(
    scored: Scored,
    decision: np.ndarray | None,
    priors: Sequence[float],
    metrics: Sequence[Metric] = (),
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Metrics of scored rows, weighted as if the positive class had other shares.

    Args:
        scored: The rows, of two classes.
        decision: Decided class indices ``(N,)``, the same at every share; None leaves metrics of decisions out.
        priors: Shares of the positive class.
        metrics: By default average precision, precision, recall and ROC AUC.
        level: Of each interval, by a stratified bootstrap.
        resamples: Of the bootstrap.
        seed: Of the resamples.

    Returns:
        For each metric its ``name``, ``title`` and ``points`` (prior, value, low, high).

    Raises:
        DataError: More than two classes, or a class without rows.
    """
    if len(scored.classes) != 2:
        raise DataError(f"--priors is for two classes, but {scored.name} has {len(scored.classes)}")
    if not scored.counts.all():
        raise DataError(f"--priors needs rows of both classes, but {scored.name} has only one of them")
    found = []
    chosen = list(metrics) or [get_metric(name) for name in DEFAULT]
    for metric in [m for m in chosen if m.kind == "score" or decision is not None]:
        given: Any = scored.scores if metric.kind == "score" else decision
        curve = metric_against_prior(
            given,
            scored.target,
            metric,
            list(priors),
            scored.weight,
            n_boot=resamples,
            level=level,
            seed=seed,
        )
        points = [
            {"prior": prior, "value": float(value), "low": float(low), "high": float(high)}
            for prior, value, low, high in zip(priors, curve.value, curve.low, curve.high)
        ]
        found.append({"name": metric.name, "title": metric.title, "points": points})
    return found
