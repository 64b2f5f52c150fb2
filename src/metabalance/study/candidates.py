"""Candidates of a comparison: a recipe or a baseline, with options, some of them to be tuned.

``metabalance(order=2,inner_lr=0.01|0.1|0.3)`` is MetaBalance of order 2 whose inner step size is chosen among
three on the validation part of each fold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from metabalance.methods import METHODS, nearest

__all__ = [
    "BASELINES",
    "DEFAULT_RECIPES",
    "DEFAULT_VALUE_RECIPES",
    "KIND_BASELINES",
    "VALUE_BASELINES",
    "Candidate",
    "check_names",
    "parse_candidates",
]

BASELINES = ("logistic", "lightgbm", "xgboost")
VALUE_BASELINES = ("dummy", "ridge", "lightgbm", "xgboost")
# By the kind of target, "classes" or "values".
KIND_BASELINES = {"classes": BASELINES, "values": VALUE_BASELINES}
DEFAULT_RECIPES = (
    "erm,class_weight,oversample,undersample,balanced_batches,smote,focal,class_balanced,logit_adjustment,"
    "metabalance,logistic"
)
DEFAULT_VALUE_RECIPES = (
    "erm,l1,sqrt_inverse_density,lds,lds_fds,dense_weight,balanced_mse,conr,ranksim,regressor_retraining,metabalance,"
    "ridge"
)
SETTINGS = (
    "hidden",
    "dropout",
    "epochs",
    "batch_size",
    "optimizer",
    "lr",
    "weight_decay",
    "schedule",
    "clip_norm",
    "patience",
    "module",
    "augment",
)


@dataclass(frozen=True)
class Candidate:
    """A recipe or baseline and its options, each with one value or several to choose from.

    Args:
        name: Of the recipe or baseline.
        options: ``((option, (value, ...)), ...)``.
    """

    name: str
    options: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @property
    def label(self) -> str:
        """As the user would write it."""
        if not self.options:
            return self.name
        inside = ",".join(f"{key}={'|'.join(map(_written, values))}" for key, values in self.options)
        return f"{self.name}({inside})"

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of the options' values."""
        keys = [key for key, _ in self.options]
        return [dict(zip(keys, values)) for values in product(*(values for _, values in self.options))]


def parse_candidates(text: str, kind: str = "classes") -> list[Candidate]:
    """Reads ``a,b(option=value),c(option=v1|v2)``: recipes and baselines for that kind of target.

    Raises:
        ValueError: An unknown name (the nearest are given), one for another kind, an unknown option, or text of another
            form.

    >>> [c.label for c in parse_candidates("erm, metabalance(order=2,inner_lr=0.1|0.3)")]
    ['erm', 'metabalance(order=2,inner_lr=0.1|0.3)']
    """
    found: dict[str, Candidate] = {}
    for part in _split(text):
        match = re.fullmatch(r"([A-Za-z_][\w-]*)\s*(?:\((.*)\))?", part)
        if not match:
            raise ValueError(f"{part!r} is not a recipe; write NAME or NAME(option=value,other=v1|v2)")
        name = match[1].replace("-", "_").lower()
        names = [m.name for m in METHODS if m.recipe and kind in m.kinds]
        names += ["compose"] if kind == "classes" else []  # no method: parts of several
        if name not in names:
            near = nearest(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(names)}"
            other = next((m for m in METHODS if m.recipe and m.name == name), None)
            if other is not None:
                raise ValueError(
                    f"the recipe {match[1]!r} is for a target of {' or '.join(other.kinds)}, and this one is of {kind}; {hint}"
                )
            raise ValueError(f"the recipe {match[1]!r} is unknown; {hint}")
        options: list[tuple[str, tuple[Any, ...]]] = []
        for assignment in _split(match[2] or ""):
            key, equals, values = (s.strip() for s in assignment.partition("="))
            if not equals or not key or not values:
                raise ValueError(f"{assignment!r} in {part!r} is not an option; write option=value")
            if key in dict(options):
                raise ValueError(f"{part!r} gives {key} twice; several values are written {key}=v1|v2")
            options.append((key, tuple(_value(v.strip()) for v in values.split("|"))))
        candidate = Candidate(name, tuple(options))
        found[candidate.label] = candidate
    if not found:
        raise ValueError("no recipe was given; write for instance erm,class_weight,metabalance")
    return list(found.values())


def check_names(text: str) -> None:
    """Refuses, before any data are read, what can be read for no kind of target.

    Raises:
        ValueError: As :func:`parse_candidates`.

    >>> check_names("erm,ridge"), check_names("erm,smote")
    (None, None)
    """
    refused = None
    for kind in KIND_BASELINES:
        try:
            parse_candidates(text, kind)
        except ValueError as error:
            refused = refused or error
        else:
            return
    assert refused is not None
    raise refused


def check_options(candidate: Candidate, kind: str = "classes") -> None:
    """Refuses options that neither the recipe nor the network knows (imports torch).

    Raises:
        ValueError: Naming the option and those that exist.
    """
    if candidate.name in KIND_BASELINES[kind]:
        known: Mapping[str, Any] = options_of_baseline(candidate.name, kind)
    else:
        from metabalance.recipes import recipe_options

        known = {**recipe_options(candidate.name, kind), **dict.fromkeys(SETTINGS)}
    for key, _ in candidate.options:
        if key not in known:
            raise ValueError(f"{candidate.name} has no option {key!r}; it has {', '.join(known)}")


def options_of_baseline(name: str, kind: str) -> Mapping[str, Any]:
    if kind == "values":
        from metabalance.study.values.baselines import value_baseline_options

        return value_baseline_options(name)
    from metabalance.study.baselines import baseline_options

    return baseline_options(name)


def _split(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise ValueError(f"the parentheses in {text!r} do not match")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _value(text: str) -> Any:
    lowered = text.lower()
    if lowered in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[lowered]
    if re.fullmatch(r"\d+(x\d+)+", text):  # hidden=64x64
        return tuple(int(size) for size in text.split("x"))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return (
        {None: "none", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, (int, float)) or isinstance(value, bool)
        else str(value)
    )
