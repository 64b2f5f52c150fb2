"""From what a user hands over to what is trained on: tensors, rows that count, equal rows as one."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_tensor", "is_mixed", "merged", "without_zero_weights"]


def is_mixed(X: Any) -> bool:
    """Whether X is a data frame with a column that is not a number."""
    if not hasattr(X, "columns") or not hasattr(X, "dtypes"):
        return False
    import narwhals as nw

    schema = nw.from_native(X, eager_only=True).schema
    return not all(dtype.is_numeric() for dtype in schema.values())


def as_tensor(rows: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A float tensor ``(N, ...)`` of rows; float32 and float64 keep their type, all else becomes float32."""
    array = np.ascontiguousarray(np.asarray(rows))
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    if not array.flags.writeable:  # a memory map, say; torch warns of those
        array = array.copy()
    tensor = torch.from_numpy(array)
    return tensor if dtype is None else tensor.to(dtype)


def without_zero_weights(X: Any, y: np.ndarray, weight: np.ndarray | None) -> tuple[Any, np.ndarray, Any]:
    """Rows ``(N, ...)``, labels and weights ``(N,)`` without the rows of weight 0: those do not exist.

    Raises:
        ValueError: A weight is negative.
    """
    if weight is None:
        return X, y, None
    if (weight < 0).any():
        raise ValueError(f"sample_weight must not be negative, but it holds {weight.min()}")
    keep = weight > 0
    if keep.all():
        return X, y, weight
    return (X.iloc[keep] if hasattr(X, "iloc") else X[keep]), y[keep], weight[keep]


def merged(
    X: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal rows become one with their summed weight, in sorted order.

    In full-batch training this changes nothing but the order of a sum; so that a weight of k and k copies
    also round alike, both are brought to the same form. The target is ``(N,)`` or ``(N, T)``.
    """
    # Of classes any type holds the index; values that differ by less than X's type can say are not equal.
    kind = X.dtype if target.dtype.kind in "biu" else np.result_type(X.dtype, target.dtype)
    keys = np.column_stack([target.astype(kind), X])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return X[first], target[first], np.bincount(inverse.reshape(-1), weights=weight)
