"""Deep learning for imbalanced data.

The folders follow a training example downstream, and each published remedy lives where it acts:
``data``, ``sample``, ``loss``, ``optimize``, ``adjust``, ``judge``. ``MetaBalanceClassifier`` and, for rare values
of a continuous target, ``MetaBalanceRegressor`` are the scikit-learn face of all of it, ``metabalance`` the command.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Importing the package must not import torch: `metabalance --help` answers at once.
_LAZY = {
    "MetaBalanceClassifier": "metabalance.estimator",
    "MetaBalanceRegressor": "metabalance.regressor",
}

__all__ = ["MetaBalanceClassifier", "MetaBalanceRegressor", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'metabalance' has no attribute {name!r}")
