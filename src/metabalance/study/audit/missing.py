"""Whether that a value is missing tells the class: tests by column, Holm-corrected, and only what is material."""

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact

from metabalance.judge.paired import holm
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_missing"]

LEVEL = 0.01
POINTS, FEW_POINTS, TIMES = 0.05, 0.01, 3.0
EXPECTED = 5  # cells below this want the exact test
SHOWN = 50


def check_missing(subject: Subject, plan: Plan) -> Part:
    """MB024."""
    part = Part(facts={"missing": []})
    if subject.images is not None:
        part.skipped["MB024"] = "pixels are never missing"
        return part
    y, positive = subject.y, subject.target.positive
    columns = [name for name in subject.useful.columns if subject.useful[name].isna().any()]
    if not columns:
        return part
    tests = []
    for name in columns:
        gone = subject.useful[name].isna().to_numpy()
        missing = np.bincount(y[gone], minlength=len(subject.counts))
        tests.append((str(name), missing, _p(missing, subject.counts)))
    corrected = holm([p for *_, p in tests])
    found = []
    for (name, missing, p), adjusted in zip(tests, corrected):
        c = _most_apart(missing, subject.counts, positive)
        mine = missing[c] / subject.counts[c]
        other = (missing.sum() - missing[c]) / max(subject.counts.sum() - subject.counts[c], 1)
        gap, low, high = abs(mine - other), min(mine, other), max(mine, other)
        material = gap >= POINTS or (gap >= FEW_POINTS and high >= TIMES * low)
        if adjusted < LEVEL and material:
            found.append((name, c, mine, other, gap))
        part.facts["missing"].append({
            "column": name, "share": float(missing.sum() / len(y)), "class": subject.target.classes[c],
            "share_of_class": float(mine),
            "share_of_others": float(other), "p": float(p), "p_holm": float(adjusted),
            "material": bool(adjusted < LEVEL and material),
        })  # fmt: skip
    part.facts["missing"] = sorted(part.facts["missing"], key=lambda e: (not e["material"], -e["share"]))[
        :SHOWN
    ]
    if found:
        found.sort(key=lambda entry: -entry[4])
        named = listed(
            [
                f"{name!r} ({percent(a)} of {subject.label(c)}, {percent(b)} of the rest)"
                for name, c, a, b, _ in found
            ],
            4,
        )
        message = f"values are missing more often in one class than in another: {named}"
        part.found("MB024", "warning", message, columns=tuple(name for name, *_ in found))
    return part


def _most_apart(missing: np.ndarray, counts: np.ndarray, positive: int) -> int:
    """Of two classes the positive one; of more, the one that differs most surely from the rest."""
    if len(counts) == 2:
        return positive
    rest = np.maximum(counts.sum() - counts, 1)
    gap = np.abs(missing / counts - (missing.sum() - missing) / rest)
    return int(np.argmax(gap / np.sqrt(1 / counts + 1 / rest)))


def _p(missing: np.ndarray, counts: np.ndarray) -> float:
    table = np.array([missing, counts - missing])
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    if not (expected > 0).all():
        return 1.0
    if table.shape[1] == 2 and expected.min() < EXPECTED:
        return float(fisher_exact(table)[1])
    return float(chi2_contingency(table, correction=False)[1])
