"""Two quick models, cross-validated: ridge regression and gradient boosting on histograms.

Rows are capped: a sample takes many, medium and few evenly as far as they go and the rest by size, and weights restore
the shares.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.judge.regions import Regions
from metabalance.judge.value_intervals import value_estimates
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.quick_model import binned, coarse, spread_sample
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["ValueModel", "check_value_signal", "error_by_density", "fit_value_model"]

FOLDS, FEWEST = 5, 30
BOOSTED_COLUMNS, CELLS, LINEAR_CELLS = 200, 8_000_000, 20_000_000
GOLDEN, GOLDEN_R2 = 0.95, 0.25
METRICS = ("mae", "bmae", "r2")
DRAWS = 200


@dataclass(frozen=True, eq=False)
class ValueModel:
    """Cross-validated predictions of a sample of rows.

    Attributes:
        rows: The sample ``(M,)``.
        weight: ``(M,)``; restores the shares of the regions.
        fold: Which fold each row was in ``(M,)``.
        predictions: By model, ``(M, T)`` of the targets that vary, each from a model that did not see the row.
        regions: Of these targets.
        estimates: By model, the figures with their intervals.
    """

    rows: np.ndarray
    weight: np.ndarray
    fold: np.ndarray
    predictions: dict[str, np.ndarray]
    regions: tuple[Regions, ...]
    estimates: dict[str, dict[str, Any]]

    @property
    def best(self) -> str:
        """The model with the larger R²."""
        return max(self.estimates, key=lambda name: np.nan_to_num(self.estimates[name]["r2"].value, nan=-1e9))

    def spread_among_rare(self, subject: ValueSubject) -> float | None:
        """Deviation of the absolute error among rare rows, as a share of its mean; the largest of the targets."""
        rare = np.flatnonzero(subject.rare[self.rows])
        if len(rare) < FEWEST // 3:
            return None
        error = np.abs(self.predictions[self.best][rare] - subject.y[self.rows[rare]][:, subject.varying])
        return float((error.std(axis=0, ddof=1) / np.maximum(error.mean(axis=0), 1e-300)).max())


def fit_value_model(subject: ValueSubject, plan: ValuePlan) -> ValueModel | str:
    """The models, or why there are none."""
    from metabalance.study.values.audit.planning import value_splits

    if not subject.varying:
        return "the target does not vary"
    if len(subject.y) < FEWEST:
        return f"there are fewer than {FEWEST} rows"
    boosted = subject.width <= BOOSTED_COLUMNS
    cells = (CELLS if boosted else LINEAR_CELLS) // len(subject.varying)
    most = min(plan.model_rows, max(cells // max(subject.seen_width, 1), 500))
    rows, weight = spread_sample(np.unique(subject.region, return_inverse=True)[1], most, plan.seed)
    try:
        x = subject.matrix(rows)
    except DataError as error:
        return str(error)
    y = subject.y[rows][:, subject.varying]
    groups = None if subject.groups is None else subject.groups[rows]
    try:
        splits = value_splits(y, folds=FOLDS, seed=plan.seed, groups=groups)
    except DataError:
        splits = value_splits(y, folds=FOLDS, seed=plan.seed)
    fold = np.zeros(len(y), dtype=int)
    mean = np.average(y, axis=0, weights=weight)
    regions = tuple(subject.regions[t] for t in subject.varying)
    scale = np.array([region.scale for region in regions])
    told = (y - mean) / scale
    makers = {"ridge regression": (_ridge, x)}
    if boosted:
        makers["gradient boosting"] = (_booster, coarse(x))
    predictions = {name: np.zeros_like(y) for name in makers}
    for split in splits:
        fold[split.test] = split.fold
        for name, (maker, seen) in makers.items():
            for t in range(y.shape[1]):
                model = maker(plan.seed).fit(
                    seen[split.train], told[split.train, t], sample_weight=weight[split.train]
                )
                predictions[name][split.test, t] = model.predict(seen[split.test])
    predictions = {name: p * scale + mean for name, p in predictions.items()}
    names = [subject.names[t] for t in subject.varying]
    estimates = {
        name: value_estimates(
            p,
            y,
            regions,
            METRICS,
            weight=weight,
            target_names=names,
            n_boot=DRAWS,
            method="percentile",
            seed=plan.seed,
        )
        for name, p in predictions.items()
    }
    return ValueModel(rows, weight, fold, predictions, regions, estimates)


def error_by_density(prediction: np.ndarray, y: np.ndarray, regions: Regions) -> list[dict[str, float]]:
    """For each bin that holds test rows: its ends, the rows near it, and its mean absolute error.

    Args:
        prediction: ``(N,)``.
        y: ``(N,)``.
        regions: Of this target.
    """
    index = regions.index(y)
    tested = np.bincount(index, minlength=len(regions.counts))
    error = np.bincount(index, np.abs(prediction - y), len(regions.counts))
    return [
        {
            "low": float(regions.edges[k]), "high": float(regions.edges[k + 1]), "rows": int(regions.counts[k]),
            "mae": float(error[k] / tested[k]),
        }
        for k in np.flatnonzero(tested)
    ]  # fmt: skip


def check_value_signal(subject: ValueSubject, plan: ValuePlan, model: ValueModel | str) -> Part:
    """MB029 and MB031: is there anything to learn, and is it all in one column?"""
    part = Part(facts={"quick_model": None})
    if isinstance(model, str):
        part.skipped = {"MB029": model, "MB031": model}
        return part
    best, y = model.best, subject.y[model.rows][:, subject.varying]
    found = model.estimates[best]
    facts = part.facts["quick_model"] = {
        "name": best, "rows": len(model.rows), "of": len(subject.y),
        "without_columns": [str(c) for c in subject.useful.columns if c not in subject.honest.columns],
        "models": {name: {key: _plain(v) for key, v in told.items()} for name, told in model.estimates.items()},
        "error_by_density": {
            subject.names[t]: error_by_density(model.predictions[best][:, i], y[:, i], model.regions[i])
            for i, t in enumerate(subject.varying)
        },
    }  # fmt: skip
    r2 = found["r2"]
    if not (r2.low > 0 and r2.value > 0):
        message = (
            f"a quick model ({best}) does no better than always answering with the mean: its R² is {r2.value:.3f} "
            f"[{r2.low:.3f}, {r2.high:.3f}], and 0 is the mean"
        )
        part.found("MB029", "warning", message)
    _golden(subject, model, float(r2.value), facts, part)
    return part


def _golden(subject: ValueSubject, model: ValueModel, r2: float, facts: dict[str, Any], part: Part) -> None:
    """A column that alone predicts as well as the model, by the mean of its bin in the other folds."""
    if subject.honest.shape[1] < 2:
        part.skipped["MB031"] = "it needs a table of two columns or more"
        return
    y = subject.y[model.rows][:, subject.varying]
    y = (y - y.mean(axis=0)) / np.array([region.scale for region in model.regions])
    found, best, best_name = [], 0.0, None
    for name, column in subject.honest.iloc[model.rows].items():
        codes = binned(column)
        value = float(np.mean([_column_r2(codes, goal, model.weight, model.fold) for goal in y.T]))
        if value > best:
            best, best_name = value, str(name)
        if value >= GOLDEN_R2 and value >= GOLDEN * r2:
            found.append((str(name), value))
    facts |= {"best_column": best_name, "best_column_r2": best}
    if found:
        named = listed([f"{name!r} (R² {value:.3f})" for name, value in found])
        message = f"{named} alone predicts nearly as well as all columns together (R² {r2:.3f})"
        part.found("MB031", "info", message, columns=tuple(name for name, _ in found))


def _column_r2(codes: np.ndarray, y: np.ndarray, weight: np.ndarray, fold: np.ndarray) -> float:
    size = int(codes.max()) + 1
    total, sums = np.bincount(codes, weight, size), np.bincount(codes, weight * y, size)
    mean = float(np.average(y, weights=weight))
    predicted = np.empty(len(y))
    for k in np.unique(fold):
        test = fold == k
        n = total - np.bincount(codes[test], weight[test], size)
        s = sums - np.bincount(codes[test], (weight * y)[test], size)
        predicted[test] = ((np.maximum(n, 0) > 1e-9) * s + mean)[codes[test]] / (np.maximum(n, 0) + 1)[
            codes[test]
        ]
    spread = float(np.average((y - mean) ** 2, weights=weight))
    return 1 - float(np.average((y - predicted) ** 2, weights=weight)) / spread


def _ridge(seed: int) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1.0)


def _booster(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=100,
        max_leaf_nodes=15,
        min_samples_leaf=5,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


def _plain(interval: Any) -> dict[str, Any]:
    return {
        "value": float(interval.value), "low": float(interval.low), "high": float(interval.high),
    }  # fmt: skip
