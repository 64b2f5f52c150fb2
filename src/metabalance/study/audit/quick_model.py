"""One quick model with cross-validated probabilities, which several checks share.

Gradient boosting on histograms for tables of few classes, logistic regression for many classes, wide tables and
images. Rows are capped: a sample takes every class evenly as far as it goes and the rest by size, and weights
restore the shares, so that probabilities are those of the whole table.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.judge.checks import Undefined
from metabalance.judge.intervals import Interval, delong_interval
from metabalance.judge.probability import log_loss
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["QuickModel", "binned", "check_signal", "coarse", "fit_quick_model", "spread_sample"]

FOLDS, FEWEST = 5, 5  # a class of fewer rows is not modelled
BOOSTED_CLASSES, BOOSTED_COLUMNS = 5, 200
CELLS, LINEAR_CELLS = 8_000_000, 20_000_000  # rows x columns x classes that are still quick
LEVELS = 254
GOLDEN, GOLDEN_AREA, BINS = 0.95, 0.75, 20


@dataclass(frozen=True, eq=False)
class QuickModel:
    """Cross-validated probabilities of a sample of rows.

    Attributes:
        rows: The sample ``(M,)``.
        y: Indices into ``classes`` ``(M,)``.
        classes: The classes that were modelled.
        probabilities: ``(M, len(classes))``, each from a model that did not see the row.
        weight: ``(M,)``; restores the shares of the classes.
        fold: Which fold each row was in ``(M,)``.
        name: What it is.
    """

    rows: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    weight: np.ndarray
    fold: np.ndarray
    name: str

    def facts(self, subject: Subject) -> dict[str, Any]:
        gone = np.setdiff1d(np.arange(len(subject.counts)), self.classes)
        return {
            "name": self.name, "rows": len(self.rows), "of": len(subject.y),
            "without_columns": [] if subject.images is not None
            else [str(c) for c in subject.useful.columns if c not in subject.honest.columns],
            "classes_left_out": [subject.target.classes[c] for c in gone],
        }  # fmt: skip


def spread_sample(y: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``most`` rows: half dealt evenly to the classes, half by their sizes.

    Args:
        y: Class indices ``(N,)``.
        most: At most about so many.
        seed: Of the choice.

    Returns:
        Rows ``(M,)``, sorted, and weights ``(M,)`` that restore the shares and average 1.

    >>> rows, weight = spread_sample(np.array([0] * 96 + [1] * 4), most=20, seed=0)
    >>> len(rows), weight.round(2).tolist()[::19]
    (20, [1.2, 0.2])
    """
    if len(y) <= most:
        return np.arange(len(y)), np.ones(len(y))
    counts = np.bincount(y)
    even = np.minimum(counts, most // (2 * np.count_nonzero(counts)))
    left = counts - even
    take = even + np.floor(left * (most - even.sum()) / max(left.sum(), 1)).astype(int)
    rng = np.random.default_rng(seed)
    rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(y == c))[:n] for c, n in enumerate(take)]))
    weight = (counts / np.maximum(take, 1))[y[rows]]
    return rows, weight / weight.mean()


def fit_quick_model(subject: Subject, plan: Plan) -> QuickModel | str:
    """The model, or why there is none."""
    modelled = np.flatnonzero(subject.counts >= FEWEST)
    if len(modelled) < 2:
        return f"fewer than two classes have {FEWEST} {subject.noun}s"
    boosted = subject.images is None and len(modelled) <= BOOSTED_CLASSES and subject.width <= BOOSTED_COLUMNS
    models = max(len(modelled) - 1, 1)
    cells = CELLS if boosted else LINEAR_CELLS
    most = min(plan.model_rows, max(cells // (subject.seen_width * models), 500, 4 * len(modelled)))
    allowed = np.flatnonzero(np.isin(subject.y, modelled))
    chosen, weight = spread_sample(np.searchsorted(modelled, subject.y[allowed]), most, plan.seed)
    rows = allowed[chosen]
    y = np.searchsorted(modelled, subject.y[rows])
    try:
        x = subject.matrix(rows)
    except DataError as error:
        return str(error)
    x = coarse(x) if boosted else x
    fold = _folds(y, None if subject.groups is None else subject.groups[rows], plan.seed)
    out = np.zeros((len(y), len(modelled)))
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        model = _booster(plan.seed) if boosted else _logistic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a logistic regression that has not converged is quick enough
            model.fit(x[train], y[train], sample_weight=weight[train])
        out[np.ix_(np.flatnonzero(test), model.classes_)] = model.predict_proba(x[test])
    name = "gradient boosting" if boosted else "logistic regression"
    return QuickModel(rows, y, modelled, out, weight, fold, name)


def check_signal(subject: Subject, plan: Plan, model: QuickModel | str) -> Part:
    """MB029 and MB031: is there anything to learn, and is it all in one column?"""
    part = Part(facts={"quick_model": None})
    if isinstance(model, str):
        part.skipped = {"MB029": model, "MB031": model}
        return part
    facts = part.facts["quick_model"] = model.facts(subject)
    positive = np.flatnonzero(model.classes == subject.target.positive)
    if not len(positive):
        part.skipped = dict.fromkeys(("MB029", "MB031"), "the positive class has too few rows to be modelled")
        return part
    p, is_positive = model.probabilities[:, positive[0]], (model.y == positive[0]).astype(int)
    area = delong_interval(p, is_positive)
    loss = log_loss(model.probabilities, model.y, model.weight)
    shares = np.bincount(model.y, model.weight) / model.weight.sum()
    chance = float(-(shares * np.log(shares)).sum())
    facts |= {
        "roc_auc": _plain(area), "log_loss": float(loss), "log_loss_of_shares": chance,
        "planned_metric": planned_value(model, subject, plan.metric),
    }  # fmt: skip
    name = subject.label(subject.target.positive)
    if area.low <= 0.5 or area.value < 0.5 or not loss < chance:
        why = (
            f"its ROC AUC for class {name} is {area.value:.2f} [{area.low:.2f}, {area.high:.2f}], and 0.5 is guessing"
            if area.low <= 0.5
            else f"its log loss, {loss:.3g}, is no better than the {chance:.3g} of always giving the class shares"
        )
        part.found("MB029", "warning", f"a quick model ({model.name}) does no better than guessing: {why}")
    _golden(subject, model, is_positive, area.value, part)
    return part


def planned_value(model: QuickModel, subject: Subject, metric: str) -> float | None:
    """What the quick model reaches in the planned metric, weighted to the whole table; None if undefined."""
    from metabalance.judge.metrics import get_metric

    positive = int(np.flatnonzero(model.classes == subject.target.positive)[0])
    scores, y = model.probabilities, model.y
    if len(model.classes) == 2 and positive == 0:
        scores, y = scores[:, ::-1], 1 - y
    try:
        value = get_metric(metric)(scores, y, model.weight)
    except (ValueError, Undefined, TypeError):
        return None
    return float(value) if np.isfinite(value) else None


def _golden(subject: Subject, model: QuickModel, y: np.ndarray, area: float, part: Part) -> None:
    """A column that alone ranks as well as the model, by the rate of its bin in the other folds."""
    if subject.images is not None or subject.honest.shape[1] < 2:
        part.skipped["MB031"] = "it needs a table of two columns or more"
        return
    frame = subject.honest.iloc[model.rows]
    found = []
    best, best_name = 0.0, None
    for name, column in frame.items():
        value = _column_area(binned(column), y, model.fold)
        if value > best:
            best, best_name = value, str(name)
        if value >= GOLDEN_AREA and 2 * value - 1 >= GOLDEN * (2 * area - 1):
            found.append((str(name), value))
    part.facts["quick_model"] |= {"best_column": best_name, "best_column_roc_auc": best}
    if found:
        named = listed([f"{name!r} ({value:.3f})" for name, value in found])
        message = (
            f"{named} alone ranks class {subject.label(subject.target.positive)} nearly as well as all columns "
            f"together (ROC AUC {area:.3f})"
        )
        part.found("MB031", "info", message, columns=tuple(name for name, _ in found))


def binned(column: Any) -> np.ndarray:
    """A column in at most 22 bins, or its levels ``(N,)``; what is missing has its own."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        known = values[~np.isnan(values)]
        if len(np.unique(known[:1000])) > BINS or len(np.unique(known)) > BINS:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return pd.factorize(column, use_na_sentinel=False)[0]


def _column_area(codes: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    from metabalance.judge.ranking import roc_auc

    size, rate = int(codes.max()) + 1, y.mean()
    total, hits = np.bincount(codes, minlength=size), np.bincount(codes, y, size)
    score = np.empty(len(y))
    for k in np.unique(fold):
        test = fold == k
        n = total - np.bincount(codes[test], minlength=size)
        h = hits - np.bincount(codes[test], y[test], size)
        score[test] = ((h + rate) / (n + 1))[codes[test]]
    return float(roc_auc(score, y))


def _folds(y: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Fold numbers ``(M,)``; groups stay whole if every fold can have every class."""
    from metabalance.study.splits import make_splits

    fold = np.zeros(len(y), dtype=int)
    folds = min(FOLDS, int(np.bincount(y).min()))
    try:
        splits = make_splits(y, folds=folds, seed=seed, groups=groups)
    except DataError:
        splits = make_splits(y, folds=folds, seed=seed)
    for split in splits:
        fold[split.test] = split.fold
    return fold


def coarse(x: np.ndarray) -> np.ndarray:
    """Ranks in at most 255 steps. The booster would bin by itself, but with weights it takes 50 times as long."""
    out = np.empty(x.shape, dtype=np.float32)
    for j, column in enumerate(x.T):
        levels = np.unique(column)
        if len(levels) > LEVELS:
            levels = np.unique(np.quantile(column, np.linspace(0, 1, LEVELS + 1)[1:-1], method="lower"))
        out[:, j] = np.searchsorted(levels, column, side="right")
    return out


def _booster(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, min_samples_leaf=5, l2_regularization=1.0, early_stopping=False,
        random_state=seed,
    )  # fmt: skip


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=100)


def _plain(interval: Interval) -> dict[str, float]:
    return {"value": float(interval.value), "low": float(interval.low), "high": float(interval.high)}
