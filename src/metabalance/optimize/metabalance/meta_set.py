"""A small balanced set is held out, for look-aheads to be judged on rows that they never trained on.

The variant "separate" of Bansal et al., "MetaBalance", 2021, arXiv 2106.09643.
"""

from typing import Any

import numpy as np

__all__ = ["hold_out_meta_set"]


def hold_out_meta_set(target: Any, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Splits off a small balanced set to judge look-aheads by (the published variant "separate").

    Args:
        target: Class indices ``(N,)``.
        fraction: Rows of *every* class to hold out, as a multiple of the rarest class's size (rounded down,
            at least 1). Published: 0.2, 0.1, 0.05 and 0.01.
        seed: Chooses the rows.

    Returns:
        Row indices of what is left to train on and of the meta set, both sorted.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1, or the rarest class has a single row.

    >>> train, meta = hold_out_meta_set([0] * 90 + [1] * 10, fraction=0.2)
    >>> len(train), len(meta)
    (96, 4)
    """
    y = np.asarray(target).reshape(-1)
    classes, counts = np.unique(y, return_counts=True)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, both excluded, but {fraction} was given")
    if not len(y) or counts.min() < 2:
        raise ValueError("a meta set needs two rows of every class, one to train on and one to hold out")
    size = max(1, int(fraction * counts.min()))
    rng = np.random.default_rng(seed)
    meta = np.sort(np.concatenate([rng.choice(np.flatnonzero(y == c), size, replace=False) for c in classes]))
    return np.setdiff1d(np.arange(len(y)), meta), meta
