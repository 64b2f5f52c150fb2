"""The one format in which a whole text column writes its dates.

ISO dates need no guess. 03/04/2020 is March or April: the format that fits every value is taken, and month
first when both do. Whoever reads later rows must use the format found, not guess again.
"""

from itertools import product

import pandas as pd

__all__ = ["date_format"]

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b-%Y", "%b-%y"),
)
_TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H:%M:%S.%f", " %H:%M:%S.%f", "T%H:%M:%SZ")
_SHORTEST = 6  # 1/2/98
FORMATS = tuple(date + time for date, time in product(_DATES, _TIMES))


def date_format(column: pd.Series) -> str | None:
    """The format of every value of a text column ``(N,)`` but the missing ones, or None.

    >>> date_format(pd.Series(["1/2/1998", None, "1/31/1998"]))
    '%m/%d/%Y'
    """
    values = pd.Series(column.dropna().unique(), dtype=object)
    if not len(values) or not all(isinstance(value, str) for value in values.head(5)):
        return None
    head = values.head(5)
    if any(len(value) < _SHORTEST or not any(map(str.isdigit, value)) for value in map(str, head)):
        return None  # a code or a word, at a glance
    for form in FORMATS:
        # A few values rule out nearly every format for nearly every column.
        parts = (head, values)
        if all(pd.to_datetime(part, format=form, errors="coerce").notna().all() for part in parts):
            return form
    return None
