"""The page of one model's values: a table of predictions, or a model folder with what was recorded when it was fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.curve_view import learning_view
from metabalance.study.report.made import cited, versions
from metabalance.study.report.value_view import density_view, model_sections, region_table
from metabalance.study.report.words import clean, count_of, digits_for, fixed, number, percent, span
from metabalance.study.values.figures import stored_density

__all__ = ["value_single_view"]

JUDGES = ("bca", "wilson")
READING = (
    (
        "Many, medium, few.",
        "The target is cut into bins, and a bin is grouped by the training rows that it holds; a row belongs to the region "
        "of its true value.",
    ),
    (
        "The balanced error",
        "is the mean of the bins' errors: each bin counts alike, however few rows it has.",
    ),
    (
        "Intervals",
        "hold at 95 % for rows drawn like these; they do not cover a world that changes, nor a choice made on these rows.",
    ),
    (
        "Within a region",
        "R² and correlations are small by construction: there is little left to explain.",
    ),
    (
        "Undefined",
        "is written where a metric has no value (a region without rows): it is never counted as 0.",
    ),
)


def value_single_view(
    parts: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    kind: str,
    title: str,
    source: str = "",
    training: Mapping[str, Any] | None = None,
    findings: Sequence[Mapping[str, Any]] = (),
    made: Sequence[tuple[str, str]] = (),
    command: str = "",
    recipe: str = "",
    created: str = "",
    fingerprint: str = "",
) -> dict[str, Any]:
    """The template's variables.

    Args:
        parts: Name and evidence (of :func:`~metabalance.study.values.evidence.values_evidence`) of each set of rows,
            the one that counts first.
        kind: For the head: ``"model"`` or ``"predicted values"``.
        title: The heading.
        source: Where the regions come from, a sentence.
        training: Of :func:`~metabalance.study.evidence.training_record`.
        findings: Of the checks.
        made: What was done, name and value.
        command: What reproduces it.
        recipe: Of the model, for its papers.
        created: When.
        fingerprint: Of the data.
    """
    parts = clean(list(parts))
    main_name, main = parts[0]
    names = [str(name) for name in main["targets"]]
    several = len(names) > 1
    few = [sum(one["regions"]["few"]["rows"] for one in main["values"]["targets"])]
    view: dict[str, Any] = {
        "kind": kind,
        "title": title,
        "headline": _headline(main, several),
        "details": [*_told(main), *([source] if source else [])],
        "facts": [
            (count_of(main["rows"]), f"rows ({main_name})"),
            (count_of(few[0]), "of them where the target is rare (few)" if not several else "values in rare regions (few)"),
            *([(count_of(len(names)), "targets")] if several else []),
        ],
        "lead": _lead([name for name, _ in parts], kind),
        "tables": [_tables(name, found, several) for name, found in parts],
        "several": several,
        "sections": model_sections(main["values"], main.get("level")),
        "density": density_view(stored_density(main["regions"], names)),
        "training": learning_view([(1, recipe or "model", training)]) if training else None,
        "findings": list(findings),
        "reading": READING,
        "explorer": None,
        "made": [(name, value) for name, value in (*made, ("page made with", versions())) if value],
        "cited": cited({recipe.split("(")[0], *JUDGES}),
        "version": versions().split(",")[0].removeprefix("metabalance "),
        "created": created[:16].replace("T", " "),
        "fingerprint": fingerprint,
        "targets": names,
    }  # fmt: skip
    if view["training"]:
        kept = (training or {}).get("best_epoch")
        view["training"]["lead"] = (
            "The metric on the validation rows picked the epoch; the loss is that on the training rows, as the recipe weighs it."
            + ("" if kept is None else f" Epoch {kept + 1} was kept (the dot).")
        )
    whole = ("sections", "density", "training", "cited")  # made of clean parts; figures must stay figures
    return clean(view) | {k: view[k] for k in whole} | {"command": "\n".join(clean(command.splitlines()))}


def _headline(main: Mapping[str, Any], several: bool) -> str:
    by_name = {e["name"]: e for e in main["estimates"]}
    whole, rare = by_name.get("mae"), by_name.get("mae@few")
    if whole is None or number(whole["value"]) != number(whole["value"]):
        return f"{count_of(main['rows'])} rows were predicted."
    digits = digits_for([whole])
    unit = " standard deviations, on average over the targets" if several else ""
    said = f"Predictions miss by {fixed(number(whole['value']), digits)}{unit} in the mean"
    a, b = number(whole["value"]), number(rare["value"]) if rare else float("nan")
    if b == b and a > 0:
        return f"{said}, and by {fixed(b, digits)} where the target is rare: {b / a:.2g} times as much."
    return f"{said}; none of these rows lies where the target is rare." if b != b else f"{said}."


def _told(main: Mapping[str, Any]) -> list[str]:
    """What stands behind the headline, a sentence each."""
    by_name = {e["name"]: e for e in main["estimates"]}
    said = []
    balanced, plain, r2 = (by_name.get(name) for name in ("bmae", "mae", "r2"))
    if balanced and plain and number(balanced["value"]) == number(balanced["value"]):
        said.append(
            f"With every stretch of the target counted alike, the mean absolute error is {_spelled(balanced)}."
        )
    if r2 and number(r2["value"]) == number(r2["value"]):
        said.append(f"R² is {_spelled(r2)}: the share of the target's variance that is explained.")
    for one in main["values"]["targets"][:4]:
        few = one["regions"]["few"]
        bias, error = number(few["bias"]), number(few["mae"])
        # A mean residual close to the mean error says that nearly all miss on the same side.
        if few["rows"] >= 5 and error > 0 and abs(bias) > error / 2:
            digits = digits_for([{"value": bias}])
            of = f" {one['name']}" if len(main["targets"]) > 1 else " the target"
            side = "low" if bias < 0 else "high"
            said.append(
                f"Where{of} is rare, predictions are too {side}, by {fixed(abs(bias), digits)} in the mean of {few['rows']} rows."
            )
        within = (one.get("coverage") or {}).get("target")
        if within and number(within["all"]["value"]) == number(within["all"]["value"]):
            level = main.get("level")
            promised = f" (meant: {percent(level)})" if level else ""
            rare = (
                f", and {percent(number(within['few']['value']))} where it is rare"
                if within["few"]["rows"]
                else ""
            )
            said.append(
                f"The intervals of {one['name']} hold {percent(number(within['all']['value']))} of the rows{promised}{rare}."
            )
    rows = min((one["regions"]["few"]["rows"] for one in main["values"]["targets"]), default=0)
    if 0 < rows < 50:
        said.append(
            f"Only {rows} rows lie in a rare region: its intervals are wide, and even they are rather too narrow."
        )
    return said  # fmt: skip


def _tables(name: str, found: Mapping[str, Any], several: bool) -> dict[str, Any]:
    """The figures of one set of rows: over all targets, and of each."""
    of_each = [(t, region_table(found["estimates"], t)) for t in found["targets"]] if several else []
    return {
        "name": name,
        "rows": count_of(found["rows"]),
        "whole": region_table(found["estimates"]),
        "targets": [{"name": t, "table": table} for t, table in of_each if table],
    }


def _lead(names: Sequence[str], kind: str) -> str:
    if kind != "model":
        return "Whether these rows were used to fit the model, only you can know: if they were, all of this is too good."
    if names == ["validation"]:
        return (
            "On the validation rows, which chose the epoch and gave the intervals: optimistic. Fit with --holdout, or report "
            "with --data, for a fair figure."
        )
    return (
        f"On rows that the model was not fitted on ({', '.join(n for n in names if n != 'validation')}); the validation rows "
        "chose the epoch and gave the intervals, so that their figures are optimistic."
    )


def _spelled(estimate: Mapping[str, Any]) -> str:
    digits = digits_for([estimate])
    return f"{fixed(number(estimate['value']), digits)} {span(estimate, digits)}".strip()
