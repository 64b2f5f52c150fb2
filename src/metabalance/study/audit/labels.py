"""Suspected label errors by confident learning.

Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021, arXiv 1911.00068.
A row counts as *suspect* when a model that did not see it is as sure of another class as it is, on average, of that
class's own rows. What overlaps looks wrong to a model too, the rare class above all; so a suspect is called
*clear* only where the model knows both classes well, and is surer than of half of the other class's own rows. That
finds about half of the labels that are wrong by accident, and hardly any row that is only hard.
"""

from typing import Any

import numpy as np

from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.quick_model import QuickModel
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_labels", "confident_joint"]

SURE, KNOWN = 0.95, 0.9  # of the other class, and in the median of both classes' own rows
SHOWN, SEVERAL = 20, 3


def confident_joint(
    y: np.ndarray, probabilities: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Counts rows by given and by confidently suggested class.

    A row belongs to the class :math:`j` of the largest :math:`p_j` among those with :math:`p_j \ge t_j`, where
    :math:`t_j` is the mean of :math:`p_j` over the rows labelled :math:`j`; to none, if there is no such class.

    Args:
        y: Given labels ``(N,)``.
        probabilities: ``(N, C)``, each from a model that did not see the row.
        weight: ``(N,)``.

    Returns:
        The joint ``(C, C)``, given by suggested, each row scaled to the (weighted) rows of its class; the suggested class
        ``(N,)``, -1 for none; and the thresholds ``(C,)``.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]])
    >>> joint, suggested, thresholds = confident_joint(np.array([0, 0, 0, 1]), p)
    >>> joint.tolist(), suggested.tolist(), thresholds.round(2).tolist()
    ([[2.0, 1.0], [0.0, 1.0]], [0, 0, 1, 1], [0.6, 0.8])
    """
    size = probabilities.shape[1]
    w = np.ones(len(y)) if weight is None else weight
    total = np.bincount(y, w, size)
    own = np.bincount(y, w * probabilities[np.arange(len(y)), y], size)
    thresholds = own / np.where(total > 0, total, 1)
    # Half a rounding error below: a row whose p is the mean itself reaches it.
    reached = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)
    suggested = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)
    sure = suggested >= 0
    joint = np.zeros((size, size))
    np.add.at(joint, (y[sure], suggested[sure]), w[sure])
    rows = joint.sum(axis=1, keepdims=True)
    joint = np.divide(joint * total[:, None], rows, out=np.diag(total).astype(float), where=rows > 0)
    return joint, suggested, thresholds


def check_labels(subject: Subject, plan: Plan, model: QuickModel | str) -> Part:
    """MB022."""
    part = Part(facts={"label_errors": None})
    if isinstance(model, str):
        part.skipped["MB022"] = model
        return part
    y, p = model.y, model.probabilities
    joint, suggested, thresholds = confident_joint(y, p, model.weight)
    suspect = (suggested >= 0) & (suggested != y)
    other = np.where(suspect, suggested, 0)
    sure_of_other = p[np.arange(len(y)), other]
    # Overlap reaches into the border of a class, a wrong label stands anywhere in it: in its inner half, too.
    inner = np.array([np.median(p[y == c, c]) for c in range(len(model.classes))])
    # Medians, which the wrong labels themselves do not move far, unlike the means of confident learning.
    known = np.minimum(inner[y], inner[other]) >= KNOWN
    clear = suspect & known & (sure_of_other >= np.maximum(SURE, inner[other]))
    margin = sure_of_other - p[np.arange(len(y)), y]
    order = np.lexsort((-margin, ~clear))[: int(suspect.sum())]
    order = order[suspect[order]][:SHOWN]
    part.facts["label_errors"] = {
        "looked_at": len(y), "suspect": int(suspect.sum()), "clear": int(clear.sum()),
        "estimated_share": float(1 - np.trace(joint) / joint.sum()),
        "mean_confidence": {str(subject.target.classes[c]): float(t) for c, t in zip(model.classes, thresholds)},
        "pairs": _pairs(subject, model, joint, suggested, suspect, clear),
        "worst": [
            {
                "row_number": int(subject.position[model.rows[i]]) + 1,
                **({"file": subject.images.names[model.rows[i]]} if subject.images is not None else {}),
                "given": subject.target.classes[model.classes[y[i]]],
                "suggested": subject.target.classes[model.classes[suggested[i]]],
                "probability_of_given": float(p[i, y[i]]),
                "probability_of_suggested": float(sure_of_other[i]),
                "clear": bool(clear[i]),
            }
            for i in order
        ],
    }  # fmt: skip
    if not suspect.any():
        return part
    _report(subject, model, suspect, clear, order, part)
    return part


def _report(
    subject: Subject, model: QuickModel, suspect: np.ndarray, clear: np.ndarray, order: np.ndarray, part: Part
) -> None:
    noun, facts = subject.noun, part.facts["label_errors"]
    whole = len(model.rows) == subject.counts[model.classes].sum()
    among = f"{len(model.y):,} {noun}s" + ("" if whole else f" (a sample of {len(subject.y):,})")
    pairs = listed(
        [
            f"given {pair['given']!r}, like {pair['suggested']!r}: {pair['clear' if clear.any() else 'suspect']:,}"
            for pair in facts["pairs"]
            if not clear.any() or pair["clear"]
        ],
        3,
    )
    rows = tuple(int(model.rows[i]) for i in order if clear[i] or not clear.any())
    where = f"; look first at {noun}{'' if len(rows) == 1 else 's'} {subject.named(rows)}"
    if clear.any():
        few, many = int(clear.sum()), "" if clear.sum() != 1 else "s"
        message = f"{few:,} of {among} clearly look{many} like another class ({pairs}){where}"
        if (model.classes[model.y[clear]] == subject.target.positive).any():
            message += "; a rare case of a kind that the model has not seen looks just so"
        part.found("MB022", "warning" if clear.sum() >= SEVERAL else "info", message, rows=rows)
        return
    message = (
        f"{int(suspect.sum()):,} of {among} look like another class ({pairs}), but the model is too unsure of "
        f"{'these classes' if len(model.classes) > 2 else 'the classes'} to tell a wrong label from a hard case{where}"
    )
    part.found("MB022", "info", message, rows=rows)


def _pairs(
    subject: Subject, model: QuickModel, joint: np.ndarray, suggested: np.ndarray, suspect: np.ndarray,
    clear: np.ndarray,
) -> list[dict[str, Any]]:  # fmt: skip
    """Given and suggested classes with suspects, most first."""
    size = len(model.classes)
    cells = model.y[suspect] * size + suggested[suspect]
    counts, sure = np.bincount(cells, minlength=size * size), np.zeros(size * size, dtype=int)
    np.add.at(sure, model.y[clear] * size + suggested[clear], 1)
    order = np.argsort(-counts, kind="stable")[: min(20, np.count_nonzero(counts))]
    of_true = joint.sum(axis=0)
    classes = [subject.target.classes[c] for c in model.classes]
    return [
        {
            "given": classes[cell // size], "suggested": classes[cell % size],
            "suspect": int(counts[cell]), "clear": int(sure[cell]),
            "rate_among_given": float(joint[divmod(cell, size)] / joint[cell // size].sum()),
            "rate_among_suggested": float(joint[divmod(cell, size)] / max(of_true[cell % size], 1e-12)),
        }
        for cell in map(int, order)
    ]  # fmt: skip
