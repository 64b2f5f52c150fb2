"""How imbalanced the classes are, and which are too rare for any remedy.

Descriptors of long tails as in HeroLT (Wang et al. 2023, arXiv 2307.08235); absolute and relative rarity as in
Weiss, "Mining with rarity", SIGKDD Explorations 2004.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_classes", "imbalance"]

MAJORITY, MINORITY = 0.8, 0.1
HALF = 0.5  # of the largest class: ten equal classes are not underrepresented
LEARNABLE = 20  # rows for fitting; the smallest that a class can be learned from with some luck
VALIDATION = 0.2  # of a training part, as in a study
HELD = 0.8  # of the rows, by the largest classes


def imbalance(counts: ArrayLike) -> dict[str, float]:
    """Imbalance in figures.

    Args:
        counts: Rows of each class ``(C,)``, all positive.

    Returns:
        ``ratio``, largest to smallest; ``gini``, 0 when all are equal; ``classes_for_80_percent``, the largest classes
        that hold 80 % of the rows; ``pareto_share``, these of all classes; ``pareto_ratio``, HeroLT's: other classes for
        each of these; ``normalised_entropy``, 1 when all are equal; ``effective_classes``, the exponential of the entropy.

    >>> {name: round(value, 3) for name, value in imbalance([900, 100]).items()}["gini"]
    0.4
    >>> imbalance([50, 30, 15, 5])["pareto_share"]
    0.5
    """
    n = np.sort(np.asarray(counts, dtype=float))
    size, total = len(n), n.sum()
    share = n / total
    held = int(np.searchsorted(np.cumsum(n[::-1]), HELD * total * (1 - 1e-12)) + 1)
    entropy = float(-(share * np.log(share)).sum())
    return {
        "ratio": float(n[-1] / n[0]),
        "gini": float(((2 * np.arange(1, size + 1) - size - 1) @ n) / (size * total)),
        "classes_for_80_percent": held,
        "pareto_share": held / size,
        "pareto_ratio": (size - held) / held,
        "normalised_entropy": entropy / float(np.log(size)) if size > 1 else 1.0,
        "effective_classes": float(np.exp(entropy)),
    }


def check_classes(subject: Subject, plan: Plan) -> Part:
    """MB015, MB017 and MB030."""
    counts, part = subject.counts, Part()
    share = counts / counts.sum()
    figures = imbalance(counts)
    part.facts = {
        "classes": [
            {
                "label": label,
                "rows": int(n),
                "share": float(s),
                "positive": i == subject.target.positive,
            }
            for i, (label, n, s) in enumerate(zip(subject.target.classes, counts, share))
        ],
        "imbalance": figures,
    }
    _imbalanced(subject, share, figures, part)
    single = np.flatnonzero(counts == 1)
    if len(single):
        message = (
            f"{'class' if len(single) == 1 else f'{len(single)} classes:'} "
            f"{listed([subject.label(c) for c in single])} {'has' if len(single) == 1 else 'have'} a single "
            f"{subject.noun}, which cannot be both learned and tested; nothing is dropped for you: choose to keep (add "
            "rows), merge, refuse or abstain"
        )
        part.found("MB017", "error", message, classes=_labels(subject, single),
                   rows=tuple(int(np.flatnonzero(subject.y == c)[0]) for c in single[:20]))  # fmt: skip
    left = np.floor(np.floor(counts * (1 - 1 / plan.folds)) * (1 - VALIDATION)).astype(int)
    rare = np.flatnonzero((left < LEARNABLE) & (counts > 1))
    if len(rare):
        worst = rare[np.argsort(counts[rare], kind="stable")]
        named = listed([f"{subject.label(c)} ({counts[c]}, {left[c]} left)" for c in worst])
        message = (
            f"{named}: fewer than {LEARNABLE} {subject.noun}s are left for fitting once test and validation parts are "
            "taken away; weights and copies add no information"
        )
        part.found("MB030", "warning", message, classes=_labels(subject, worst))
    return part


def _imbalanced(subject: Subject, share: np.ndarray, figures: dict[str, float], part: Part) -> None:
    large = int(np.argmax(share))
    ratio = f"the largest class has {figures['ratio']:,.3g} times the {subject.noun}s of the smallest"
    few = (share <= MINORITY) & (share < HALF * share.max())
    small = np.flatnonzero(few)
    small = small[np.argsort(share[small], kind="stable")]
    said = []
    if share[large] >= MAJORITY:
        said.append(
            f"class {subject.label(large)} has {percent(share[large])} of the {subject.noun}s: always answering it is "
            "that accurate, and finds nothing"
        )
    if len(small):
        named = listed([f"{subject.label(c)} ({percent(share[c])}, {subject.counts[c]:,})" for c in small])
        said.append(f"underrepresented, at most {100 * MINORITY:.0f} % of all: {named}")
    if said:
        part.found("MB015", "info", "; ".join([*said, ratio]), classes=_labels(subject, small))


def percent(share: float) -> str:
    """A share that is neither rounded to nothing nor to everything."""
    digits = 0 if share in (0, 1) else 1 if 0.001 <= share <= 0.999 else 3
    return f"{100 * share:.{digits}f} %"


def _labels(subject: Subject, classes: Any) -> tuple[Any, ...]:
    return tuple(subject.target.classes[c] for c in classes)
