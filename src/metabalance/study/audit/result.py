"""What an audit says: findings first, then figures; as text and as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metabalance.data.findings import Finding, register
from metabalance.plain import plain

__all__ = ["Audit", "concluded"]

FORMAT = "metabalance-audit"
VERSION = 1
SEVERITIES = ("error", "warning", "info")
UNLABELLED = ("MB033", "MB107")  # their rows are not in the subject


@dataclass(frozen=True, eq=False)
class Audit:
    """The outcome of :func:`~metabalance.study.audit.run.audit`.

    Attributes:
        findings: What was found and is not muted, gravest first, then by code.
        facts: Figures, by check: ``source``, ``plan``, ``classes``, ``imbalance``, ``positives``, ``metric``,
            ``near_duplicates``, ``label_errors``, ``overlap``, ``missing``, ``time``, ``groups``, ``quick_model``; of
            values ``values``, ``density``, ``shape``, ``ties``, ``equal_rows`` and ``rare`` in place of classes and their
            like. What could not be told is None.
        skipped: Checks that were not made, and why, by code.
        muted: Codes that were not looked for, or not told.
    """

    findings: tuple[Finding, ...]
    facts: Mapping[str, Any]
    skipped: Mapping[str, str]
    muted: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each severity."""
        counted = Counter(str(finding.severity) for finding in self.findings)
        return {severity: counted[severity] for severity in SEVERITIES}

    @property
    def stands(self) -> bool:
        """Whether an error or a warning stands."""
        return any(finding.severity != "info" for finding in self.findings)

    @property
    def headline(self) -> str:
        """One sentence: can one go on?"""
        errors, warnings, infos = self.counts.values()
        looked = f"{warnings} warning{'s' * (warnings != 1)}"
        if errors:
            tail = f", and {looked}" if warnings else ""
            return f"Training would be refused: {errors} error{'s' * (errors != 1)}{tail}."
        if warnings:
            return f"Nothing stands in the way of training, but {looked} should be looked at first."
        return f"Nothing stands in the way of training{f'; {infos} remarks' if infos > 1 else ''}."

    @property
    def summary(self) -> tuple[str, ...]:
        """A few sentences in plain words: the target, what it allows, what to judge by."""
        if self.facts["source"]["task"] == "regression":
            from metabalance.study.values.audit.words import value_sentences

            return tuple(value_sentences(self.facts))
        from metabalance.study.audit.words import sentences

        return tuple(sentences(self.facts))

    def to_dict(self) -> dict[str, Any]:
        """Everything, plain enough for JSON; keys keep their meaning. Figures that are undefined are None."""
        found = {finding.code for finding in self.findings}
        status = {
            code: "found" if code in found
            else "muted" if code in self.muted
            else "skipped" if code in self.skipped
            else "clear"
            for code in register()
        }  # fmt: skip
        return plain({
            "format": FORMAT, "version": VERSION,
            "headline": self.headline, "summary": list(self.summary), "counts": self.counts,
            "findings": [_told(finding) for finding in self.findings],
            "checks": [
                {"code": code, "title": check.title, "status": status[code], "reason": self.skipped.get(code)
                 if status[code] == "skipped" else None}
                for code, check in register().items()
            ],
            "muted": list(self.muted),
            "facts": dict(self.facts),
        })  # fmt: skip


def concluded(
    findings: Iterable[Finding], facts: Mapping[str, Any], skipped: Mapping[str, str], muted: tuple[str, ...],
    position: np.ndarray,
) -> Audit:  # fmt: skip
    """What was found, in order and without what is muted.

    Args:
        findings: Of all checks.
        facts: Of all checks.
        skipped: Codes and why.
        muted: Codes not to be told.
        position: Where each row stood in what was given ``(N,)``, of which rows without a target were left out.
    """
    told = sorted(
        (f for f in findings if f.code not in muted), key=lambda f: (SEVERITIES.index(f.severity), f.code)
    )
    return Audit(tuple(_as_given(f, position) for f in told), facts, skipped, muted)


def _as_given(finding: Finding, position: np.ndarray) -> Finding:
    if not finding.rows or finding.code in UNLABELLED:
        return finding
    return replace(finding, rows=tuple(int(position[row]) for row in finding.rows))


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code, "severity": finding.severity, "title": finding.title, "message": finding.message,
        "explanation": finding.explanation, "cure": finding.cure, "page": finding.page,
        "columns": list(finding.columns), "classes": list(finding.classes),
        "row_numbers": [row + 1 for row in finding.rows],
    }  # fmt: skip
