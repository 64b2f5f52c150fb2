"""Values that many rows share: rounding, heaps, a capped end, and codes that stand for a missing value."""

from typing import Any

import numpy as np

from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, amount, listed
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["check_ties", "coded", "resolution", "rounding"]

FEWEST, DISTINCT = 50, 20  # rows and different values; below, ties are no news
HEAP, TIMES = 0.05, 5.0  # of the rows on one value, and of what its neighbours have
CAP = 0.01
NEAR = 5  # different values on each side of a heap
ROUNDED = 2.0  # times the multiples expected
APART = 0.25  # of the range of the other values
EXPONENTS = 8


def check_ties(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB103, MB105 and MB111."""
    part = Part(facts={"ties": {}})
    for t in subject.varying:
        y = subject.y[:, t]
        levels, counts = np.unique(y, return_counts=True)
        codes = coded(levels, counts)
        if codes:
            _tell_codes(subject, t, y, codes, part)
        facts = part.facts["ties"][subject.names[t]] = {
            "rows_that_share_a_value": float(counts[counts > 1].sum() / len(y)),
            "most_frequent": [
                {"value": float(levels[i]), "rows": int(counts[i])} for i in np.argsort(-counts, kind="stable")[:5]
            ],
            "codes": [float(v) for v in codes],
        }  # fmt: skip
        if len(y) < FEWEST or len(levels) < DISTINCT:
            continue
        held = ~np.isin(levels, codes)
        rounded = facts["rounded_to"] = rounding(y[~np.isin(y, codes)])
        _tell_heaps(subject, t, levels[held], counts[held], len(y), rounded, part)
    return part


def coded(levels: np.ndarray, counts: np.ndarray) -> list[float]:
    """Values at an end of the target that look like codes: -1, all nines, or 0, far from all others.

    Args:
        levels: Different values ``(L,)``, increasing.
        counts: Their rows ``(L,)``.

    >>> coded(np.array([-999.0, 1.0, 2.5, 4.0]), np.array([3, 5, 5, 5]))
    [-999.0]
    """
    found: list[float] = []
    while len(levels) > 2:
        for end, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
            value, others = float(levels[end]), levels[rest]
            gap = abs(value - float(others[end]))
            far = gap >= APART * float(others[-1] - others[0])
            nines = value == np.round(value) and set(f"{abs(value):.0f}") == {"9"} and abs(value) >= 99
            marks = value in (-1.0, -9.0) and others[0] >= 0
            nothing = value == 0 and gap > float(others[-1] - others[0]) and counts[end] >= 3
            if (nines and (far or (value < 0 and others[0] >= 0))) or (marks and counts[end] >= 3) or nothing:
                found.append(value)
                levels, counts = others, counts[rest]
                break
        else:
            break
    return found


def resolution(values: np.ndarray) -> float | None:
    """The largest power of ten of which all values are multiples; None where there is none.

    >>> resolution(np.array([1.2, 0.5, 7.0])), resolution(np.random.default_rng(0).normal(size=9))
    (0.1, None)
    """
    size = float(np.abs(values).max())
    if not size > 0:
        return None
    top = int(np.floor(np.log10(size)))
    for exponent in range(top, top - EXPONENTS, -1):
        if _multiples(values, 10.0**exponent).all():
            return float(f"1e{exponent}")
    return None


def rounding(values: np.ndarray) -> dict[str, float] | None:
    """The one of 5, 10, 50, ... of the smallest step of which most values too many are multiples.

    Args:
        values: ``(N,)``.

    Returns:
        ``multiple``, the ``share`` of its multiples and the share ``expected``; None where values are not rounded so.

    >>> ages = np.concatenate([np.arange(20, 80), np.repeat([20, 30, 40, 50, 60, 70], 20)])
    >>> rounding(ages.astype(float))["multiple"]
    10.0
    """
    step = resolution(values)
    if step is None:
        return None
    found, most = None, 0.0
    times, reach = 5, float(np.ptp(values)) / step
    while reach >= 4 * times:
        share = float(_multiples(values, times * step).mean())
        excess = share - 1 / times
        if share >= max(ROUNDED / times, 0.25) and excess > most:
            most = excess
            found = {"multiple": float(f"{times * step:.6g}"), "share": share, "expected": 1 / times}
        times *= 2 if str(times)[0] == "5" else 5
    return found


def _multiples(values: np.ndarray, step: float) -> np.ndarray:
    parts = values / step
    return np.abs(parts - np.round(parts)) <= 1e-6 * np.maximum(1, np.abs(parts) * 1e-6)


def _heaps(counts: np.ndarray, rows: int, share: float) -> list[int]:
    """Which values hold so many of the rows, and many times those of their neighbours."""
    found = []
    for i in np.flatnonzero(counts >= max(share * rows, 10)):
        near = np.concatenate([counts[max(0, i - NEAR) : i], counts[i + 1 : i + 1 + NEAR]])
        if counts[i] >= TIMES * np.median(near):
            found.append(int(i))
    return found


def _tell_heaps(
    subject: ValueSubject, t: int, levels: np.ndarray, counts: np.ndarray, rows: int,
    rounded: dict[str, float] | None, part: Part,
) -> None:  # fmt: skip
    ends = [i for i in _heaps(counts, rows, CAP) if i in (0, len(levels) - 1)]
    for i in ends:
        side = "smallest" if i == 0 else "largest"
        message = (
            f"{counts[i]:,} rows ({percent(counts[i] / rows)}) have exactly the {side} value of the {subject.of(t)}, "
            f"{amount(levels[i], 12)}, many more than the values beside it: was it cut off there, or does nothing lie beyond?"
        )
        part.found("MB111", "warning", message)
    said = []
    heaps = [i for i in _heaps(counts, rows, HEAP) if i not in ends]
    if heaps:
        named = listed([f"{levels[i]:g} ({percent(counts[i] / rows)})" for i in heaps], 4)
        said.append(f"many more rows than on the values beside them are on {named}")
    if rounded:
        said.append(
            f"{percent(rounded['share'])} of the values are multiples of {amount(rounded['multiple'])}, where "
            f"{percent(rounded['expected'])} would be by chance"
        )
    if said:
        part.found("MB103", "info", f"of the {subject.of(t)}, {'; '.join(said)}")


def _tell_codes(subject: ValueSubject, t: int, y: np.ndarray, codes: list[Any], part: Part) -> None:
    rows = np.flatnonzero(np.isin(y, codes))
    named = listed([f"{value:g} ({int((y == value).sum()):,} rows)" for value in codes])
    message = (
        f"of the {subject.of(t)}, {named} look{'s' if len(codes) == 1 else ''} like a code for a missing value: far from all "
        "others, and learned as if it were one of them"
    )
    part.found("MB105", "warning", message, rows=tuple(map(int, rows[:20])))
