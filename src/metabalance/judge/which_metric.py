"""Which metric answers the question, and why: advice from what is known about the use of a model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["QUESTIONS", "Advice", "which_metric"]

QUESTIONS = {
    "decide": "each row is accepted or refused",
    "rank": "rows are put in order, and where the line will be drawn is not known",
    "retrieve": "somebody looks at the top of one list",
    "probability": "the number itself is used: a price, a reserve, a further model",
}


@dataclass(frozen=True)
class Advice:
    """What to look at.

    Args:
        metric: The first choice, as :func:`~metabalance.judge.get_metric` knows it.
        beside: Others worth a look.
        avoid: Those that would mislead here.
        why: A sentence each.
    """

    metric: str
    beside: tuple[str, ...]
    avoid: tuple[str, ...]
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.metric}: {' '.join(self.why)}"


def which_metric(
    question: str = "rank",
    *,
    prevalence: float,
    budget: int | None = None,
    costs: bool = False,
    group_prevalences: Sequence[float] = (),
    noisy_labels: bool = False,
) -> Advice:
    """The metric for a question, from McDermott et al. (2024) on rankings and what follows from definitions elsewhere.

    A budget or costs say more than the question does, and are heard first.

    Args:
        question: One of :data:`QUESTIONS`.
        prevalence: Share of positives, between 0 and 1.
        budget: Rows that can be looked at in a batch, if that is what limits.
        costs: Whether the costs of a miss and of a false alarm are known.
        group_prevalences: Shares of positives of groups that the model must serve alike.
        noisy_labels: Whether the labels of the test rows are known to be wrong at times.

    Raises:
        ValueError: An unknown question, a share outside 0 to 1, a budget below 1.

    >>> which_metric("rank", prevalence=0.002).metric
    'roc_auc'
    >>> which_metric("retrieve", prevalence=0.002, group_prevalences=[0.01, 0.0005]).avoid
    ('average_precision', 'accuracy')
    """
    shares = [prevalence, *group_prevalences]
    if question not in QUESTIONS:
        raise ValueError(f"the question {question!r} is unknown; use one of {', '.join(QUESTIONS)}")
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares of positives must lie between 0 and 1, but {shares} were given")
    if budget is not None and budget < 1:
        raise ValueError(f"a budget is at least one row, but {budget} was given")
    unequal = len(group_prevalences) > 1 and max(group_prevalences) >= 2 * min(group_prevalences)
    metric, beside, avoid, why = _first_choice(question, prevalence, budget, costs)
    if unequal:
        why.append(
            "The groups differ in their share of positives: average precision over all rows repairs the mistakes "
            "of the group with more of them first, so look at each group on its own, and compare groups by ROC AUC."
        )
        beside = [name for name in beside if name != "average_precision"]
        if metric == "average_precision":
            metric = "roc_auc"
            why = [
                "One list holds several groups, and its top belongs to the one with most positives.",
                *why[1:],
            ]
        avoid.insert(0, "average_precision")
    if prevalence <= 0.1 or prevalence >= 0.9:
        rare = min(prevalence, 1 - prevalence)
        why.append(f"Accuracy is {1 - rare:.4g} for an answer that never changes.")
        avoid.append("accuracy")
    if noisy_labels:
        why.append(
            "Labels that are wrong independently of the scores keep the order of models by ROC AUC, balanced "
            "accuracy, Matthews correlation and precision, and can change that by F1, G-mean, recall and accuracy."
        )
        beside += [name for name in ("mcc", "roc_auc") if name not in (metric, *beside)]
    return Advice(metric, tuple(beside), tuple(dict.fromkeys(avoid)), tuple(why))


def _first_choice(
    question: str, prevalence: float, budget: int | None, costs: bool
) -> tuple[str, list[str], list[str], list[str]]:
    if costs:
        why = "The costs are known: what a model costs at its threshold is the answer, and a ranking is a means."
        return "expected_cost", ["recall", "precision"], ["g_mean", "balanced_accuracy"], [
            why,
            f"Balanced accuracy and G-mean stand for a miss that costs {(1 - prevalence) / prevalence:.3g} false alarms.",
        ]  # fmt: skip
    if budget is not None:
        why = f"{budget} rows are looked at, whatever the scores: the share of positives among them is the answer."
        return f"precision@{budget}", ["average_precision"], ["f1"], [why]
    if question == "decide":
        why = (
            "Neither costs nor a budget are known: F1 weighs false alarms against what is found, where G-mean is "
            "nearly blind to them when positives are rare. Name the costs, and this becomes an expected cost."
        )
        return "f1", ["precision", "recall", "mcc"], ["g_mean"] if prevalence < 0.01 else [], [why]
    if question == "retrieve":
        why = (
            "Somebody reads one list from the top: average precision counts a mistake the more the higher it "
            f"stands. A useless ranking scores {prevalence:.3g}."
        )
        return "average_precision", ["precision@100", "roc_auc"], [], [why]
    if question == "probability":
        why = "The number itself is used: a proper score rewards the true probability, and no ranking metric sees it."
        return "log_loss", ["brier", "ece"], ["roc_auc", "average_precision"], [why]
    why = (
        "Where the line will be drawn is not known: ROC AUC counts every mistake of the ranking the same, and does "
        "not move with the share of positives. Rare positives alone are no reason for average precision."
    )
    return "roc_auc", ["average_precision"], [], [why]
