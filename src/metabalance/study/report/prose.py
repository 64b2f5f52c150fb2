"""The summary in plain words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from metabalance.study.points import operating_points
from metabalance.study.report.words import count_of, fixed, number, percent, span
from metabalance.study.scored import Scored

FEW = 50  # positives below which intervals are wide and bootstrap intervals too narrow

READING = (
    (
        "Intervals",
        "hold at 95 % for rows drawn like these; they do not cover a world that changes, nor a choice made on these rows.",
    ),
    (
        "Undefined",
        "is written where a metric has no value (a class without rows): it is never counted as 0 or 1.",
    ),
    (
        "ROC or precision-recall?",
        "ROC does not change with the share of positives; precision does, and so does the work that alerts cause. "
        "Compare average precision only between sets of the same share.",
    ),
    ("Calibration", "says whether 0.2 means one in five. Costs and net benefit need it; ranking does not."),
    ("A threshold", "chosen for these rows is tested on other rows before anybody trusts its figures."),
)


def headline_of(found: Mapping[str, Any]) -> str:
    """One sentence: what is found, at what price."""
    classes, positive = found["classes"], found["positive"]
    table = found["confusion"]
    if table is None:
        return f"{count_of(found['rows'])} rows were scored."
    if len(classes) == 2:
        other = 1 - positive
        right, missed = table[positive][positive], table[positive][other]
        false = table[other][positive]
        total, alerts = right + missed, right + false
        if not total:
            return f"No row is {classes[positive]}: nothing can be said about finding it."
        return (
            f"{count_of(right)} of {count_of(total)} {classes[positive]} rows are found "
            f"({percent(right / total)}), with {count_of(false)} false alarm{'' if false == 1 else 's'}"
            + (f": {percent(right / alerts)} of the alerts are right." if alerts else ".")
        )
    recalls = [row[i] / sum(row) for i, row in enumerate(table) if sum(row) > 0]
    worst = min((row[i] / sum(row), i) for i, row in enumerate(table) if sum(row) > 0)
    return (
        f"On average {percent(float(np.mean(recalls)))} of a class's rows are found; least of {classes[worst[1]]} "
        f"({percent(worst[0])})."
    )


def told_by(found: Mapping[str, Any], decision: str) -> list[str]:
    """What stands behind the headline, a sentence each."""
    by_name = {e["name"]: e for e in found["estimates"]}
    said = []
    auc, area = by_name.get("roc_auc"), by_name.get("average_precision")
    binary = len(found["classes"]) == 2
    share = found["counts"][found["positive"]] / max(sum(found["counts"]), 1e-300)
    if binary and auc and number(auc["value"]) == number(auc["value"]):
        said.append(
            f"A random {found['classes'][found['positive']]} row scores above a random other row in "
            f"{percent(number(auc['value']))} of all pairs (ROC AUC {_spelled(auc)})."
        )
    if binary and area and number(area["value"]) == number(area["value"]):
        said.append(f"Average precision is {_spelled(area)}; guessing gives {share:.3g}.")
    bins = found.get("calibration")
    if binary and bins:
        weight = np.asarray(bins["count"], dtype=float)
        mean = float(np.average(bins["predicted"], weights=weight))
        said.append(
            f"The mean probability is {percent(mean)}, the observed share {percent(share)}"
            + (
                ": the probabilities are off as a whole."
                if not 0.8 < mean / max(share, 1e-12) < 1.25
                else "."
            )
        )
    smallest = min(found["counts"])
    if smallest < FEW:
        rare = found["classes"][int(np.argmin(found["counts"]))]
        said.append(
            f"Only {count_of(round(smallest, 1))} rows are {rare}: the intervals are wide, and even they are rather too narrow."
        )
    return [*said, decision]


def undecided_rule(scored: Scored, cost: Any) -> tuple[np.ndarray, str, float | None]:
    """Decisions for a file without any: least expected cost, the likeliest class, or the best F1 on these rows."""
    if len(scored.classes) > 2:
        if cost is not None and scored.probabilities:
            return (
                (scored.scores @ np.asarray(cost)).argmin(1),
                "The class of the lowest expected cost.",
                None,
            )
        return (
            scored.scores.argmax(1),
            "The file has no decisions: the class of the highest score is taken.",
            None,
        )
    positive = scored.positive
    other = 1 - positive
    if scored.probabilities:
        threshold, why = 0.5, "The file has no decisions: a probability of 0.5 or more is taken as one."
        if cost is not None:
            price = np.asarray(cost, dtype=float)
            gain = price[positive][other] - price[positive][positive]
            harm = price[other][positive] - price[other][other]
            threshold = float(harm / (harm + gain)) if harm + gain > 0 else 0.5
            why = f"The file has no decisions: those of the lowest expected cost are taken (threshold {threshold:.4g})."
    else:
        points = operating_points(scored.scores, scored.target == positive, scored.weight)
        f1 = np.nan_to_num(points.f1(), nan=-1.0)
        threshold = float(points.threshold[len(f1) - 1 - int(np.argmax(f1[::-1]))])
        why = (
            f"The file has no decisions, and its scores are no probabilities: the threshold of the best F1 on these very rows "
            f"is taken ({threshold:.6g}), which flatters."
        )
    return np.where(scored.scores >= threshold, positive, other), why, threshold


def _spelled(estimate: Mapping[str, Any]) -> str:
    return f"{fixed(number(estimate['value']), 3)} {span(estimate, 3)}".strip()
