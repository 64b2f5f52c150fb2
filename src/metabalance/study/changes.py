"""What changed in the data between the start of a run and its continuation, column by column."""

import hashlib
from typing import Any

import numpy as np

from metabalance.study.sources import Studied

__all__ = ["changes", "describe"]

MOST_NAMES = 5


def describe(source: Studied) -> dict[str, Any]:
    """Rows and a hash of each column, of the target, of groups and time, as JSON; for :func:`changes`.

    Images have one column, ``pixels``, and their size.
    """
    frame, pixels = getattr(source, "frame", None), getattr(source, "pixels", None)
    columns = {} if frame is None else {str(name): _digest(frame[name]) for name in frame.columns}
    return {
        "rows": len(source.target),
        "image": None if source.image_shape is None else list(source.image_shape),
        "columns": columns if pixels is None else {"pixels": _digest(pixels)},
        "target": _digest(source.target, repr(getattr(source, "classes", None))),
        "groups": None if source.groups is None else _digest(source.groups),
        "time": None if source.time is None else _digest(source.time),
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Two descriptions compared, in words; empty if they are equal.

    >>> changes({"rows": 9, "columns": {"a": "1", "b": "2"}}, {"rows": 8, "columns": {"a": "1", "c": "3"}})
    "9 rows before, 8 now; column 'b' is gone; column 'c' is new"
    """
    said = []
    if before["rows"] != now["rows"]:
        said.append(f"{before['rows']:,} rows before, {now['rows']:,} now")
    if before.get("image") != now.get("image"):
        said.append(f"images of {_size(before.get('image'))} before, of {_size(now.get('image'))} now")
    was, is_ = before["columns"], now["columns"]
    for names, what in (
        ([c for c in was if c not in is_], "gone"),
        ([c for c in is_ if c not in was], "new"),
    ):
        if names:
            said.append(f"{_columns(names)} {'is' if len(names) == 1 else 'are'} {what}")
    both = [c for c in is_ if c in was]
    if both != [c for c in was if c in is_]:
        said.append("the columns are in another order")
    if before["rows"] == now["rows"]:  # otherwise every hash differs, and says nothing
        changed = [c for c in both if was[c] != is_[c]]
        if changed:
            said.append(f"values changed in {_columns(changed)}")
        said += [
            f"values changed in the {key}"
            for key in ("target", "groups", "time")
            if before.get(key) != now.get(key)
        ]
    return "; ".join(said)


def _columns(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"column{'s' * (len(names) > 1)} {shown}{more}"


def _size(image: list[int] | None) -> str:
    return "none" if image is None else "x".join(map(str, image))


def _digest(values: Any, *more: str) -> str:
    import pandas as pd

    digest = hashlib.sha256("".join(more).encode())
    array = values if isinstance(values, np.ndarray) else values.array
    if isinstance(values, pd.Series) and isinstance(values.dtype, np.dtype) and values.dtype.kind in "biufM":
        array = values.to_numpy()
    if isinstance(array, np.ndarray) and array.dtype.kind in "biufM":
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    else:  # text, categories, missing values: by value, as the fingerprint does
        digest.update(pd.util.hash_pandas_object(pd.Series(values), index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
