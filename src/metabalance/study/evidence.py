"""What a report needs to know of one scored set, as plain JSON: counts, confusion, operating points, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metabalance.study.points import MOST, operating_points

__all__ = ["evidence", "training_record"]

MOST_SETS = 8  # classes, the rarest first, that get an explorer of their own
MOST_EPOCHS = 200


def evidence(
    scores: np.ndarray,
    target: np.ndarray,
    classes: Sequence[str],
    positive: int,
    decided: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    *,
    probabilities: bool = True,
    most: int = MOST,
) -> dict[str, Any]:
    """Counts, confusion, operating points and calibration of a scored set.

    Args:
        scores: ``(N,)`` of the positive class of two, otherwise ``(N, C)``.
        target: Class indices ``(N,)``.
        classes: Labels ``(C,)``.
        positive: Index of the positive class.
        decided: Class indices ``(N,)``, or None.
        weight: ``(N,)`` or None.
        probabilities: Whether the scores are.
        most: Operating points kept in all.
    """
    size, rows = len(classes), len(target)
    w = np.ones(rows) if weight is None else np.asarray(weight, dtype=np.float64)
    counts = np.bincount(target, w, size)
    found: dict[str, Any] = {
        "classes": [str(c) for c in classes],
        "positive": int(positive),
        "rows": rows,
        "counts": [float(c) for c in counts],
        "weighted": weight is not None,
        "confusion": None
        if decided is None
        else np.bincount(target * size + decided, w, size * size).reshape(size, size).tolist(),
    }
    if size == 2:
        shown = [(positive, scores if scores.ndim == 1 else scores[:, positive])]
    else:
        seen = [c for c in np.argsort(counts, kind="stable").tolist() if counts[c] > 0 and c != positive]
        shown = [(c, scores[:, c]) for c in [positive, *seen[: MOST_SETS - 1]]]
    each = most if len(shown) == 1 else max(most // len(shown), 3)
    found["points"] = [
        {"class": c, **operating_points(s, target == c, weight, most=each).to_dict()} for c, s in shown
    ]
    s = shown[0][1]
    found["calibration"] = calibration_bins(s, target == positive, w) if probabilities and rows else None
    return found


def calibration_bins(
    scores: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> dict[str, list[float]]:
    """Mean prediction, observed share and rows of bins that expect equally many positives.

    With equally many rows in each, a rare class would fill one bin only.
    """
    w = np.ones(len(scores)) if weight is None else weight
    order = np.argsort(scores, kind="stable")
    expected = np.cumsum((w * scores)[order])
    edges = np.searchsorted(expected, expected[-1] * np.arange(1, bins) / bins)
    parts = [part for part in np.split(order, np.unique(edges)) if w[part].sum() > 0]
    return {
        "predicted": [float(np.average(scores[p], weights=w[p])) for p in parts],
        "observed": [float(np.average(truth[p], weights=w[p])) for p in parts],
        "count": [float(w[p].sum()) if weight is not None else len(p) for p in parts],
    }


def training_record(model: Any, monitor: str) -> dict[str, Any] | None:
    """The training history of a fitted estimator, thinned; None for a model that keeps none."""
    history = getattr(model, "history_", None)
    if history is None or not history.epochs:
        return None
    step = -(-len(history.epochs) // MOST_EPOCHS)
    last = len(history.epochs) - 1
    kept = [e for i, e in enumerate(history.epochs) if i % step == 0 or i in (last, history.best_epoch)]
    return {
        "monitor_name": monitor,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        **{name: [_finite(e.get(name)) for e in kept] for name in ("epoch", "train_loss", "loss", "monitor")},
    }


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
