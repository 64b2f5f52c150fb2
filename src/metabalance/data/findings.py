"""A finding, and the register of checks: what each code looks for, why it matters, what to do about it.

Codes keep their meaning for good. The words are in ``checks.toml``; ``docs/checks/`` has a page for each.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from metabalance.data.errors import DataError

__all__ = ["Check", "Finding", "known_codes", "register"]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Check:
    """What is known about a code.

    Attributes:
        code: ``MB001`` and so on; stable.
        title: What was found, in a few words.
        severity: The usual one; a finding may be milder.
        looks: What is looked for, with the bounds.
        explanation: Why it matters.
        cure: What to do.
        ignore: When to let it be, and mute it.
    """

    code: str
    title: str
    severity: Severity
    looks: str
    explanation: str
    cure: str
    ignore: str

    @property
    def page(self) -> str:
        """Where the documentation tells more."""
        return f"docs/checks/{self.code}.md"


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Attributes:
        code: ``MB001`` and so on; stable.
        severity: ``"error"`` (cannot go on), ``"warning"`` or ``"info"``.
        message: One sentence.
        columns: The columns concerned.
        action: What :func:`~metabalance.data.checks.apply_findings` does: ``"stop"``, ``"drop"`` or ``"keep"``.
        classes: The classes concerned.
        rows: Positions, from 0, of the rows to look at first.
    """

    code: str
    severity: Severity
    message: str
    columns: tuple[str, ...] = ()
    action: Literal["stop", "drop", "keep"] = "keep"
    classes: tuple[Any, ...] = ()
    rows: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """What was found, in a few words."""
        return register()[self.code].title

    @property
    def explanation(self) -> str:
        """Why it matters."""
        return register()[self.code].explanation

    @property
    def cure(self) -> str:
        """What to do about it."""
        return register()[self.code].cure

    @property
    def page(self) -> str:
        """Where the documentation tells more."""
        return register()[self.code].page


@cache
def register() -> Mapping[str, Check]:
    """Every check by its code.

    >>> register()["MB006"].title
    'One column alone gives the target away'
    """
    text = Path(__file__).with_name("checks.toml").read_text(encoding="utf-8")
    return MappingProxyType({code: Check(code, **entry) for code, entry in tomllib.loads(text).items()})


def known_codes(codes: Iterable[str]) -> tuple[str, ...]:
    """Codes as they are written here, sorted and without repetitions.

    Raises:
        DataError: There is no such code.

    >>> known_codes(["mb010", "MB007"])
    ('MB007', 'MB010')
    """
    wanted = sorted({code.strip().upper() for code in codes if code.strip()})
    for code in wanted:
        if code not in register():
            first, *_, last = register()
            raise DataError(f"there is no check {code!r}; codes go from {first} to {last}, see docs/checks/")
    return tuple(wanted)
