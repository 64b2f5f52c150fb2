"""What a check hands over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metabalance.data.findings import Finding

__all__ = ["Part", "amount", "listed"]


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


def amount(value: float, digits: int = 4) -> str:
    """A quantity of any size, to so many digits.

    >>> amount(340012.3), amount(0.5), amount(1.23456e-9)
    ('340,000', '0.5', '1.235e-09')
    """
    if value == 0 or not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits}g}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10**digits else f"{rounded:,.{digits + 3}g}"
