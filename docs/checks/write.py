"""Writes the pages of this folder from the register of checks: ``python docs/checks/write.py``."""

from pathlib import Path

from metabalance.data.findings import Check, register

FOLDER = Path(__file__).parent


def page(check: Check) -> str:
    """The page of one check."""
    return (
        f"# {check.code}: {check.title}\n\n"
        f"Severity: {check.severity}, as a rule.\n\n"
        f"**What is looked for.** {check.looks}\n\n"
        f"**Why it matters.** {check.explanation}\n\n"
        f"**What to do.** {check.cure}\n\n"
        f"**When to let it be.** {check.ignore} Mute it with `--mute {check.code}`.\n\n"
        "[All checks](README.md) · [The audit, step by step](../guide/audit.md)\n"
    )


def index() -> str:
    """The list of all checks."""
    lines = [
        f"| [{check.code}]({check.code}.md) | {check.severity} | {check.title} |"
        for check in register().values()
    ]
    return (
        "# Checks\n\n"
        "Each finding of `metabalance audit` has one of these codes; MB001 to MB014 are made by `compare` and `fit` too, "
        "and\nthose from MB101 on are of a continuous target. Codes keep their meaning for good. "
        "[How to read an audit](../guide/audit.md).\n\n"
        "An **error** means that `compare` and `fit` would refuse; a **warning** should be looked at first; an **info** is "
        "good to know.\nThe severity given is the usual one; a finding may be milder.\n\n"
        "| code | severity | finding |\n|---|---|---|\n" + "\n".join(lines) + "\n"
    )


def pages() -> dict[str, str]:
    """Every file of this folder by its name."""
    return {"README.md": index()} | {f"{code}.md": page(check) for code, check in register().items()}


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
