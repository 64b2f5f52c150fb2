"""Metrics of more rows than memory holds: accumulators that are fed in pieces, merged across processes, and stored.

Each takes ``update(scores, target, sample_weight)`` and ``merge(other)``; ``state_dict()`` is plain arrays and
numbers. What they keep does not grow with the rows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.binned import Bounded, binned_value
from metabalance.judge.checks import check_rows
from metabalance.judge.metrics import Metric, get_metric
from metabalance.judge.tables import confusion

__all__ = ["ConfusionStream", "ScoreStream"]

Array = NDArray[Any]
BLOCK = 1 << 18  # rows looked at together: what an update needs beside the accumulator
LIMIT = 40.0  # logits beyond it share the outer bins; a float64 probability below 1 is within 37


class ConfusionStream:
    """Sums the table of true against predicted classes; every decision metric follows, exactly.

    Args:
        num_classes: C.

    >>> stream = ConfusionStream(2)
    >>> stream.update([0, 1], [0, 0]).update([1, 0], [1, 0]).value("accuracy")
    0.75
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, but {num_classes} was given")
        self.num_classes = num_classes
        self.table: Array = np.zeros((num_classes, num_classes))

    def update(
        self, prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "ConfusionStream":
        """Adds rows; the arguments are those of :func:`~metabalance.judge.confusion`."""
        self.table += confusion(prediction, target, sample_weight, num_classes=self.num_classes)
        return self

    def merge(self, other: "ConfusionStream") -> "ConfusionStream":
        """Adds what another one has seen."""
        _refuse_other(self.num_classes, other.num_classes, "num_classes")
        self.table += other.table
        return self

    def value(self, metric: str | Metric) -> float:
        """A decision metric of all rows so far, or NaN.

        Raises:
            ValueError: A metric of scores.
        """
        m = get_metric(metric) if isinstance(metric, str) else metric
        if m.kind != "decision":
            raise ValueError(f"{m.name} needs scores; a ScoreStream keeps what it takes")
        return m(*self.rows(), **({} if m.name == "expected_cost" else {"num_classes": self.num_classes}))

    def rows(self) -> tuple[Array, Array, Array]:
        """Predictions, targets and weights ``(C * C,)`` of the same table: one row for each cell."""
        true, called = np.indices(self.table.shape)
        return called.ravel(), true.ravel(), self.table.ravel()

    def state_dict(self) -> dict[str, Any]:
        """All of it, for :meth:`load`."""
        return {"table": self.table.copy()}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "ConfusionStream":
        """From a :meth:`state_dict`."""
        table = np.array(state["table"], dtype=np.float64)
        stream = cls(len(table))
        stream.table = table
        return stream


class ScoreStream:
    """Sums histograms of the scores of each class's rows and of all others; ranking metrics follow, within bounds.

    Rows whose scores share a bin count as tied. What their true order could change bounds the error: of the ROC
    AUC, half the share of positive-negative pairs within bins. Brier score, log loss and the calibration error in
    equal-width bins are summed beside them and are exact. It keeps ``16 * C * bins`` bytes (two classes: 1 MiB).

    Args:
        num_classes: C; for 2 the scores are ``(N,)`` of the positive class.
        bins: How many, even.
        scale: Bins of equal width in ``"logit"``, for probabilities: fine near 0, where rare positives are; or
            ``"linear"`` between the ``limits``, for any scores (then without Brier score, log loss and ECE).
        limits: Scores outside share the outer bins.
        ece_bins: Bins of the calibration error.

    >>> stream = ScoreStream().update([0.1, 0.4], [0, 0]).update([0.35, 0.8], [1, 1])
    >>> stream.value("roc_auc")
    Bounded(value=0.75, low=0.75, high=0.75, reason='')
    """

    def __init__(
        self,
        num_classes: int = 2,
        *,
        bins: int = 2**16,
        scale: str = "logit",
        limits: tuple[float, float] = (0.0, 1.0),
        ece_bins: int = 15,
    ) -> None:
        if num_classes < 2 or bins < 2 or bins % 2 or ece_bins < 1:
            raise ValueError("num_classes must be at least 2, bins even, and ece_bins at least 1")
        if scale not in ("logit", "linear") or not limits[0] < limits[1]:
            raise ValueError("scale must be 'logit', or 'linear' with limits (low, high)")
        self.num_classes, self.bins, self.scale = num_classes, bins, scale
        self.limits, self.ece_bins = (float(limits[0]), float(limits[1])), ece_bins
        # One class (the positive one) of two; else one against the rest for each.
        judged = 1 if num_classes == 2 else num_classes
        self.counts: Array = np.zeros((judged, 2, bins))  # class, others or own, bin
        self.gaps: Array = np.zeros(ece_bins)  # weight * (stated - hit)
        self.sums: Array = np.zeros(3)  # weight, weight * squared error, weight * log loss

    def update(
        self, scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "ScoreStream":
        """Adds rows.

        Args:
            scores: ``(N,)`` or ``(N, 2)`` for two classes, else ``(N, C)``; probabilities unless the scale is linear.
            target: Class indices ``(N,)``.
            sample_weight: Weights ``(N,)``.

        Raises:
            ValueError: NaN, scores that are no probabilities, or shapes that do not fit. Nothing has been added then.
        """
        s, y = np.asarray(scores), np.asarray(target)
        w = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        rows = max(len(y), len(s))
        # Of several blocks the last may be unsound: they are counted apart first.
        goal = self if rows <= BLOCK else type(self)(**self._settings())
        for i in range(0, rows, BLOCK):
            piece = slice(i, i + BLOCK)
            goal._add(*self._checked(s[piece], y[piece], None if w is None else w[piece]))
        return self if goal is self else self.merge(goal)

    def merge(self, other: "ScoreStream") -> "ScoreStream":
        """Adds what another one has seen.

        Raises:
            ValueError: It was made with other settings.
        """
        _refuse_other(self._settings(), other._settings(), "settings")
        self.counts += other.counts
        self.gaps += other.gaps
        self.sums += other.sums
        return self

    def value(self, metric: str | Metric) -> Bounded:
        """A metric of all rows so far, with the ends between which that of the rows themselves lies.

        Exact are ``brier``, ``log_loss`` and ``ece``; bounded are the areas and operating points that improve
        as positives move up: ``roc_auc``, ``average_precision``, ``partial_auc``, ``h_measure``, ``lift``,
        ``precision@100``, ``recall@precision>=0.9`` and their like.

        Raises:
            ValueError: A metric that histograms do not give.
        """
        m = get_metric(metric) if isinstance(metric, str) else metric
        if m.name in ("brier", "log_loss", "ece"):
            return self._exact(m.name)
        return binned_value(m, self.counts)

    def confusion(self, threshold: float) -> tuple[Array, float]:
        """Confusion table ``(2, 2)`` at the bin edge nearest to a threshold, and that edge: exact for the edge.

        Raises:
            ValueError: More than two classes.
        """
        if self.num_classes != 2:
            raise ValueError(f"a threshold is for two classes, but there are {self.num_classes}")
        first = int(np.clip(np.round(self._place(np.array([float(threshold)]))[0]), 0, self.bins))
        called = self.counts[0, :, first:].sum(1)
        return np.stack([self.counts[0].sum(1) - called, called], axis=1), float(self.edges()[first])

    def edges(self) -> Array:
        """Edges of the bins ``(bins + 1,)`` in the unit of the scores; a bin is (low, high]."""
        if self.scale == "linear":
            return np.linspace(*self.limits, self.bins + 1)
        return 1 / (1 + np.exp(-np.linspace(-LIMIT, LIMIT, self.bins + 1)))

    def state_dict(self) -> dict[str, Any]:
        """All of it, for :meth:`load`: arrays, and the settings as plain values."""
        return self._settings() | {
            "counts": self.counts.copy(),
            "gaps": self.gaps.copy(),
            "sums": self.sums.copy(),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "ScoreStream":
        """From a :meth:`state_dict`, or what ``numpy.load`` gives of one."""
        low, high = np.asarray(state["limits"], dtype=np.float64).tolist()
        stream = cls(
            int(state["num_classes"]), bins=int(state["bins"]), scale=str(state["scale"]), limits=(low, high),
            ece_bins=int(state["ece_bins"]),
        )  # fmt: skip
        for name in ("counts", "gaps", "sums"):
            array = np.array(state[name], dtype=np.float64)
            if array.shape != getattr(stream, name).shape:
                raise ValueError(
                    f"the state's {name} have shape {array.shape}, which is not that of its settings"
                )
            setattr(stream, name, array)
        return stream

    def _settings(self) -> dict[str, Any]:
        names = ("num_classes", "bins", "scale", "limits", "ece_bins")
        return {name: getattr(self, name) for name in names}

    def _checked(self, s: Array, y: Array, w: Array | None) -> tuple[Array, Array, Array]:
        s, y, w = check_rows(s, y, w)
        given = 2 if s.ndim == 1 else s.shape[1]
        if given != self.num_classes or y.max(initial=0) >= self.num_classes:
            raise ValueError(
                f"the stream is for {self.num_classes} classes, but scores of {given} were given, and targets up "
                f"to {int(y.max(initial=0))}"
            )
        low, high = s.min(initial=1), s.max(initial=0)
        if self.scale == "logit" and not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                "the scores must be probabilities, in [0, 1]; for others use scale='linear' and limits"
            )
        return (s[:, 1] if s.ndim == 2 and given == 2 else s), y, w

    def _place(self, scores: Array) -> Array:
        """Where scores lie on the axis of bins."""
        if self.scale == "linear":
            low, high = self.limits
            return (scores - low) * (self.bins / (high - low))
        with np.errstate(divide="ignore"):
            logit = np.log(scores) - np.log1p(-scores)
        return logit * (self.bins / (2 * LIMIT)) + self.bins / 2

    def _add(self, s: Array, y: Array, w: Array) -> None:
        if self.scale == "logit":
            s = np.clip(s, 0, 1)
        # (low, high], as probabilities are positive above one half and not at it.
        place = np.clip(np.ceil(self._place(s)), 1, self.bins).astype(np.int64) - 1
        columns = place[:, None] if place.ndim == 1 else place
        for c, counts in enumerate(self.counts):
            own = y == (1 if len(self.counts) == 1 else c)
            counts += np.bincount(columns[:, c] + own * self.bins, w, 2 * self.bins).reshape(2, -1)
        if self.scale == "logit":
            self._add_losses(s, y, w)
        self.sums[0] += w.sum()

    def _add_losses(self, p: Array, y: Array, w: Array) -> None:
        epsilon = np.finfo(np.float64).eps
        if p.ndim == 1:
            own, stated, hit = np.where(y == 1, p, 1 - p), p, y == 1
            self.sums[1] += w @ (p - y) ** 2
            own = np.minimum(own, 1 - epsilon)
        else:
            own, stated, hit = p[np.arange(len(y)), y], p.max(1), p.argmax(1) == y
            self.sums[1] += w @ ((p**2).sum(1) - 2 * own + 1)
        self.sums[2] -= w @ np.log(np.maximum(own, epsilon))
        index = np.clip(np.ceil(stated * self.ece_bins).astype(np.int64) - 1, 0, self.ece_bins - 1)
        self.gaps += np.bincount(index, w * (stated - hit), self.ece_bins)

    def _exact(self, name: str) -> Bounded:
        nan = float("nan")
        if self.scale != "logit":
            raise ValueError(f"{name} needs probabilities; make the stream with scale='logit'")
        if not self.sums[0] > 0:
            return Bounded(nan, nan, nan, "there are no rows")
        above = np.abs(self.gaps).sum() if name == "ece" else self.sums[1 if name == "brier" else 2]
        value = float(above / self.sums[0])
        return Bounded(value, value, value)


def _refuse_other(ours: Any, theirs: Any, what: str) -> None:
    if ours != theirs:
        raise ValueError(f"only streams of the same {what} can be merged: {ours} and {theirs} were given")
