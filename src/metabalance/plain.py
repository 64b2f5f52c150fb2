"""Plain values, as JSON has them: no numpy, no tuples, and no NaN; and text that shows all that is in it."""

import math
import re
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["plain", "visible"]

# Control characters but tab and line end, and those that turn the direction of reading; marks such as U+200F, which
# names in Hebrew and Arabic hold, turn nothing.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(value: Any) -> Any:
    """Mappings with text as keys, lists, and plain numbers; what is not finite becomes None.

    >>> import numpy as np
    >>> plain({"a": (np.float64("nan"), np.int64(3)), 1: np.array([[True, False]])})
    {'a': [None, 3], '1': [[True, False]]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    numpy = sys.modules.get("numpy")  # text is made visible where nothing heavy is imported
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def visible(text: str) -> str:
    r"""Text whose control characters are shown as Python writes them, for a terminal or a page that would obey them.

    >>> print(visible("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return _UNSEEN.sub(lambda found: ascii(found.group())[1:-1], text)
