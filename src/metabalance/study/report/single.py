"""The page of one model's scores: a scored file, or a model folder with what was recorded when it was fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.judge.subpopulations import subpopulation_bias
from metabalance.study.estimates import class_estimates, estimates, group_estimates
from metabalance.study.evidence import evidence
from metabalance.study.points import OperatingPoints
from metabalance.study.report.curve_view import curve_figures, learning_view
from metabalance.study.report.drawing import LINES
from metabalance.study.report.explorer import explorer_view
from metabalance.study.report.made import cited, versions
from metabalance.study.report.mistakes import confusions
from metabalance.study.report.prose import READING, headline_of, told_by, undecided_rule
from metabalance.study.report.tables import bias_table, class_table, group_table, metric_table, mistake_table
from metabalance.study.report.words import clean, count_of, percent, short
from metabalance.study.scored import Scored

__all__ = ["evidence_of", "single_view"]

JUDGES = ("delong", "newcombe", "wilson", "bca", "net_benefit")
BIG = 8  # classes up to which a confusion table can be read


def evidence_of(scored: Scored, cost: Any = None) -> tuple[dict[str, Any], str, float | None]:
    """Evidence and estimates of a scored file, how rows were decided, and the threshold in use.

    Args:
        scored: Of :func:`~metabalance.study.scored.read_scored`.
        cost: Cost matrix ``(C, C)`` or None.
    """
    decided, rule, threshold = scored.decision, "Decided as the file says.", None
    size, binary = len(scored.classes), len(scored.classes) == 2
    if decided is None:
        decided, rule, threshold = undecided_rule(scored, cost)
    elif binary:
        threshold = _threshold_of(scored.scores, decided == scored.positive)
    found = evidence(
        scored.scores, scored.target, scored.classes, scored.positive, decided, scored.weight,
        probabilities=scored.probabilities,
    )  # fmt: skip
    found["estimates"] = estimates(
        scored.scores, scored.target, decided, scored.weight, num_classes=size, positive=scored.positive,
        probabilities=scored.probabilities, cost=cost,
    )  # fmt: skip
    found["class_estimates"] = class_estimates(scored.scores, scored.target, decided, size)
    if scored.groups is not None:
        found["groups"], found["groups_hidden"] = group_estimates(
            scored.groups, scored.scores, scored.target, decided, size, scored.positive, scored.probabilities
        )
        if binary and not found["groups_hidden"] and scored.counts.all():
            labels = scored.groups.astype(str)
            found["bias"] = subpopulation_bias(scored.scores, scored.target, labels).as_dict()
    return found, rule, threshold


def single_view(
    parts: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    kind: str,
    title: str,
    decision: str,
    threshold: float | None = None,
    cost: Any = None,
    groups: str = "",
    training: Mapping[str, Any] | None = None,
    findings: Sequence[Mapping[str, Any]] = (),
    details: Sequence[str] = (),
    made: Sequence[tuple[str, str]] = (),
    command: str = "",
    recipe: str = "",
    created: str = "",
    fingerprint: str = "",
) -> dict[str, Any]:
    """The template's variables.

    Args:
        parts: Name and evidence of each set of rows, the one that counts first; its evidence has ``estimates``.
        kind: For the head: ``"model"`` or ``"scored file"``.
        title: The heading.
        decision: How rows were decided, a sentence.
        threshold: Of two classes the one in use.
        cost: Cost matrix or None.
        groups: Name of the column of groups.
        training: Of :func:`~metabalance.study.evidence.training_record`.
        findings: Of the checks.
        details: Sentences for the summary.
        made: What was done, name and value.
        command: What reproduces it.
        recipe: Of the model, for its papers.
        created: When.
        fingerprint: Of the data.
    """
    parts = clean(list(parts))
    main_name, main = parts[0]
    classes, positive = main["classes"], main["positive"]
    first = main["points"][0]
    points = OperatingPoints.from_dict(first)
    total = points.positives + points.negatives
    source = f"The scores of {main_name}." if kind != "model" else f"The scores of the rows: {main_name}."
    rare = min(range(len(classes)), key=lambda c: main["counts"][c])
    view: dict[str, Any] = {
        "kind": kind,
        "title": title,
        "headline": headline_of(main),
        "details": [*details, *told_by(main, decision)],
        "facts": [
            (count_of(main["rows"]), f"rows ({main_name})"),
            (count_of(round(main["counts"][rare], 1)), f"of class {short(classes[rare])}, the rarest of {len(classes)}"),
            (percent(points.positives / total if total else float("nan")), f"are {short(classes[positive])}"),
        ],
        "metrics": metric_table([(n, e["estimates"]) for n, e in parts], _lead(parts, kind)),
        "curves": _curves(parts, points.positives / total if total else 0.0),
        "confusions": _confusions(parts),
        "pairs": mistake_table(classes, main["confusion"]) if main["confusion"] and len(classes) > BIG else None,
        "classes_table": class_table(classes, main.get("class_estimates") or []),
        "groups_table": group_table(main.get("groups") or [], main.get("groups_hidden", 0), groups, classes[positive]),
        "bias_table": bias_table(main.get("bias")),
        "decision": decision,
        "explorer": explorer_view(main, threshold=threshold, cost=cost, source=source),
        "training": learning_view([(1, recipe or "model", training)]) if training else None,
        "findings": list(findings),
        "reading": READING,
        "made": [(name, value) for name, value in (*made, ("page made with", versions())) if value],
        "command": command,
        "cited": cited({recipe.split("(")[0], *JUDGES, *(("auroc_auprc",) if main.get("bias") else ())}),
        "version": versions().split(",")[0].removeprefix("metabalance "),
        "created": created[:16].replace("T", " "),
        "fingerprint": fingerprint,
    }  # fmt: skip
    if view["training"]:
        kept = (training or {}).get("best_epoch")
        view["training"]["lead"] = (
            "The metric on the validation rows picked the epoch; the loss is that on the training rows, as the recipe weighs it."
            + ("" if kept is None else f" Epoch {kept + 1} was kept (the dot).")
        )
    whole = ("curves", "training", "explorer", "cited")  # made of clean parts; lines must stay lines
    return clean(view) | {k: view[k] for k in whole} | {"command": "\n".join(clean(command.splitlines()))}


def _threshold_of(scores: np.ndarray, called: np.ndarray) -> float | None:
    """The threshold that gave these decisions, or None where no threshold could have."""
    if not called.any():
        return float("inf")
    low = float(scores[called].min())
    return low if called.all() or scores[~called].max() < low else None


def _lead(parts: Sequence[tuple[str, Mapping[str, Any]]], kind: str) -> str:
    names = [name for name, _ in parts]
    if kind != "model":
        return "Whether these rows were used to fit the model, only you can know: if they were, all of this is too good."
    if names == ["validation"]:
        return (
            "On the validation rows, which chose the epoch, the calibration and the threshold: optimistic. "
            "Fit with --holdout, or report with --data, for a fair figure."
        )
    return (
        f"On rows that the model was not fitted on ({', '.join(n for n in names if n != 'validation')}); the validation rows "
        "chose epoch, calibration and threshold, so that theirs are optimistic."
    )


def _curves(parts: Sequence[tuple[str, Mapping[str, Any]]], base_rate: float) -> dict[str, Any] | None:
    entries = []
    for colour, (name, found) in enumerate(parts, start=1):
        curves: dict[str, Any] = OperatingPoints.from_dict(found["points"][0]).curves()
        if found["calibration"]:
            curves["calibration"] = found["calibration"]
        else:
            curves.pop("net_benefit", None)  # a threshold is an odds of costs for probabilities only
        entries.append((colour, name, curves))
    view = curve_figures(entries, base_rate)
    if view is None:
        return None
    classes, positive = parts[0][1]["classes"], parts[0][1]["positive"]
    against = " against all others" if len(classes) > 2 else ""
    return view | {
        "lead": f"How {classes[positive]}{against} is told from the rest.",
        "legend": [{"colour": LINES[c], "dashed": False, "label": name} for c, name, _ in entries],
    }


def _confusions(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    drawn = []
    for colour, (name, found) in enumerate(parts, start=1):
        if found["confusion"]:
            classes, positive = found["classes"], found["positive"]
            order = [1 - positive, positive] if len(classes) == 2 else list(range(len(classes)))
            table = [[found["confusion"][i][j] for j in order] for i in order]
            labels = [classes[i] for i in order]
            drawn.append((colour, {"name": name, "confusion": table, "confusion_classes": labels}))
    return confusions(drawn, {"data": {key: parts[0][1][key] for key in ("classes", "counts")}})
