"""What a user gives on the command line, read and checked before any work: costs, names, metrics, goals."""

import contextlib
import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.sources import Source

__all__ = [
    "as_data_errors",
    "check_goal",
    "check_task",
    "cost_matrix",
    "known_metric",
    "known_objective",
    "names_of",
    "parse_duration",
    "parse_prior",
    "parse_size",
    "rule_of",
]

TASKS = ("classification", "regression")


def cost_matrix(text: str | None, table: Source) -> tuple[tuple[float, ...], ...] | None:
    """The matrix ``(C, C)`` of ``--cost``, or None when it was not given."""
    from metabalance.adjust import parse_cost, read_cost_matrix

    if text is None:
        return None
    with as_data_errors():
        if Path(text).is_dir():
            raise DataError(f"--cost {text} is a folder; write for instance fn=50,fp=1, or name a JSON file")
        if "=" in text or (len(table.classes) == 2 and not Path(text).exists()):
            if len(table.classes) != 2:
                raise DataError(
                    f"--cost {text!r} is for two classes, but there are {len(table.classes)}; give a JSON file"
                )
            return parse_cost(text, table.positive)
        return read_cost_matrix(text, [str(c) for c in table.classes])


def known_objective(text: str, classes: int, cost: Any) -> str:
    """An objective that a model can be fitted for, in its own spelling."""
    from metabalance.adjust import parse_objective

    with as_data_errors():
        wanted = parse_objective(text)
    if wanted.goal == "cost" and cost is None:
        raise DataError(f"--objective {text} must come with --cost, for instance --cost fn=50,fp=1")
    if wanted.metric == "alerts":
        raise DataError(
            f"--objective {text} is a number a day; for a model give a share of the rows, alert_rate<=1%"
        )
    if classes > 2 and (wanted.metric or wanted.goal not in ("f1", "f1_macro", "balanced_accuracy", "cost")):
        raise DataError(
            f"--objective {text} is for two classes, but there are {classes}; use f1, balanced_accuracy or cost"
        )
    return str(wanted)


def known_metric(name: str, cost: Any = ((0, 1), (1, 0))) -> str:
    """The metric's own name."""
    from metabalance.judge.metrics import get_metric

    with as_data_errors():
        return get_metric(name, cost=cost).name


def check_task(task: str | None) -> None:
    """Refuses a ``--task`` that there is not."""
    if task not in (None, *TASKS):
        raise DataError(f"--task {task!r} is unknown; use {' or '.join(TASKS)}")


def names_of(text: str | None) -> tuple[str, ...]:
    """Column names from ``a,b,"c, d"``."""
    parts = next(csv.reader([text], skipinitialspace=True)) if text else []
    return tuple(part.strip() for part in parts if part.strip())


def check_goal(out: Path, overwrite: bool) -> None:
    """Refuses, before any work, a goal that exists or cannot be written."""
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; choose another --out, or --overwrite to replace it")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise DataError(f"{out} cannot be written, since {parent} is a file; choose another --out")
    if not os.access(parent, os.W_OK):
        raise DataError(f"{out} cannot be written, since {parent} is read-only; choose another --out")


@contextlib.contextmanager
def as_data_errors() -> Iterator[None]:
    """A ValueError about what the user gave is told as such."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, KeyError) as error:
        raise DataError(str(error.args[0]) if error.args else str(error)) from error


def rule_of(model: Any) -> str:
    """The decision in words."""
    decision, classes = model.decision, [str(c) for c in model.classes]
    goal = "the lowest cost" if decision.objective == "cost" else f"the best {decision.objective}"
    if "=" in decision.objective:
        goal = decision.objective
    if decision.threshold is not None:
        return f"{classes[decision.positive]} from a probability of {decision.threshold:.4g}, for {goal}"
    if decision.multipliers is not None:
        weighed = ", ".join(f"{c} {m:.3g}" for c, m in zip(classes, decision.multipliers))
        return f"the class with the largest probability times {weighed}, for {goal}"
    return "the class of the lowest expected cost"


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Height and width from ``64`` or ``48x64``.

    Raises:
        DataError: Text of another form.

    >>> parse_size("48x64")
    (48, 64)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[x×]\s*(\d{1,5}))?\s*", text, re.IGNORECASE)
    if not match or not int(match[1]) or (match[2] and not int(match[2])):
        raise DataError(f"--image-size {text!r} is no size; write 64, or 48x64 for height x width")
    return int(match[1]), int(match[2] or match[1])


def parse_duration(text: str | None, option: str) -> float | None:
    """Seconds from 90, 90s, 10m or 2h.

    Raises:
        DataError: Text of another form, or nothing above 0.

    >>> parse_duration("10m", "--budget")
    600.0
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) <= 0:
        raise DataError(f"{option} {text!r} is no time; write for instance 90s, 10m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def parse_prior(text: str | None, classes: tuple[Any, ...], positive: int) -> np.ndarray | None:
    """Class shares ``(C,)`` from ``0.00173`` (the positive class, of two) or ``a=0.2,b=0.8``.

    Raises:
        DataError: Not shares between 0 and 1 that sum to 1, or an unknown class.

    >>> parse_prior("0.25", ("no", "yes"), positive=1)
    array([0.75, 0.25])
    """
    if text is None:
        return None
    names = [str(c) for c in classes]
    shares = np.full(len(names), np.nan)
    try:
        if "=" not in text:
            if len(names) != 2:
                raise DataError(
                    f"--prior {text!r} names one share, but there are {len(names)} classes; write a=0.2,b=0.8"
                )
            shares[positive], shares[1 - positive] = float(text), 1 - float(text)
        else:
            for part in next(
                csv.reader([text], skipinitialspace=True)
            ):  # "a, b"=0.2 for a label with a comma
                label, _, share = part.rpartition("=")
                if label.strip() not in names:
                    raise DataError(
                        f"--prior names the class {label.strip()!r}; the classes are {', '.join(names[:20])}"
                    )
                shares[names.index(label.strip())] = float(share)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"--prior {text!r} is no share; write 0.00173 or a=0.2,b=0.8") from error
    if not (np.isfinite(shares).all() and (shares > 0).all() and abs(shares.sum() - 1) < 1e-6):
        raise DataError(f"--prior {text!r} must give every class a share above 0, and they must sum to 1")
    return shares / shares.sum()
