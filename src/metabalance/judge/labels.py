"""From labels of any kind to the class indices that metrics take, with the positive class explicit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Labels", "encode_labels"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Labels:
    """Encoded labels; of two classes the positive one is always the second, index 1.

    Attributes:
        index: Class indices ``(N,)``, int64.
        classes: The labels ``(C,)``, in the order of the indices.
        positive: Index of the positive class; 1 of two.
    """

    index: Array
    classes: tuple[Any, ...]
    positive: int

    def encode(self, labels: ArrayLike) -> Array:
        """Class indices ``(N,)`` of other labels, such as predicted ones.

        Raises:
            ValueError: A label that is no class.
        """
        return _index(np.asarray(labels), self.classes)

    def scores(self, scores: ArrayLike, classes: Sequence[Any]) -> Array:
        """Scores as metrics take them: ``(N,)`` of the positive class of two, else ``(N, C)`` in our order.

        Args:
            scores: ``(N, C)``, one column for each class, as ``predict_proba`` gives them.
            classes: The labels of the columns, a scikit-learn model's ``classes_``.

        Raises:
            ValueError: Columns that do not fit the classes.
        """
        s, names = np.asarray(scores, dtype=np.float64), [_plain(c) for c in classes]
        if (
            s.ndim != 2
            or s.shape[1] != len(names)
            or sorted(map(str, names)) != sorted(map(str, self.classes))
        ):
            raise ValueError(
                f"the scores need one column for each of the classes {self.classes}, but have shape {s.shape} "
                f"for {tuple(names)}"
            )
        order = [[str(n) for n in names].index(str(c)) for c in self.classes]
        return s[:, order[1]] if len(order) == 2 else s[:, order]


def encode_labels(target: ArrayLike, *, positive: Any = None, classes: Sequence[Any] | None = None) -> Labels:
    """Encodes labels of any kind; by default the rarest class is the positive one.

    Sorting decides nothing: with ``fraud`` and ``legal``, most tools take ``legal`` for the positive class.

    Args:
        target: Labels ``(N,)``: text, numbers or truth values.
        positive: The positive class; by default the rarest, the last of them when equally rare.
        classes: All labels, in any order, when some may not occur; by default those that occur.

    Raises:
        ValueError: Fewer than two classes, a label that is no class, missing labels, or ``positive`` is no class.

    >>> labels = encode_labels(["legal", "fraud", "legal", "legal"])
    >>> labels.classes, labels.index
    (('legal', 'fraud'), array([0, 1, 0, 0]))
    >>> labels.scores([[0.2, 0.8], [0.9, 0.1], [0.1, 0.9], [0.4, 0.6]], classes=["fraud", "legal"])
    array([0.2, 0.9, 0.1, 0.4])
    """
    given = np.asarray(target)
    if given.ndim != 1:
        raise ValueError(f"labels must be (N,), but have shape {given.shape}")
    missing = np.array([v is None or v != v for v in given.tolist()], dtype=bool)
    if missing.any():
        raise ValueError(f"{int(missing.sum())} labels are missing; leave out the rows that have none")
    known = sorted({_plain(v) for v in (given if classes is None else classes)}, key=_sort_key)
    if len(known) < 2:
        raise ValueError(
            f"the labels hold {len(known)} {'class' if len(known) == 1 else 'classes'}; name all with classes="
        )
    index = _index(given, tuple(known))
    counts = np.bincount(index, minlength=len(known))
    if positive is None:
        chosen = len(known) - 1 - int(np.argmin(counts[::-1]))
    elif _plain(positive) in known:
        chosen = known.index(_plain(positive))
    else:
        raise ValueError(f"positive={positive!r} is no class; the classes are {known[:20]}")
    if len(known) == 2 and chosen == 0:
        known, index, chosen = known[::-1], 1 - index, 1
    return Labels(index, tuple(known), chosen)


def _index(labels: Array, classes: tuple[Any, ...]) -> Array:
    place = {c: i for i, c in enumerate(classes)}
    try:
        levels, inverse = np.unique(labels, return_inverse=True)
    except TypeError:  # labels that cannot be sorted beside each other
        levels, inverse = labels, np.arange(len(labels))
    unknown = [v for v in (_plain(v) for v in levels) if v not in place]
    if unknown:
        raise ValueError(f"the label {unknown[0]!r} is no class; the classes are {list(classes[:20])}")
    return np.array([place[_plain(v)] for v in levels], dtype=np.int64)[inverse]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, str), value)
