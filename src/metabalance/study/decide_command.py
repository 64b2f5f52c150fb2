"""``decide``: prints a decision and what it is worth, and writes it as JSON."""

import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table as Grid

from metabalance.adjust.cost import parse_cost, read_cost_matrix
from metabalance.adjust.objective import parse_objective
from metabalance.adjust.row_cost import parse_cost_columns
from metabalance.data.errors import DataError
from metabalance.study.decide import decide
from metabalance.study.decision_figures import Wish
from metabalance.study.given import as_data_errors, check_goal
from metabalance.study.scored import Scored, read_scored
from metabalance.study.store import write_atomically
from metabalance.study.terminal import Console


def decide_command(
    *, data: Path, target: str, score: str | None, positive: str | None, objective: str | None, cost: str | None,
    cost_columns: str | None, confidence: float | None, alerts: float | None, rows_per_day: float | None,
    weight: str | None, groups: str | None, judge: str, folds: int, per_class: bool, level: float, seed: int,
    out: Path | None, overwrite: bool, header: bool, delimiter: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Chooses a decision on a scored file, judges it on other rows, prints and stores it."""
    if out is not None:
        check_goal(out, overwrite)
        if out.exists() and (out.is_dir() or (data.exists() and out.samefile(data))):
            raise DataError(f"{out} is a folder or the scored file itself; choose another --out")
    if judge not in ("folds", "half"):
        raise DataError(f"--judge {judge!r} is unknown; use folds or half")
    for name, value in {"--level": level, "--confidence": confidence}.items():
        if value is not None and not 0 < value < 1:
            raise DataError(f"{name} must lie between 0 and 1, such as 0.95, but {value} was given")
    text = _objective(objective, cost, cost_columns, alerts)
    with as_data_errors():
        wanted = parse_objective(text)
    if wanted.metric == "alerts" and not (rows_per_day and rows_per_day > 0):
        raise DataError(
            f"{wanted.limit} is a number a day; say with --rows-per-day how many rows are scored a day"
        )
    if confidence is not None and wanted.metric is None:
        raise DataError(
            f"--confidence is for a constraint, but {text} has none; write for instance recall@precision>=0.9"
        )
    scored = read_scored(
        data, target=target, score=score, positive=positive, weight=weight, groups=groups, header=header,
        delimiter=delimiter,
    )  # fmt: skip
    with as_data_errors():
        columns = None
        if cost_columns is not None:
            columns = parse_cost_columns(cost_columns, [str(c) for c in scored.frame.columns])
        wish = Wish(
            text, _matrix(cost, scored), columns, confidence, rows_per_day, "half" if judge == "half" else "folds",
            folds, per_class, level, seed=seed,
        )  # fmt: skip
        result = decide(scored, wish, scored.groups)
    if out is not None:
        write_atomically(out, (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    show_decision(Console(), result)
    if out is not None:
        Console().print(f"\nDecision: {escape(str(out))}", highlight=False, soft_wrap=True)
    return result


def _objective(
    objective: str | None, cost: str | None, cost_columns: str | None, alerts: float | None
) -> str:
    if cost_columns is not None and (
        cost is not None or objective not in (None, "cost") or alerts is not None
    ):
        raise DataError(
            "--cost-columns decide each row by its own costs; leave out --cost, --objective and --alerts"
        )
    if alerts is not None:
        if objective is not None and "=" in objective:
            raise DataError(f"--alerts is a constraint, and {objective} has one already; give one of them")
        goal = objective or ("cost" if cost is not None else None)
        return f"{goal}@alerts<={alerts:g}" if goal else f"alerts<={alerts:g}"
    return objective or ("cost" if cost is not None or cost_columns is not None else "f1")


def _matrix(text: str | None, scored: Scored) -> tuple[tuple[float, ...], ...] | None:
    if text is None:
        return None
    if "=" in text and len(scored.classes) == 2:
        return parse_cost(text, scored.positive)
    if not Path(text).is_file():
        two = "write for instance fn=50,fp=1, or " if len(scored.classes) == 2 else ""
        raise DataError(f"--cost {text!r} is no file; {two}name a JSON file with a matrix")
    return read_cost_matrix(text, scored.classes)


def show_decision(console: Console, result: dict[str, Any]) -> None:
    """The decision in words, its figures as a table."""

    def say(text: str, style: str = "") -> None:
        console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    classes, judged = result["classes"], result["judged"]
    counts = ", ".join(f"{c} {n:,}" for c, n in zip(classes, result["counts"]))
    say(f"{result['data']['name']}: {result['data']['rows']:,} rows; {result['data']['target']}: {counts}; "
        f"positive: {classes[result['positive']]}")  # fmt: skip
    say(rule_of(result), "bold")
    if result["threshold"] is not None:
        say("  " + _moves(result["threshold"]))
    for note in result["notes"]:
        say(f"  note: {note}", "yellow")
    how = {
        "folds": f"each fold of {result['folds']} by what was chosen on the others",
        "half": "chosen on one half, judged on the other",
    }.get(judged["how"], judged["how"])
    say(f"\nJudged on {judged['rows']:,} rows ({how}):")
    if "tp" in judged:
        say("  found {tp:,.0f} of {all:,.0f}, missed {fn:,.0f}, false alarms {fp:,.0f} of {no:,.0f}".format(
            **judged, all=judged["tp"] + judged["fn"], no=judged["fp"] + judged["tn"]))  # fmt: skip
    for name, total in judged.get("total_cost", {}).items():
        say(f"  total cost, {name}: {total:,.2f}")
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, figure in judged["figures"].items():
        if figure["value"] is None:
            grid.add_row("", escape(name), "-", escape(figure["reason"]))
        else:
            grid.add_row("", escape(name), _number(figure["value"]), _range(figure) + _doubt(figure))
    console.print(grid, highlight=False)
    if "constraint" in judged:
        limit = judged["constraint"]
        verdict = {True: "held", False: "broken", None: "cannot be told from these rows"}[limit["held"]]
        say(f"  {limit['text']}: {verdict}")


def rule_of(result: dict[str, Any]) -> str:
    decision, classes = result["decision"], result["classes"]
    goal = "the lowest cost" if result["objective"] == "cost" else result["objective"]
    lead = "Decision" if result["attainable"] else "Not attainable; the nearest decision"
    if "cost_columns" in decision:
        costs = ", ".join(
            f"{k}={v if isinstance(v, str) else format(v, 'g')}" for k, v in decision["cost_columns"].items()
        )
        return f"{lead}: each row the class of least expected cost, with {costs}"
    if decision["threshold"] is not None:
        called = classes[decision["positive"]]
        return f"{lead}: {called} from a probability of {decision['threshold']:.4g}, for {goal}"
    if decision["multipliers"] is not None:
        weighed = ", ".join(f"{c} {m:.3g}" for c, m in zip(classes, decision["multipliers"]))
        return f"{lead}: the class with the largest probability times {weighed}, for {goal}"
    return f"{lead}: the class of least expected cost"


def _moves(threshold: dict[str, Any]) -> str:
    level = f"{100 * threshold['level']:g} %"
    parts = ", ".join("none" if t is None else f"{t:.4g}" for t in threshold["parts"])
    failed = threshold["not_attainable_share"]
    lost = f"; not attainable in {failed:.0%} of resamples" if failed else ""
    if threshold["low"] is None:
        return f"no interval of the threshold{lost}; chosen on the parts: {parts}"
    return f"{level} of resamples choose {threshold['low']:.4g} to {threshold['high']:.4g}{lost}; the parts: {parts}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _range(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return ""
    return escape(f"[{_number(figure['low'])}, {_number(figure['high'])}]")


def _doubt(figure: dict[str, Any]) -> str:
    return f" ({escape(figure['reason'])})" if figure["reason"] else ""
