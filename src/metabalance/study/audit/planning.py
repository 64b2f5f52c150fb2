"""What the planned comparison can find out: its folds tried out, its positives counted, its metric questioned."""

from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.judge.metrics import get_metric
from metabalance.judge.power import positives_needed
from metabalance.judge.which_metric import which_metric
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.quick_model import QuickModel, planned_value
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_folds", "check_metric", "check_needs"]

FEW = 10  # rows of a class in a test part
EXTREME = 0.01
BY_MAJORITY = ("accuracy", "brier", "log_loss", "ece", "ece_equal_mass")


def check_folds(subject: Subject, plan: Plan) -> Part:
    """MB016 and MB018."""
    from metabalance.study.splits import make_splits

    facts: dict[str, Any] = {"folds": plan.folds, "feasible": True, "fewest_in_a_test_part": None}
    part = Part(facts={"plan": facts})
    size = len(subject.counts)
    try:
        splits = make_splits(
            subject.y, folds=plan.folds, seed=plan.seed, groups=subject.groups, time=subject.time,
            classes=subject.target.classes,
        )  # fmt: skip
    except DataError as error:
        facts["feasible"] = False
        part.found("MB016", "error", f"{plan.folds} folds cannot be made: {error}")
        part.skipped["MB018"] = "the folds cannot be made"
        return part
    tests = np.array([np.bincount(subject.y[split.test], minlength=size) for split in splits])
    fewest = tests.min(axis=0)
    facts["fewest_in_a_test_part"] = {str(c): int(n) for c, n in zip(subject.target.classes, fewest)}
    few = np.flatnonzero(fewest < FEW)
    if len(few):
        few = few[np.argsort(fewest[few], kind="stable")]
        named = listed([f"{subject.label(c)} ({fewest[c]})" for c in few])
        message = (
            f"with {plan.folds} folds a test part has fewer than {FEW} {subject.noun}s of {named}: figures of single folds "
            "will swing"
        )
        part.found("MB018", "warning", message, classes=tuple(subject.target.classes[c] for c in few))
    return part


def check_needs(subject: Subject, plan: Plan, model: QuickModel | str) -> Part:
    """MB019."""
    part = Part(facts={"positives": None})
    c = subject.target.positive
    have = int(subject.counts[c])
    share = have / len(subject.y)
    value = None
    if not isinstance(model, str) and c in model.classes:
        value = planned_value(model, subject, plan.metric)
    assumed = value is None
    at = 0.5 if value is None else float(np.clip(value, 0.01, 0.99))
    need = _needed(plan, at, share)
    if need is None:
        part.skipped["MB019"] = f"for {plan.metric} no simple rule tells how many positives an interval needs"
        return part
    per_part = have // plan.folds
    part.facts["positives"] = {
        "metric": plan.metric, "value": at, "assumed": assumed, "half_width": plan.half_width, "level": plan.level,
        "needed": need, "at_hand": have, "in_a_test_part": per_part,
    }  # fmt: skip
    title = get_metric(plan.metric).title if plan.metric != "expected_cost" else plan.metric
    title = title if title.isupper() or title[1:2].isupper() else title[0].lower() + title[1:]
    if have < need:
        message = (
            f"a 95 % interval of ±{plan.half_width:g} for {title} near {at:.2f} needs about {need:,} {subject.noun}s of "
            f"class {subject.label(c)}; there are {have:,}, and {per_part:,} in a test part"
        )
        part.found("MB019", "warning", message, classes=(subject.target.classes[c],))
    elif per_part < need:
        message = (
            f"a 95 % interval of ±{plan.half_width:g} for {title} near {at:.2f} needs about {need:,} {subject.noun}s of "
            f"class {subject.label(c)}: a test part has {per_part:,}, all of them together {have:,}; read pooled figures"
        )
        part.found("MB019", "info", message, classes=(subject.target.classes[c],))
    return part


def _needed(plan: Plan, value: float, prevalence: float) -> int | None:
    """None where no simple rule is known."""
    try:
        return positives_needed(plan.metric, value, plan.half_width, prevalence=prevalence, level=plan.level)
    except ValueError:
        return None


def check_metric(subject: Subject, plan: Plan) -> Part:
    """MB032, and which metric answers which question."""
    share = subject.counts / subject.counts.sum()
    positive = float(share[subject.target.positive])
    two, name = len(share) == 2, subject.label(subject.target.positive)
    chance = float(share.max())
    advice = [
        {"question": f"which {subject.noun}s of {name} come first in a ranking?", "metric": "average_precision",
         "chance": positive if two else float(share.mean())},
        {"question": f"how many of the first K alarms are {name}?", "metric": "precision@100", "chance": positive},
        {"question": "what do the mistakes cost?", "metric": "expected_cost", "chance": None},
        {"question": "is every class served alike?", "metric": "balanced_accuracy", "chance": 1 / len(share)},
        {"question": "are the probabilities right?", "metric": "log_loss",
         "chance": float(-(share * np.log(share)).sum())},
    ]  # fmt: skip
    ranking = which_metric("rank", prevalence=positive).as_dict() if two else None
    part = Part(facts={"metric": {"planned": plan.metric, "advice": advice, "for_ranking": ranking}})
    metric = plan.metric
    if metric == "accuracy" and chance >= 0.8:
        message = (
            f"accuracy is {percent(chance)} for who always answers {subject.label(int(np.argmax(share)))}"
        )
    elif metric in BY_MAJORITY and positive <= 0.1:
        message = f"{metric} is governed by the {percent(1 - positive)} that are not {name}"
    elif metric in ("precision", "specificity", "recall"):
        what = "everything" if metric == "recall" else "next to nothing"
        message = f"{metric} alone is perfect for a model that answers {what} with {name}"
    elif metric in ("roc_auc", "roc_auc_ovo") and positive < EXTREME:
        alarms = 0.01 * (1 - positive) / positive
        message = (
            f"with {percent(positive)} positives a false alarm rate of 1 %, which an area under the ROC curve hardly sees, is "
            f"{alarms:,.0f} false alarms for each {name}"
        )
    else:
        return part
    part.found(
        "MB032",
        "warning",
        f"{message}; {'expected_cost, ' if metric != 'expected_cost' else ''}average_precision or precision@K tell more",
    )
    return part
