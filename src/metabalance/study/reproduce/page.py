"""A result for people: Markdown for a page, and the same on the terminal."""

from typing import Any

from metabalance.methods import get_method

__all__ = ["as_markdown", "show"]

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC-AUC, mean of one against rest",
    "average_precision": "average precision",
    "f1": "F1",
    "log_loss": "log-loss",
    "ece": "calibration error",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "gap": "many minus few",
    "worst": "worst class",
    "robust": "robust balanced accuracy",
    "robust_few": "robust, few",
    "mae": "MAE",
    "mae@many": "MAE, many",
    "mae@medium": "MAE, medium",
    "mae@few": "MAE, few",
    "bmae": "balanced MAE",
    "slope": "slope",
    "from_shrunk": "slope minus 0.2",
    "from_true": "slope minus 1",
    "mse": "squared error, targets 0 to 10",
    "log_ratio": "log-ratio of the halves' weights",
    "largest": "log10 of largest over smallest weight",
    "mean_weight": "mean weight minus 1",
    "agreement": "Kendall's tau with the true order",
    "excess_cost": "cost above the least",
    "alarms": "false alarms per find",
    "gap_change": "change of the gap",
    "frequent_change": "change of ROC AUC, frequent group",
    "rare_change": "change of ROC AUC, rare group",
    "rocauc": "ROC AUC",
    "sigma_skill": "skill of the spread",
    "knn_skill": "skill of the distance",
    "sparse": "error, sparse minus dense",
    "miscalibration": "miscalibration area",
}


def number(found: dict[str, Any], sign: bool = False) -> str:
    """A value with its interval.

    >>> number({"value": 0.51234, "low": 0.5, "high": 0.52, "reason": ""})
    '0.512 [0.500, 0.520]'
    """
    value = found["value"]
    if value is None or value != value:
        return "-"
    form = f"{'+' if sign else ''}.{4 if sign and abs(value) < 0.01 else 3}f"
    if found["low"] is None or found["low"] != found["low"]:
        return format(value, form)
    return f"{value:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def describe(condition: dict[str, Any]) -> str:
    """A set-up in one line.

    The counts are those of the first seed.
    """
    if "text" in condition:
        return condition["text"].removesuffix(".")
    d, t = condition["data"], condition["training"]
    if "table" in d:
        return describe_values(condition)
    rows = "all test images" if d["test"] is None else f"{d['test']} test images per class"
    counts = ", ".join(map(str, sorted(condition["counts"], reverse=True)))
    extra = f", {d['noise']:.0%} of the training labels wrong" if d["noise"] else ""
    extra += f", attacked within {condition['attack']:g}" if condition["attack"] else ""
    return (
        f"{d['images']}, {d['profile'].replace('_', ' ')}, training counts {counts}; {d['validation']} validation "
        f"images per class; {rows}; {t['module']}, {t['epochs']} epochs of batches of {t['batch_size']}, "
        f"{t['optimizer']}, learning rate {t['lr']:g}{extra}"
    )


def describe_values(condition: dict[str, Any]) -> str:
    """The same for a table with a continuous target."""
    from metabalance.study.reproduce.value_sets import TABLES

    d, t, rows = condition["data"], condition["training"], condition["counts"]
    table, (train, test) = TABLES[d["table"]], (" + ".join(map(str, rows[p])) for p in ("train", "test"))
    made = f" ({table.features})" if table.features else ""
    bins = f"{table.num_bins} bins" if table.bin_width is None else f"bins of {table.bin_width:g}"
    return (
        f"{d['table']}{made}, errors in {table.unit}, {bins}; {train} training and {test} test rows in many-, medium- "
        f"and few-shot bins; network of {' and '.join(map(str, t['hidden']))} units, {t['epochs']} epochs of batches of "
        f"{t['batch_size']}, {t['optimizer']}, learning rate {t['lr']:g}"
    )


def contrast_lines(result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """``(statement, condition, difference, verdict)`` of each contrast."""
    lines = []
    for c in result["contrasts"]:
        unit = TITLES.get(c["metric"], c["metric"])
        control = "control: " if c["control"] else ""
        bound = f", within {c['margin']:g}" if c["margin"] else ""
        lines.append(
            (
                f"{control}{c['says']} ({unit}{bound})",
                c["condition"],
                number(c["interval"], sign=True),
                c["verdict"],
            )
        )
    return lines


def as_markdown(result: dict[str, Any]) -> str:
    """A section of a results page."""
    method, published = get_method(result["paper"]), result["published"]
    paper = method.papers[0]
    cite = f"[{paper.short}]({paper.url})" if paper.url else paper.short
    command = f"metabalance reproduce {result['name']}{' --full' if result['full'] else ''} --seeds {result['seeds']}"
    lines = [
        f"## {result['name']}" + (f": {result['verdict']}" if not result["parts"] else ""),
        "",
        *(f"- {part}: **{verdict}**" for part, verdict in result["parts"].items()),
        *([""] if result["parts"] else []),
        f"{cite}, {paper.title}: {result['statement']}",
        "",
        f"- Published ({published['status']}; {published['source']}): {published['figures']} Set-up: {published['setup']}",
        *(f"- Here, {name}: {describe(setup)}." for name, setup in result["conditions"].items()),
        f"- {result['seeds']} seeds; `{command}`.",
        *(f"- {note}" for note in result["notes"]),
        "",
        "| condition | arm | " + " | ".join(TITLES.get(m, m) for m in result["shown"]) + " | s/fit |",
        "|---" * (len(result["shown"]) + 3) + "|",
    ]
    for row in result["table"]:
        cells = " | ".join(number(row[m]) for m in result["shown"])
        lines.append(f"| {row['condition']} | {row['arm']} | {cells} | {row['seconds']:.1f} |")
    lines += ["", "| the claim says | condition | difference | verdict |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in contrast_lines(result)]
    return "\n".join(lines) + "\n"


def show(console: Any, result: dict[str, Any]) -> None:
    """Prints a result."""
    from rich.table import Table

    method, published = get_method(result["paper"]), result["published"]
    print_ = lambda text, **how: console.print(text, highlight=False, markup=False, **how)  # noqa: E731
    print_(f"\n{result['name']}  ({method.papers[0].short})", style="bold")
    print_(f"Claim      {result['statement']}")
    print_(
        f"Published  {published['figures']} Set-up: {published['setup']} [{published['status']}; {published['source']}]"
    )
    if result["fallback"]:
        print_("Note       the data are not there; what ships with scikit-learn stands in.")
    for name, setup in result["conditions"].items():
        print_(f"Here       {name}: {describe(setup)}; {result['seeds']} seeds")
    table = Table(box=None, pad_edge=False)
    for column in ("condition", "arm", *(TITLES.get(m, m) for m in result["shown"])):
        table.add_column(column, overflow="fold", no_wrap=column == "condition")
    for row in result["table"]:
        first, *rest = (row[m] for m in result["shown"])  # a terminal has room for one interval
        cells = [number(first), *(number(found | {"low": None}) for found in rest)]
        table.add_row(row["condition"], row["arm"], *cells)
    console.print(table)
    print_("")
    table = Table(box=None, pad_edge=False)
    for column in ("the claim says", "condition", "difference", "verdict"):
        table.add_column(column, overflow="fold", no_wrap=column == "condition")
    for line in contrast_lines(result):
        table.add_row(*line)
    console.print(table)
    for note in result["notes"]:
        print_(f"Note       {note}")
    for part, verdict in result["parts"].items():
        print_(f"{part}: {verdict}", style="bold")
    if not result["parts"]:
        print_(f"Verdict    {result['verdict']}", style="bold")
