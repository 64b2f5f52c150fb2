"""Reads chemical formulas: ``Al(NiB)2``, ``Fe0.62C0.000953``, ``CuSO4·5H2O``.

Amounts may be decimals, groups may stand in brackets of any kind; charges and isotopes are refused, not guessed.
The notation is that of IUPAC, "Nomenclature of Inorganic Chemistry", 2005.
"""

import re
from functools import cache

from metabalance.data.errors import DataError

__all__ = ["SYMBOLS", "parse_formula"]

_PERIODIC = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts "
    "Og"
)
SYMBOLS = tuple(_PERIODIC.split())
_KNOWN = frozenset(SYMBOLS)
_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[{])|([)\]}])|(\d+\.?\d*(?:[eE]-?\d+)?|\.\d+)|([·*])|(\s+)")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_DEEPEST = 20


@cache
def _tokens(formula: str) -> tuple[tuple[str, str], ...]:
    found, at = [], 0
    while at < len(formula):
        match = _TOKEN.match(formula, at)
        if match is None:
            raise _refused(formula, f"{formula[at]!r} at place {at + 1} is no part of a formula")
        kind = ("element", "open", "close", "amount", "dot", "space")[(match.lastindex or 1) - 1]
        if kind != "space":
            found.append((kind, match.group()))
        at = match.end()
    return tuple(found)


def parse_formula(formula: str) -> dict[str, float]:
    """The amount of each element, in the order in which they first appear.

    Args:
        formula: With or without decimals, brackets and a hydrate's dot.

    Raises:
        DataError: It is empty, holds an unknown element, unbalanced brackets or an amount of 0.

    >>> parse_formula("Al(NiB)2")
    {'Al': 1.0, 'Ni': 2.0, 'B': 2.0}
    >>> parse_formula("CuSO4·5H2O")
    {'Cu': 1.0, 'S': 1.0, 'O': 9.0, 'H': 10.0}
    """
    if not isinstance(formula, str):
        raise DataError(f"a formula must be text such as 'Fe2O3', but {formula!r} was given")
    total: dict[str, float] = {}
    part: list[tuple[str, str]] = []
    for token in (*_tokens(formula), ("dot", "·")):
        if token[0] != "dot":
            part.append(token)
            continue
        # A hydrate's part may start with how often it is there.
        times = float(part.pop(0)[1]) if part and part[0][0] == "amount" else 1.0
        if not part:
            raise _refused(formula, "it, or a part between dots, names no element")
        for symbol, amount in _read(formula, part).items():
            total[symbol] = total.get(symbol, 0.0) + times * amount
        part = []
    if not all(0 < amount < float("inf") for amount in total.values()):
        raise _refused(formula, "an amount is 0 or infinite")
    return total


def _read(formula: str, tokens: list[tuple[str, str]]) -> dict[str, float]:
    groups: list[dict[str, float]] = [{}]
    opened: list[str] = []
    for place, (kind, text) in enumerate(tokens):
        if kind == "open":
            opened.append(text)
            groups.append({})
            if len(opened) > _DEEPEST:
                raise _refused(formula, f"brackets lie more than {_DEEPEST} deep")
            continue
        if kind == "amount":
            if place == 0 or tokens[place - 1][0] not in ("element", "close"):
                raise _refused(formula, f"the amount {text} follows no element and no bracket")
            continue
        if kind == "element":
            if text not in _KNOWN:
                raise _refused(formula, f"there is no element {text!r}")
            inner = {text: 1.0}
        else:
            if not opened or _CLOSES[opened.pop()] != text:
                raise _refused(formula, "its brackets do not match")
            inner = groups.pop()
            if not inner:
                raise _refused(formula, "a pair of brackets is empty")
        follows = tokens[place + 1] if place + 1 < len(tokens) else ("", "")
        times = float(follows[1]) if follows[0] == "amount" else 1.0
        for symbol, amount in inner.items():
            groups[-1][symbol] = groups[-1].get(symbol, 0.0) + times * amount
    if opened:
        raise _refused(formula, "its brackets do not match")
    return groups[0]


def _refused(formula: str, reason: str) -> DataError:
    shown = formula if len(formula) <= 60 else formula[:57] + "..."
    return DataError(
        f"the formula {shown!r} cannot be read: {reason}; write it as 'Fe2O3' or 'Fe0.62C0.38', without charges"
    )
