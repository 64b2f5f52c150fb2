"""Numbers and names as the page writes them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

SCIENTIFIC = 99  # in place of a number of decimals


def clean(value: Any) -> Any:
    """Drops what neither HTML nor SVG may hold: control characters in the user's labels."""
    if isinstance(value, str):
        return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+", " ", value)
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def number(value: Any) -> float:
    """A finite number that can be drawn and read, else NaN."""
    return float(value) if value is not None and abs(float(value)) < 1e15 else math.nan


def digits_of(intervals: Sequence[Mapping[str, Any]]) -> int:
    """Decimals that show two figures of a typical interval's half width: more would be noise."""
    halves = sorted((number(i.get("high")) - number(i.get("low"))) / 2 for i in intervals)
    halves = [half for half in halves if math.isfinite(half) and half > 0]
    return min(max(1 - math.floor(math.log10(halves[len(halves) // 2])), 0), 6) if halves else 3


def digits_for(intervals: Sequence[Mapping[str, Any]]) -> int:
    """As :func:`digits_of`, in any unit: :data:`SCIENTIFIC` where so many decimals would show nothing."""
    values = [abs(number(i.get("value"))) for i in intervals]
    values = [value for value in values if math.isfinite(value) and value > 0]
    if values and max(values) < 1e-3:
        return SCIENTIFIC
    halves = any(math.isfinite(number(i.get("high")) - number(i.get("low"))) for i in intervals)
    if values and not halves:
        return min(max(2 - math.floor(math.log10(max(values))), 0), 6)
    return digits_of(intervals)


def fixed(value: float, digits: int, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "undefined"
    form = ".2e" if digits == SCIENTIFIC else f",.{digits}f"
    text = f"{value:{'+' if signed else ''}{form}}"
    return text.replace("-", "−")


def span(interval: Mapping[str, Any], digits: int, signed: bool = False) -> str:
    low, high = number(interval.get("low")), number(interval.get("high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{fixed(low, digits, signed)}, {fixed(high, digits, signed)}]"


def spell(interval: Mapping[str, Any], digits: int, signed: bool = False) -> str:
    return f"{fixed(number(interval.get('value')), digits, signed)} {span(interval, digits, signed)}".strip()


def p_value(value: Any) -> str:
    p = number(value)
    if math.isnan(p):
        return ""
    return "p < .001" if p < 0.001 else "p = 1" if p >= 0.995 else f"p = {p:.2g}".replace("0.", ".", 1)


def percent(share: float) -> str:
    if math.isnan(share):
        return "undefined"
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"


def count_of(value: Any) -> str:
    """Thousands apart by a narrow space; means of folds keep one decimal."""
    number = float(value)
    return (
        f"{number:,.0f}".replace(",", "\u202f")
        if number.is_integer()
        else f"{number:,.1f}".replace(",", "\u202f")
    )


def short(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
