"""Equal and nearly equal rows: how far their values differ is what no model can do without."""

import numpy as np
import pandas as pd

from metabalance.data.checks import row_hashes
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, amount
from metabalance.study.audit.twins import comparable, near_pairs
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["check_contradictions", "check_near", "noise_floor"]

LOUD, ENOUGH = 0.25, 0.01  # of the target's deviation, and of the rows


def noise_floor(y: np.ndarray, code: np.ndarray) -> dict[str, float] | None:
    """How far the values of equal rows differ from each other.

    Args:
        y: Values ``(N,)``.
        code: Equal for equal rows ``(N,)``.

    Returns:
        ``rows`` that have an equal, ``differing``, those of them whose equals have another value; ``deviation`` within
        equal rows, pooled, unbiased; ``error``, the mean absolute error of their medians. None without equal rows.

    >>> noise_floor(np.array([1.0, 3.0, 7.0]), np.array([0, 0, 1]))["deviation"].__round__(3)
    1.414
    """
    groups = pd.factorize(code)[0]
    counts = np.bincount(groups)
    rows = counts[groups] > 1
    if not rows.any():
        return None
    frame = pd.DataFrame({"g": groups[rows], "y": y[rows]}).groupby("g")["y"]
    within = y[rows] - frame.transform("mean").to_numpy()
    unit = float(np.abs(within).max()) or 1.0
    freedom = int(rows.sum()) - frame.ngroups
    return {
        "rows": int(rows.sum()), "differing": int((frame.transform("max") > frame.transform("min")).sum()),
        "deviation": unit * float(np.sqrt(((within / unit) ** 2).sum() / freedom)),
        "error": float(np.abs(y[rows] - frame.transform("median")).mean()),
    }  # fmt: skip


def check_contradictions(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB112."""
    part = Part(facts={"equal_rows": None})
    code = row_hashes(subject.useful)
    told = {}
    for t in subject.varying:
        floor = noise_floor(subject.y[:, t], code)
        if floor is None:
            return part
        scale = subject.regions[t].scale
        floor["share_of_deviation"] = floor["deviation"] / scale
        floor["best_r2"] = 1 - (floor["deviation"] / scale) ** 2
        told[subject.names[t]] = floor
        if floor["differing"]:
            loud = floor["share_of_deviation"] >= LOUD and floor["differing"] >= ENOUGH * len(code)
            message = (
                f"{floor['differing']:,} rows ({percent(floor['differing'] / len(code))}) share all their features with one of "
                f"another value; of the {subject.of(t)} such equals differ with a deviation of {amount(floor['deviation'])} "
                f"({percent(floor['share_of_deviation'])} of all), so that among them no model has a mean absolute error below "
                f"{amount(floor['error'])}"
            )
            part.found("MB112", "warning" if loud else "info", message)
    part.facts["equal_rows"] = told
    return part


def check_near(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB113."""
    part = Part(facts={"near_duplicates": None})
    matrix, keys, hashes, within, why = comparable(subject, plan.seed)
    if why:
        part.skipped["MB113"] = why
        return part
    first = np.sort(np.unique(hashes, return_index=True)[1])  # copies are another finding
    pairs = first[near_pairs(matrix[first], keys[first], within, plan.seed)]
    gaps = {
        subject.names[t]: float(np.median(np.abs(np.diff(subject.y[pairs, t], axis=1))))
        if len(pairs)
        else None
        for t in subject.varying
    }
    rows = np.unique(pairs)
    part.facts["near_duplicates"] = {
        "rows": len(rows), "largest_distance": float(within), "median_difference": gaps,
        "pairs": (subject.position[pairs[:20]] + 1).tolist(),
    }  # fmt: skip
    if len(rows):
        shown = "; ".join(f"{subject.named([a])} and {subject.named([b])}" for a, b in pairs[:3])
        apart = ", ".join(
            f"{amount(gap)} of {name!r} ({percent(gap / subject.regions[subject.names.index(name)].scale)} of the deviation)"
            for name, gap in gaps.items()
            if gap is not None
        )
        message = (
            f"{len(rows):,} rows nearly repeat another, for instance rows {shown}; half of such pairs "
            f"differ by at most {apart}"
        )
        part.found("MB113", "info", message, rows=tuple(map(int, pairs[:10].ravel())))
    return part
