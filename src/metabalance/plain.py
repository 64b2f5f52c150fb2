"""Plain values, as JSON has them: no numpy, no tuples, and no NaN."""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Mappings with text as keys, lists, and plain numbers; what is not finite becomes None.

    >>> plain({"a": (np.float64("nan"), np.int64(3)), 1: np.array([[True, False]])})
    {'a': [None, 3], '1': [[True, False]]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
