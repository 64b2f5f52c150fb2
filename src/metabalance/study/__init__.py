"""The workbench: from a table to a verdict, with nothing fitted outside the training part of a split.

===========  =====================================================================================
splits       ``make_splits(target (N,), folds=, seed=) -> [Split]``: row numbers of training and test
preprocess   ``TablePreprocessor().fit(frame).transform(frame) -> (N, D)`` float32
===========  =====================================================================================
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "Duplicates": "splits",
    "Split": "splits",
    "TablePreprocessor": "preprocess",
    "carve_validation": "splits",
    "duplicate_groups": "splits",
    "duplicates_across": "splits",
    "make_splits": "splits",
}

# Resolved lazily: scikit-learn takes a second to import.
__all__ = [
    "Duplicates",
    "Split",
    "TablePreprocessor",
    "carve_validation",
    "duplicate_groups",
    "duplicates_across",
    "make_splits",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"metabalance.study.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'metabalance.study' has no attribute {name!r}")
