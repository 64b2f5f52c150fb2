"""A value between two ends, and what there is to say about them."""

from dataclasses import dataclass

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """A value between two ends.

    Args:
        value: The estimate.
        low: Lower end, NaN when there is none.
        high: Upper end, NaN when there is none.
        level: Nominal coverage, 0 to 1.
        method: How it was made.
        reason: Why there is no interval, or what is doubtful about it; else empty.

    >>> print(Interval(0.9, 0.85, 0.93, 0.95, "wilson"))
    0.9000 [0.8500, 0.9300]
    """

    value: float
    low: float
    high: float
    level: float
    method: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def check_level(level: float) -> None:
    """Refuses a coverage outside ``(0, 1)``."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95, but {level} was given")
