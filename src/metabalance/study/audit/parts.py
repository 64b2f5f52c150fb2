"""What a check hands over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metabalance.data.findings import Finding

__all__ = ["Part", "listed"]


@dataclass
class Part:
    """Findings and figures of one check.

    Attributes:
        findings: What was found.
        facts: Figures for the record, plain enough for JSON.
        skipped: Codes that were not looked for, and why.
    """

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def found(self, code: str, severity: Any, message: str, **about: Any) -> None:
        self.findings.append(Finding(code, severity, message, **about))


def listed(names: Sequence[Any], most: int = 5) -> str:
    """A few names and how many more there are."""
    shown = ", ".join(name if isinstance(name, str) else repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
