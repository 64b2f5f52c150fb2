"""Each row decided by its own costs, beside what one threshold for all rows would cost."""

from typing import Any

import numpy as np

from metabalance.adjust.choose import choose_decision
from metabalance.adjust.objective import Objective
from metabalance.adjust.row_cost import decide_by_row_cost, row_costs
from metabalance.data.errors import DataError
from metabalance.study.decision_figures import Wish, calibration_note, counted, mean, rate, told
from metabalance.study.scored import Scored
from metabalance.study.splits import make_splits

__all__ = ["decide_by_row"]


def decide_by_row(
    scored: Scored, probabilities: np.ndarray, wish: Wish, groups: np.ndarray | None
) -> dict[str, Any]:
    """Each row by its own costs, beside the best single threshold and beside no alarm at all."""
    assert wish.cost_columns is not None
    if len(scored.classes) > 2:
        raise DataError(
            f"--cost-columns are for two classes, but there are {len(scored.classes)}; join some first"
        )
    rows = len(scored.target)
    price = row_costs(rows, **{k: _column(scored, v) for k, v in wish.cost_columns.items()})
    weight = np.ones(rows) if scored.weight is None else scored.weight
    y, index = scored.target, np.arange(rows)
    labels = decide_by_row_cost(probabilities, price)
    paid = {"by row": price[index, y, labels], "no alarm": price[index, y, 0]}
    # A mistake's price above the right answer's: as a weight of the row, one threshold for all is searched exactly.
    loss = price[index, y, 1 - y] - price[index, y, y]
    notes = []
    if (loss >= 0).all():
        single = np.zeros(rows, dtype=np.int64)
        for split in make_splits(y, folds=wish.folds, seed=wish.seed, groups=groups, classes=scored.classes):
            given = (probabilities[split.train], y[split.train], "cost")
            rule = choose_decision(*given, cost=((0, 1), (1, 0)), sample_weight=(weight * loss)[split.train])
            single[split.test] = rule.decide(probabilities[split.test])
        paid["one threshold"] = price[index, y, single]
    else:
        notes.append(
            "in some rows a mistake costs less than the right answer: no single threshold was searched"
        )
    figures = {f"cost per row, {name}": mean(value, y, weight, groups, wish) for name, value in paid.items()}
    for name in [name for name in paid if name != "by row"]:
        saved = mean(paid[name] - paid["by row"], y, weight, groups, wish)
        figures[f"saved per row against {name}"] = saved
    called, hit = labels == 1, y == 1
    for name, (inside, within) in {"precision": (hit, called), "recall": (called, hit)}.items():
        figures[name] = rate(inside, within, y, weight, groups, wish)
    table = np.bincount(y * 2 + labels, weight, 4).reshape(2, 2)
    judged = {
        "how": "all rows: nothing was chosen on them", "rows": rows, "confusion": table.tolist(),
        **counted(table),
        "total_cost": {name: float(weight @ value) for name, value in paid.items()},
        "figures": {name: told(interval) for name, interval in figures.items()},
    }  # fmt: skip
    return {
        "objective": "cost",
        "decision": {"rule": "least expected cost of each row", "cost_columns": wish.cost_columns},
        "attainable": True,
        "threshold": None,
        "parts": [],
        "judged": judged,
        "notes": notes + calibration_note(scored, probabilities, weight, Objective("cost")),
    }


def _column(scored: Scored, given: str | float) -> np.ndarray | float:
    if not isinstance(given, str):
        return given
    import pandas as pd

    values = pd.to_numeric(scored.frame[given], errors="coerce").to_numpy(float, na_value=np.nan)
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
        raise DataError(
            f"the column {given!r} of costs is no finite number in row {bad}; every row needs a cost"
        )
    return values
