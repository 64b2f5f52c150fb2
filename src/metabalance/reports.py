"""What a validation pass says of the outputs: one report for classes, one for values; the loop itself knows neither.

A report is ``(outputs (N, columns), target, weight or None, metric or None) -> dict`` with ``loss``, ``n`` (rows) and, with
a metric, ``monitor``; whatever else it holds reaches the parts' ``update``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["class_report", "value_report"]

Metric = Callable[[np.ndarray, np.ndarray], float]


def class_report(
    outputs: Tensor, target: Tensor, weight: Tensor | None = None, metric: Metric | None = None
) -> dict[str, Any]:
    """Of logits and class indices.

    Args:
        outputs: Logits ``(N, C)``.
        target: Classes ``(N,)``.
        weight: Weights ``(N,)`` of the loss.
        metric: ``(probabilities (N, C), target (N,)) -> float``.

    Returns:
        ``loss`` (mean cross-entropy), ``recall`` ``(C,)`` (NaN for classes without rows), ``support`` ``(C,)``
        (rows of each class), ``n`` and ``monitor``.

    >>> report = class_report(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    >>> report["support"].tolist(), round(report["loss"], 4)
    ([1, 1], 0.5032)
    """
    logits = outputs.float() if outputs.dtype != torch.float64 else outputs
    losses = F.cross_entropy(logits, target, reduction="none")
    classes = outputs.shape[1]
    support = torch.bincount(target, minlength=classes)
    hits = torch.bincount(target[outputs.argmax(1) == target], minlength=classes)
    report = {
        "loss": _mean(losses, weight),
        "recall": (hits / support).cpu(),
        "support": support.cpu(),
        "n": len(target),
    }
    if metric is not None:
        report["monitor"] = float(metric(outputs.double().softmax(1).cpu().numpy(), target.cpu().numpy()))
    return report


def value_report(
    outputs: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    metric: Metric | None = None,
    point: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Any]:
    """Of predictions of a continuous target.

    Args:
        outputs: Of the network ``(N, columns)``.
        target: ``(N, T)``.
        weight: Weights ``(N,)`` of the loss.
        metric: ``(predictions (N, T), target (N, T)) -> float``.
        point: Reads the predictions ``(N, T)`` off the outputs; without it they are the predictions.

    Returns:
        ``loss`` (mean squared error), ``n`` and ``monitor``.

    >>> value_report(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]]))
    {'loss': 2.0, 'n': 2}
    """
    outputs = outputs.double()
    prediction, target = (outputs if point is None else point(outputs)), target.double()
    report = {"loss": _mean((prediction - target).square().mean(1), weight), "n": len(target)}
    if metric is not None:
        report["monitor"] = float(metric(prediction.cpu().numpy(), target.cpu().numpy()))
    return report


def _mean(losses: Tensor, weight: Tensor | None) -> float:
    return float(losses.mean() if weight is None else (losses * weight).sum() / weight.sum())
