"""From finished fits to a verdict: figures with intervals, contrasts paired over seeds, one word.

The intervals are Student's t over the seeds: other rows and other initial weights, the same test images. They say
what training again would give on these images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metabalance.judge.intervals import Interval, corrected_resampled_interval
from metabalance.study.reproduce.base import Claim, Contrast, Experiment

__all__ = ["HELD", "NOT_HELD", "UNCLEAR", "Judgement", "choose", "judge", "overall"]

HELD, NOT_HELD, UNCLEAR = "held", "did not hold here", "not distinguishable here"
# The test images are the same for all seeds and none is ever trained on: the plain t interval of independent runs.
NO_OVERLAP = 1e-12

Record = Mapping[str, Any]
Records = Mapping[tuple[str, str], Sequence[Record]]  # (condition, arm) -> one record per seed


@dataclass(frozen=True)
class Judgement:
    """One contrast under one condition."""

    contrast: Contrast
    condition: str
    interval: Interval
    verdict: str


def choose(candidates: Sequence[Record]) -> Record:
    """Of the fits of a tuned arm on one seed, the best on the validation rows; the first among equals.

    >>> choose([{"validation": 0.5, "x": 1}, {"validation": 0.7, "x": 2}, {"validation": 0.7, "x": 3}])["x"]
    2
    """
    return max(candidates, key=lambda record: record["validation"])


def interval(values: ArrayLike, overlap: float = 0.0) -> Interval:
    """Mean over seeds with its 95 % t interval; ``overlap`` is that of an :class:`Experiment`.

    >>> print(interval([0.80, 0.82, 0.78]))
    0.8000 [0.7503, 0.8497]
    """
    return corrected_resampled_interval(values, overlap or NO_OVERLAP)


def judge(claim: Claim | Experiment, records: Records, conditions: Sequence[str]) -> list[Judgement]:
    """Every contrast of a claim that can be judged under these conditions; one on ``"*"`` under each of them."""
    found = []
    for contrast in claim.contrasts:
        for condition in conditions if contrast.terms[0][0] == "*" else ("",):
            if any((condition if c == "*" else c, arm) not in records for c, arm, _ in contrast.terms):
                continue
            total = np.zeros(0)
            for place, arm, coefficient in contrast.terms:
                rows = records[condition if place == "*" else place, arm]
                values = np.array([claim.value(r, contrast.metric, arm) for r in rows])
                total = coefficient * values + (total if len(total) else 0.0)
            gap = interval(total, overlap_of(claim))
            found.append(Judgement(contrast, condition, gap, verdict(gap, contrast)))
    return found


def overlap_of(claim: Claim | Experiment) -> float:
    """How far the seeds of a claim share their rows."""
    return claim.overlap if isinstance(claim, Experiment) else 0.0


def verdict(gap: Interval, contrast: Contrast) -> str:
    """One of three words for an interval and the region that the claim puts it in.

    >>> verdict(Interval(0.02, 0.01, 0.03, 0.95, "t"), Contrast("a > b", "accuracy", ()))
    'held'
    >>> verdict(Interval(0.02, -0.01, 0.05, 0.95, "t"), Contrast("a > b", "accuracy", ()))
    'not distinguishable here'
    """
    low, high = gap.low, gap.high
    if math.isnan(low) or math.isnan(high):
        return UNCLEAR
    if contrast.equal:
        if -contrast.margin <= low and high <= contrast.margin:
            return HELD
        return NOT_HELD if high < -contrast.margin or low > contrast.margin else UNCLEAR
    if low > -contrast.margin:
        return HELD
    return NOT_HELD if high < -contrast.margin else UNCLEAR


def overall(judgements: Sequence[Judgement]) -> str:
    """The verdict on the whole claim: it held if every contrast did; else under which conditions, or which part."""
    judgements = [j for j in judgements if not j.contrast.control]
    if judgements and all(j.verdict == HELD for j in judgements):
        return HELD
    conditions = list(dict.fromkeys(j.condition for j in judgements if j.condition))
    good = [c for c in conditions if all(j.verdict == HELD for j in judgements if j.condition == c)]
    if good and len(conditions) > 1:
        return f"held under {', '.join(good)}"
    says = dict.fromkeys(j.contrast.says for j in judgements)
    parts = [s for s in says if all(j.verdict == HELD for j in judgements if j.contrast.says == s)]
    if parts:
        return f"held in part: {'; '.join(parts)}"
    return UNCLEAR if any(j.verdict == UNCLEAR for j in judgements) else NOT_HELD
