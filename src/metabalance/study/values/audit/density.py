"""How many rows are near a value, and which values are rare.

Many, medium and few by the rows in a bin: Yang, Zha, Chen, Wang & Katabi, ICML 2021, arXiv 2102.09554.
"""

from typing import Any

import numpy as np

from metabalance.data.target import QUANTITY_LEVELS
from metabalance.judge.regions import GROUPS, Regions
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, amount, listed
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject
from metabalance.study.values.audit.ties import resolution

__all__ = ["check_density", "whole_levels"]

SAME = 0.999  # correlation of two targets that say the same


def check_density(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB101, MB106, MB108 and MB119."""
    part = Part(facts={"values": [], "density": []})
    for t, (name, y, regions) in enumerate(zip(subject.names, subject.y.T, subject.regions)):
        of = regions.of(y)
        shares = {
            group: {
                "rows": int((of == group).sum()),
                "share": float((of == group).mean()),
                "bins": int((regions.groups == group).sum()),
            }
            for group in GROUPS
        }
        quantiles = np.quantile(y, [0.05, 0.25, 0.5, 0.75, 0.95])
        part.facts["values"].append({
            "target": name, "rows": len(y), "distinct": len(np.unique(y)), "mean": float(y.mean()),
            "deviation": float(regions.scale) if t in subject.varying else 0.0, "lowest": float(y.min()),
            "highest": float(y.max()), "quantiles": dict(zip(("5 %", "25 %", "50 %", "75 %", "95 %"), map(float, quantiles))),
            "regions": shares, "rule": regions.rule, "many": regions.many, "few": regions.few,
        })  # fmt: skip
        part.facts["density"].append({
            "edges": regions.edges.tolist(), "counts": regions.counts.tolist(), "groups": regions.groups.tolist(),
        })  # fmt: skip
        if t not in subject.varying:
            message = f"the {subject.of(t)} is {amount(y[0])} in every row: there is nothing to predict"
            part.found("MB106", "error", message)
            continue
        _rare(subject, t, y, regions, shares, part)
        levels = whole_levels(y)
        if levels is not None:
            message = (
                f"the {subject.of(t)} has {len(levels)} different whole numbers from {levels[0]:g} to {levels[-1]:g}, which may "
                "be classes or a quantity; it is "
                f"{'as you say' if subject.asked else 'taken as'} a quantity: --task classification takes it as classes"
            )
            part.found("MB108", "info", message)
    _same(subject, part)
    return part


def whole_levels(y: np.ndarray) -> np.ndarray | None:
    """The different values, if they are whole numbers and few enough for classes."""
    levels = np.unique(y)
    return levels if len(levels) <= QUANTITY_LEVELS and bool((levels == np.round(levels)).all()) else None


def _rare(
    subject: ValueSubject, t: int, y: np.ndarray, regions: Regions, shares: dict[str, Any], part: Part
) -> None:
    rule = (
        f"fewer than {regions.few:g} rows in their bin (of {len(regions.counts)})"
        if regions.rule == "density"
        else "a bin in the lower third by rows, since thresholds of 100 and 20 rows leave a region empty"
    )
    few = shares["few"]
    if not few["rows"]:
        message = (
            f"no value of the {subject.of(t)} is rare beside the others: all of it lies in one region, and a remedy for "
            "imbalance has nothing to mend"
        )
        part.found("MB101", "info", message)
        return
    inside, middle = regions.of(y) == "few", float(np.median(y))
    low, high = y[inside & (y < middle)], y[inside & (y >= middle)]
    where = " and ".join(
        f"{len(values):,} {side} {amount(edge)}"
        for values, side, edge in (
            (low, "up to", low.max() if len(low) else 0),
            (high, "from", high.min() if len(high) else 0),
        )
        if len(values)
    )
    held = regions.counts[regions.counts > 0]
    width, step = float(np.diff(regions.edges).min()), resolution(y)
    narrow = (
        f"; the values go in steps of {amount(step)} but a bin is {amount(width)} wide, so that what is predicted between two "
        "values counts as rare"
        if step is not None and width < step * (1 - 1e-9) and not regions.counts.all()
        else ""
    )
    message = (
        f"{few['rows']:,} rows ({percent(few['share'])}) have a rare value of the {subject.of(t)}, with {rule}: {where}; "
        f"many rows are near {percent(shares['many']['share'])} of the values, and the fullest bin has "
        f"{held.max() / held.min():,.3g} times the rows of the emptiest that has any{narrow}"
    )
    part.found("MB101", "info", message)


def _same(subject: ValueSubject, part: Part) -> None:
    if len(subject.varying) < 2:
        return
    columns = list(subject.varying)
    unit = np.array([subject.regions[t].scale for t in columns])
    matrix = np.corrcoef(((subject.y[:, columns] - subject.y[:, columns].mean(axis=0)) / unit).T)
    pairs = [
        f"{subject.names[columns[i]]!r} and {subject.names[columns[j]]!r} ({matrix[i, j]:.4f})"
        for i, j in zip(*np.triu_indices(len(columns), 1))
        if abs(matrix[i, j]) >= SAME
    ]
    if pairs:
        part.found("MB119", "info", f"targets with a correlation of {SAME} or more: {listed(pairs)}")
