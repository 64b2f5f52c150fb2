"""``metabalance audit``: the summary first, then every finding with its cure."""

import json
from pathlib import Path

from rich.markup import escape

from metabalance.study.audit.result import Audit
from metabalance.study.audit.run import audit
from metabalance.study.terminal import Console

COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
# Left out for a reason that is no news: it depends on what was, or was not, declared.
UNTOLD = ("MB025", "MB026", "MB027", "MB028", "MB034", "MB114", "MB115")
ELSEWHERE = ("for images", "for tables", "for classes", "for values")


def audit_command(
    *, data: Path, target: str | None, positive: str | None, groups: str | None, time: str | None, folds: int,
    metric: str | None, half_width: float | None, mute: str | None, json_path: str | None, overwrite: bool,
    model_rows: int, seed: int, header: bool, delimiter: str | None, drop: str | None, image_size: str | None,
    skip_broken: bool, task: str | None = None,
) -> bool:  # fmt: skip
    """Audits a file and prints the outcome; whether an error or a warning stands.

    Raises:
        DataError: The data or an option cannot be used, or the JSON file exists.
    """
    from metabalance.study.given import check_goal, names_of
    from metabalance.study.store import write_atomically

    to_file = json_path is not None and json_path != "-"
    if to_file:
        check_goal(Path(str(json_path)), overwrite)
    console = Console(stderr=json_path == "-")
    with console.status("looking ..."):
        report = audit(
            data, target, task=task, positive=positive, groups=groups, time=time, drop=names_of(drop),
            mute=(mute or "").split(","), folds=folds, metric=metric, half_width=half_width, seed=seed,
            model_rows=model_rows, header=header, delimiter=delimiter, image_size=image_size, skip_broken=skip_broken,
        )  # fmt: skip
    if json_path == "-":
        print(json.dumps(report.to_dict(), indent=1, allow_nan=False))  # ASCII: no name steers the terminal
        return report.stands
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    show_audit(console, report)
    if to_file:
        write_atomically(Path(str(json_path)), text.encode("utf-8", "replace"))
        _say(console, f"\nJSON: {json_path}")
    return report.stands


def show_audit(console: Console, report: Audit) -> None:
    """Summary, findings, and what was not looked at."""
    source = report.facts["source"]
    console.print(
        f"[bold]{escape(source['name'])}[/]: {escape(source['described'])}", highlight=False, soft_wrap=True
    )
    console.print(f"\n[bold]{escape(report.headline)}[/]", highlight=False, soft_wrap=True)
    for sentence in report.summary:
        _say(console, sentence)
    for finding in report.findings:
        colour = COLOURS[finding.severity]
        console.print(
            f"\n[{colour}]{finding.code} {finding.severity}[/] [bold]{escape(finding.title)}[/]",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        end = "" if finding.message.endswith((".", "?")) else "."
        _say(console, f"  {finding.message[:1].upper()}{finding.message[1:]}{end}")
        console.print(f"  [dim]->[/] {escape(finding.cure)}", highlight=False, soft_wrap=True)
    reasons: dict[str, list[str]] = {}
    for code, reason in report.skipped.items():
        if code not in UNTOLD and reason not in ELSEWHERE and code not in report.muted:
            reasons.setdefault(reason, []).append(code)
    if reasons:
        told = "; ".join(f"{', '.join(codes)} ({reason})" for reason, codes in reasons.items())
        _say(console, f"\nNot looked for: {told}.")
    muted = f"Muted: {', '.join(report.muted)}. " if report.muted else ""
    if report.findings or muted:
        _say(console, f"\n{muted}docs/checks/ explains every code; --mute CODE leaves one out.")


def _say(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)
