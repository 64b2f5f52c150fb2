"""The summary of an audit in plain words."""

from collections.abc import Iterator, Mapping
from typing import Any

from metabalance.study.audit.classes import percent

__all__ = ["sentences"]


def sentences(facts: Mapping[str, Any]) -> Iterator[str]:
    """What the figures say, the most important first."""
    classes, figures = facts.get("classes") or [], facts.get("imbalance") or {}
    noun = "images" if facts["source"]["kind"] == "images" else "rows"
    positive = next((c for c in classes if c["positive"]), None)
    if positive is not None:
        rest = (
            f"1 to {(1 - positive['share']) / positive['share']:,.3g}"
            if len(classes) == 2
            else f"the largest of {len(classes)} classes has {figures['ratio']:,.3g} times the {noun} of the smallest, and "
            f"{figures['classes_for_80_percent']} hold 80 % of them"
        )
        of = f"{positive['rows']:,} of {facts['source']['rows']:,} {noun} ({percent(positive['share'])})"
        yield f"Class {positive['label']!r} has {of}: {rest}."
    plan = facts.get("plan") or {}
    fewest = plan.get("fewest_in_a_test_part")
    if positive is not None and fewest:
        yield f"Each of {plan['folds']} test parts has at least {fewest[str(positive['label'])]:,} of them."
    model = facts.get("quick_model")
    if model and model.get("roc_auc"):
        area = model["roc_auc"]
        left = (
            f", without {', '.join(map(repr, model['without_columns'][:3]))}"
            if model["without_columns"]
            else ""
        )
        sample = f" on {model['rows']:,} {noun}" if model["rows"] < model["of"] else ""
        yield (
            f"A quick model ({model['name']}{sample}{left}) ranks them with a ROC AUC of {area['value']:.3f} "
            f"[{area['low']:.3f}, {area['high']:.3f}]."
        )
    needs = facts.get("positives")
    if needs:
        enough = "enough in each test part" if needs["in_a_test_part"] >= needs["needed"] else (
            "enough when test parts are pooled" if needs["at_hand"] >= needs["needed"] else "more than there are"
        )  # fmt: skip
        near = f"at {needs['value']:.2f}{' (assumed)' if needs['assumed'] else ''}"
        yield f"±{needs['half_width']:g} for {needs['metric']} {near} needs about {needs['needed']:,} of them: {enough}."
