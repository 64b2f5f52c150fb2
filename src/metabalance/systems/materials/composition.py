"""Describes a compound by its formula alone: shares of elements, and statistics of their properties.

The statistics are those of Ward, Agrawal, Choudhary & Wolverton, npj Computational Materials 2, 16028 (2016),
arXiv 1606.09551, known as Magpie; the properties come from the ``mendeleev`` package and differ from theirs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from metabalance.data.errors import DataError
from metabalance.systems.materials.elements import ORBITALS, PROPERTIES, element_table
from metabalance.systems.materials.formula import SYMBOLS, parse_formula

__all__ = ["CompositionFeatures", "composition_fractions", "parse_formula"]

Array = NDArray[Any]

STATISTICS = ("mean", "avg_dev", "min", "max", "range", "mode")
NORMS = (2, 3, 5, 7, 10)
_CHUNK = 2000  # rows at once: the statistics hold (rows, elements of a formula, properties)


def composition_fractions(formulas: Sequence[str]) -> Array:
    """Shares of atoms ``(N, 118)``, in the order of the periodic table; each row sums to one.

    Args:
        formulas: ``N`` formulas.

    Raises:
        DataError: A formula cannot be read.

    >>> composition_fractions(["Fe2O3"])[0, [7, 25]]
    array([0.6, 0.4])
    """
    place = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    found = np.zeros((len(formulas), len(SYMBOLS)))
    for row, formula in enumerate(formulas):
        for symbol, amount in parse_formula(formula).items():
            found[row, place[symbol]] = amount
    return found / found.sum(axis=1, keepdims=True)


class CompositionFeatures(TransformerMixin, BaseEstimator):
    """Formulas in, numbers out: nothing is learned, so every part of a split gets the same columns.

    Of each property of the elements: mean and mean absolute deviation weighted by share, least, largest, range, and the
    value of the most frequent element (the mean of several). Also the number of elements and norms of the shares, the
    shares of valence electrons by orbital, and the shares of the elements themselves. Elements for which a property is
    not known are left out of its statistics, which are NaN if none is left.

    Args:
        elements: Whether the shares of the elements are among the features.

    Needs the extra ``metabalance[materials]``.
    """

    def __init__(self, *, elements: bool = True) -> None:
        self.elements = elements

    def fit(self, formulas: ArrayLike, y: Any = None) -> "CompositionFeatures":
        """Checks that the formulas can be read."""
        composition_fractions(_as_list(formulas))
        self.n_features_out_ = len(self.get_feature_names_out())
        return self

    def transform(self, formulas: ArrayLike) -> Array:
        """Features ``(N, D)`` of formulas ``(N,)``.

        Raises:
            DataError: A formula cannot be read.
            ImportError: The extra ``materials`` is not installed.
        """
        shares = composition_fractions(_as_list(formulas))
        table = element_table()
        blocks = [_features(shares[i : i + _CHUNK], table) for i in range(0, len(shares), _CHUNK)]
        found = np.concatenate(blocks) if blocks else np.zeros((0, len(_names())))
        return np.column_stack([found, shares]) if self.elements else found

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns."""
        shares = [f"share {symbol}" for symbol in SYMBOLS] if self.elements else []
        return np.array(_names() + shares, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _features(shares: Array, table: Array) -> Array:
    statistics = property_statistics(shares, table)
    norms = [(shares > 0).sum(axis=1), *((shares**p).sum(axis=1) ** (1 / p) for p in NORMS)]
    first = PROPERTIES.index(f"{ORBITALS[0]}_valence")
    electrons = shares @ table[:, first : first + len(ORBITALS)]
    orbitals = electrons / electrons.sum(axis=1, keepdims=True)
    return np.column_stack([statistics, *norms, orbitals])


def property_statistics(shares: Array, table: Array) -> Array:
    """The statistics of each property, ``(N, 6 * P)``, property by property.

    Args:
        shares: ``(N, E)``, each row summing to one.
        table: Properties ``(E, P)``, NaN where unknown.

    >>> property_statistics(np.array([[0.75, 0.25]]), np.array([[1.0], [5.0]])).tolist()
    [[2.0, 1.5, 1.0, 5.0, 4.0, 1.0]]
    """
    most = int((shares > 0).sum(axis=1).max())
    # Only the elements that are there: (N, K) of them in place of (N, 118).
    held = np.argsort(-shares, axis=1, kind="stable")[:, :most]
    share = np.take_along_axis(shares, held, axis=1)[:, :, None]
    values = table[held]
    known = (share > 0) & ~np.isnan(values)
    filled, weight = np.where(known, values, 0.0), share * known
    total = weight.sum(axis=1)
    some = total > 0
    unit = np.where(some, total, 1)
    mean = (weight * filled).sum(axis=1) / unit
    deviation = (weight * np.abs(filled - mean[:, None])).sum(axis=1) / unit
    low = np.where(known, values, np.inf).min(axis=1)
    high = np.where(known, values, -np.inf).max(axis=1)
    top = known & (weight >= weight.max(axis=1, keepdims=True) * (1 - 1e-9))
    mode = (filled * top).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    span = np.where(some, high, 0) - np.where(some, low, 0)
    stacked = np.stack([mean, deviation, low, high, span, mode], axis=2)
    return np.where(some[:, :, None], stacked, np.nan).reshape(len(shares), -1)


def _names() -> list[str]:
    return [
        *(f"{statistic} {name}" for name in PROPERTIES for statistic in STATISTICS),
        "elements",
        *(f"{p}-norm" for p in NORMS),
        *(f"{o} electrons" for o in ORBITALS),
    ]


def _as_list(formulas: ArrayLike) -> list[str]:
    given = np.asarray(formulas, dtype=object)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1:
        raise DataError(f"formulas must be one column of text, but have shape {given.shape}")
    return given.tolist()
