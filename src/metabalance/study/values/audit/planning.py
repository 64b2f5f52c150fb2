"""What the planned comparison can find out: its folds tried out, its rare rows counted, its metric questioned."""

from typing import Any

import numpy as np
from scipy.special import ndtri

from metabalance.data.errors import DataError
from metabalance.judge.regions import GROUPS
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part
from metabalance.study.values.audit.quick_model import ValueModel
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject
from metabalance.study.values.kind import ROWS_A_FOLD

__all__ = ["check_rare_rows", "check_value_folds", "check_value_metric", "value_splits"]

FEW = 10  # rare rows in a test part
GOVERNED = 0.1  # share of rare rows below which a mean over all rows is that of the others


def value_splits(
    table: np.ndarray, *, folds: int, seed: int, groups: Any = None, time: Any = None
) -> list[Any]:
    """The folds of ``compare``: dealt from spans of the target, with fewer spans where groups or times allow no more.

    Raises:
        DataError: There are no such folds, even of rows dealt blindly.
    """
    from metabalance.study.divide import deal
    from metabalance.study.sources import ValueTable

    rows = ValueTable("the table", None, table, ("",) * table.shape[1], groups, time)
    return deal(rows, folds=folds, seed=seed)


def check_value_folds(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB016 and MB116."""
    facts: dict[str, Any] = {"folds": plan.folds, "feasible": True, "fewest_in_a_test_part": None}
    part = Part(facts={"plan": facts})
    try:
        if len(subject.y) < ROWS_A_FOLD * plan.folds:
            raise DataError(f"{len(subject.y)} rows are too few, since a test part needs {ROWS_A_FOLD}")
        splits = value_splits(
            subject.y, folds=plan.folds, seed=plan.seed, groups=subject.groups, time=subject.time
        )
    except DataError as error:
        facts["feasible"] = False
        part.found("MB016", "error", f"{plan.folds} folds cannot be made: {error}")
        part.skipped["MB116"] = "the folds cannot be made"
        return part
    tests = np.array([np.bincount(subject.region[split.test], minlength=len(GROUPS)) for split in splits])
    fewest = tests.min(axis=0)
    facts["fewest_in_a_test_part"] = {group: int(n) for group, n in zip(GROUPS, fewest)}
    rare = int(subject.rare.sum())
    if rare and fewest[-1] < FEW:
        message = (
            f"with {plan.folds} folds a test part has as few as {fewest[-1]} of the {rare:,} rows of rare values: figures of "
            "single folds will swing"
        )
        part.found("MB116", "warning", message)
    return part


def check_rare_rows(subject: ValueSubject, plan: ValuePlan, model: ValueModel | str) -> Part:
    """MB117."""
    part = Part(facts={"rare": None})
    have = int(subject.rare.sum())
    if not have:
        part.skipped["MB117"] = "no value is rare"
        return part
    spread = None if isinstance(model, str) else model.spread_among_rare(subject)
    # Of a normal distribution the absolute value's deviation is .756 of its mean.
    ratio = float(np.sqrt(np.pi / 2 - 1)) if spread is None else spread
    need = int(np.ceil((float(ndtri((1 + plan.level) / 2)) * ratio / plan.half_width) ** 2))
    per_part = have // plan.folds
    part.facts["rare"] = {
        "half_width": plan.half_width, "level": plan.level, "deviation_of_error": ratio, "assumed": spread is None,
        "needed": need, "at_hand": have, "in_a_test_part": per_part,
    }  # fmt: skip
    if per_part < need:
        message = (
            f"a 95 % interval of ±{percent(plan.half_width)} of the mean absolute error among rare values needs about {need:,} "
            f"of their rows: a test part has {per_part:,}, all of them together {have:,}"
        )
        part.found(
            "MB117",
            "warning" if have < need else "info",
            message + ("" if have < need else "; read pooled figures"),
        )
    return part


def check_value_metric(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB118, and which metric answers which question."""
    share = float(subject.rare.mean())
    advice = [
        {"question": "is every value served alike?", "metric": "bmae"},
        {"question": "how large are errors where few rows are near?", "metric": "mae@few"},
        {"question": "how large is an error on the average row?", "metric": "mae"},
        {"question": "what do large errors cost more than in proportion?", "metric": "rmse"},
        {"question": "which rows have the larger values?", "metric": "spearman"},
    ]
    part = Part(facts={"metric": {"planned": plan.metric, "share_of_rare": share, "advice": advice}})
    base, _, region = plan.metric.partition("@")
    if not region and base != "bmae" and 0 < share <= GOVERNED:
        message = (
            f"{plan.metric} is governed by the {percent(1 - share)} of the rows whose values are not rare; bmae and mae@few "
            "tell of the others"
        )
        part.found("MB118", "warning", message)
    return part
