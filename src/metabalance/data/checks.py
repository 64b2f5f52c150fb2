"""What is wrong, or too good to be true, in a table or in images: one list of findings, before any model is trained.

These are the checks MB001 to MB014 of :func:`metabalance.data.findings.register`: those that every study makes.
``metabalance audit`` makes the others too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import log
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import rankdata

from metabalance.data.dates import date_format
from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.images import Images
from metabalance.data.pixels import image_hashes
from metabalance.data.tables import CATEGORY_LEVELS, is_text
from metabalance.data.target import Target

__all__ = ["Finding", "apply_findings", "check_features", "check_images", "check_table", "row_hashes"]

MANY_COLUMNS = 1000
FEWEST_ROWS = 20  # below, a rising integer column is likely to be chance
GIVEN_AWAY = 0.9999  # area under the ROC curve of a single column
CHANCE = 0.01  # probability, over all columns, that a perfect separation is luck
SCREEN_ROWS = 20_000
NUMBERS_IN_WORDS = 0.05  # of the different values; below, a text column happens to hold a number

_UUID = re.compile(r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?")
_NUMBERED = re.compile(r"[A-Za-z]*[-_#/:.]?\d+(?:[-_+/:.]\w+)*")


def check_table(
    frame: pd.DataFrame, target_name: str, target: Target, groups: str | None = None, time: str | None = None
) -> list[Finding]:
    """Looks at every feature column, and at equal rows.

    Args:
        frame: The whole table, ``N`` rows.
        target_name: The target column; no feature.
        target: The encoded target.
        groups: A column that names groups; no feature.
        time: A column of times; no feature.

    Returns:
        Findings, by code.

    >>> frame = pd.DataFrame({"x": [1.0, 2.0, 1.5, 0.5], "k": [7, 7, 7, 7], "y": [0, 0, 1, 1]})
    >>> check_table(frame, "y", Target(np.array([0, 0, 1, 1]), (0, 1), (2, 2), 1))[0].message
    "1 column has one value only and is dropped: 'k'"
    """
    features = frame.drop(columns=[name for name in (target_name, groups, time) if name is not None])
    found, useful = check_features(features)
    if useful is not None:
        found += _leaks(useful, target)
        found += _equal_rows(row_hashes(useful), target)
    return sorted(found, key=lambda finding: finding.code)


def check_features(features: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame | None]:
    """What can be said of feature columns whatever the target is.

    Returns:
        Findings, and the columns that are of use; None if there are none.

    >>> check_features(pd.DataFrame({"k": [7, 7]}))[1] is None
    True
    """
    found = list(_uninformative(features))
    dropped = {name for finding in found if finding.action == "drop" for name in finding.columns}
    useful = features.drop(columns=list(dropped))
    if not useful.shape[1]:
        message = "no feature column is left: each is empty, constant, or only numbers the rows; add features"
        return [*found, Finding("MB003", "error", message, (), "stop")], None
    found += _infinite(useful)
    found += _text(useful)
    if features.shape[1] > MANY_COLUMNS:
        message = (
            f"the table has {features.shape[1]:,} feature columns; training may be slow and overfit easily"
        )
        found.append(Finding("MB009", "warning", message))
    return found, useful


def check_images(images: Images, target: Target) -> list[Finding]:
    """Looks at images and at their files; nothing is dropped.

    Args:
        images: As read.
        target: Their encoded classes.

    Returns:
        Findings, by code.

    >>> pixels, sizes = np.zeros((4, 1, 2, 2), dtype=np.uint8), np.full((4, 2), 2)
    >>> pixels[:, 0, 0, 0] = [1, 2, 2, 0]
    >>> images = Images(pixels, np.array([0, 0, 1, 1]), ("a", "b"), ("0", "1", "2", "3"), sizes)
    >>> [f.code for f in check_images(images, Target(np.array([0, 0, 1, 1]), ("a", "b"), (2, 2), 1))]
    ['MB008', 'MB013']
    """
    found = _equal_rows(image_hashes(images.pixels), target, "image")
    if images.left_out:
        one = len(images.left_out) == 1
        message = f"not read: {listed(images.left_out)}" + (
            f" ({'it is' if one else 'they are'} no {'image' if one else 'images'}, or of another part)"
        )
        found.append(Finding("MB012", "info", message))
    flat = images.pixels.reshape(len(images.pixels), -1, images.pixels.shape[2] * images.pixels.shape[3])
    blank = np.flatnonzero((flat.max(axis=2) == flat.min(axis=2)).all(axis=1))
    if len(blank):
        message = (
            f"{len(blank):,} {'image is' if len(blank) == 1 else 'images are'} of a single colour: "
            f"{listed([images.names[i] for i in blank])}; look whether they are what they should be"
        )
        found.append(Finding("MB013", "warning", message))
    for what, values in (
        ("size", [f"{h}x{w}" for h, w in images.sizes]),
        ("type", [name.rpartition(".")[2].lower() for name in images.names]),
    ):
        if len(set(values)) > 1 and _maps(pd.Series(values, dtype=object), target):
            message = (
                f"the {what} of the image files tells the class without a look at them; a network may learn the "
                f"traces of that {what} and nothing else: take all images in the same way"
            )
            found.append(Finding("MB014", "warning", message))
    return sorted(found, key=lambda finding: finding.code)


def apply_findings(
    frame: pd.DataFrame, findings: Iterable[Finding], keep: Sequence[str] = (), drop: Sequence[str] = ()
) -> pd.DataFrame:
    """Drops what the findings and the user say.

    Args:
        frame: The table.
        findings: From :func:`check_table`.
        keep: Columns to keep although a finding drops them.
        drop: Columns to drop besides.

    Raises:
        DataError: An error that ``drop`` or ``keep`` does not settle, or an unknown column.

    >>> apply_findings(pd.DataFrame({"a": [1], "b": [2]}), [], drop=["b"]).columns.tolist()
    ['a']
    """
    findings = list(findings)
    for name in (*keep, *drop):
        if name not in frame.columns:
            raise DataError(f"there is no column {name!r} to keep or drop")
    for finding in findings:
        settled = set(finding.columns) <= set(drop) if finding.columns else bool(set(keep) - set(drop))
        if finding.severity == "error" and not settled:
            raise DataError(finding.message)
    gone = {name for finding in findings if finding.action == "drop" for name in finding.columns} - set(keep)
    return frame.drop(columns=[name for name in frame.columns if name in gone | set(drop)])


def row_hashes(frame: pd.DataFrame) -> np.ndarray:
    """Hashes ``(N,)``, uint64: equal rows, missing values and both zeros included, have equal hashes.

    >>> len(set(row_hashes(pd.DataFrame({"a": [0.0, -0.0, 1.0]}))))
    2
    """
    signed = [name for name, dtype in frame.dtypes.items() if pd.api.types.is_float_dtype(dtype)]
    # Adding 0.0 turns -0.0 into 0.0, which compares equal but hashes differently.
    frame = frame.assign(**{str(name): frame[name] + 0.0 for name in signed}) if signed else frame
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def _uninformative(features: pd.DataFrame) -> Iterator[Finding]:
    empty, constant, numbered = [], [], []
    for name, column in features.items():
        values = column.dropna()
        if not len(values):
            empty.append(str(name))
        elif len(values) == len(column) and (values == values.iloc[0]).all():
            constant.append(str(name))
        elif numbers_the_rows(column):
            numbered.append(str(name))
    if empty:
        yield Finding("MB001", "warning", f"{_have(empty, 'no value at all')}", tuple(empty), "drop")
    if constant:
        yield Finding("MB002", "warning", f"{_have(constant, 'one value only')}", tuple(constant), "drop")
    if numbered:
        message = f"{_have(numbered, 'a different number or name in every row, like an identifier,')}"
        yield Finding("MB005", "warning", message, tuple(numbered), "drop")


def numbers_the_rows(column: pd.Series) -> bool:
    """Whether a column only numbers or names the rows."""
    if len(column) < FEWEST_ROWS or column.hasnans:
        return False
    if pd.api.types.is_integer_dtype(column.dtype):
        if not column.is_unique:
            return False
        dense = int(column.max()) - int(column.min()) == len(column) - 1
        return dense or column.is_monotonic_increasing or column.is_monotonic_decreasing
    if is_text(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        # The first rows settle it for most columns, without a look at all.
        texts = column.head(FEWEST_ROWS).astype(str)
        alike = [_UUID.fullmatch(text) or _NUMBERED.fullmatch(text) for text in texts]
        return all(alike) and bool(column.is_unique) and date_format(column) is None
    return False


def _infinite(features: pd.DataFrame) -> list[Finding]:
    counts = {
        str(name): int(np.isinf(column.to_numpy(float, na_value=0.0)).sum())
        for name, column in features.items()
        if pd.api.types.is_float_dtype(column.dtype)
    }
    bad = {name: n for name, n in counts.items() if n}
    if not bad:
        return []
    listed = ", ".join(f"{name!r} ({n})" for name, n in list(bad.items())[:5]) + (
        ", ..." if len(bad) > 5 else ""
    )
    message = f"infinite numbers in {listed}; correct them, leave the cells empty, or drop the columns"
    return [Finding("MB004", "error", message, tuple(bad), "stop")]


def _leaks(features: pd.DataFrame, target: Target) -> list[Finding]:
    if _log_chance(target.counts) > log(CHANCE) - log(features.shape[1]):
        return []  # so few rows that some column separates the classes by luck
    rows = _screen(target)
    y = target.index[rows]
    part = features.iloc[rows]
    numeric = part.select_dtypes(["number", "bool"]).columns
    suspects: list[Any] = []
    for block in np.array_split(np.asarray(numeric, dtype=object), max(1, len(numeric) * len(y) // 10**7)):
        values = part[list(block)].to_numpy(dtype=float, na_value=np.nan)
        suspects += [name for name, leak in zip(block, _separates(values, y, target)) if leak]
    # Suspects of the screening are looked at in all rows.
    leaks = [
        str(name)
        for name in suspects
        if _separates(features[[name]].to_numpy(dtype=float, na_value=np.nan), target.index, target)[0]
    ]
    for name, column in features.items():
        if str(name) not in leaks and _maps(column, target):
            leaks.append(str(name))
    if not leaks:
        return []
    message = (
        f"{listed(leaks)}: a single column that tells the class (almost) without error; is it known only "
        "after the fact, or the target in disguise? Drop it unless it is there when predicting"
    )
    return [Finding("MB006", "warning", message, tuple(leaks))]


def _log_chance(counts: Sequence[int]) -> float:
    """Log probability that values independent of the labels sort all classes into blocks: C! Π n_c! / N!."""
    n = np.asarray(counts, dtype=float)
    return float(gammaln(len(n) + 1) + gammaln(n + 1).sum() - gammaln(n.sum() + 1))


def _screen(target: Target) -> np.ndarray:
    """Rows for a first look: all of them, or evenly spread ones of each class."""
    if len(target.index) <= SCREEN_ROWS:
        return np.arange(len(target.index))
    each = max(SCREEN_ROWS // len(target.counts), 2)
    members = [np.flatnonzero(target.index == c) for c in range(len(target.counts))]
    return np.sort(np.concatenate([rows[:: max(1, len(rows) // each)] for rows in members]))


def _separates(values: np.ndarray, y: np.ndarray, target: Target) -> np.ndarray:
    """Whether each column of ``values (N, D)`` orders the classes ``(D,)``; missing values rank lowest."""
    values = np.nan_to_num(values, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    if len(target.counts) == 2:
        ranks = rankdata(values, axis=0)
        ones = int(y.sum())
        area = (ranks[y == 1].sum(axis=0) - ones * (ones + 1) / 2) / max(ones * (len(y) - ones), 1)
        return np.maximum(area, 1 - area) >= GIVEN_AWAY
    # Several classes: perfect if each fills one interval of values, shared with no other class.
    order = np.argsort(values, axis=0, kind="stable")
    in_order, classes = np.take_along_axis(values, order, axis=0), y[order]
    changes = classes[1:] != classes[:-1]
    tied = (in_order[1:] == in_order[:-1]) & changes
    return (changes.sum(axis=0) == len(np.unique(y)) - 1) & ~tied.any(axis=0)


def _maps(column: pd.Series, target: Target) -> bool:
    """Whether each level, or just being missing or not, belongs to one class, with ten rows a level."""
    if is_text(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        codes, levels = pd.factorize(column, use_na_sentinel=False)
        size = len(levels)
    elif column.hasnans:
        codes, size = column.isna().to_numpy().astype(int), 2
    else:
        return False
    if not len(target.counts) <= size <= len(column) / 10:
        return False
    table = np.zeros((size, len(target.counts)), dtype=bool)
    table[codes, target.index] = True
    return bool((table.sum(axis=1) == 1).all())


def _equal_rows(hashes: np.ndarray, target: Target, noun: str = "row") -> list[Finding]:
    rows = pd.DataFrame({"row": hashes, "y": target.index})
    found = []
    repeated = int(rows.duplicated().sum())
    if repeated:
        message = (
            f"{repeated:,} of {len(rows):,} {noun}s repeat an earlier {noun} of the same class; "
            "across a split they make results look better than they are"
        )
        found.append(Finding("MB007", "info", message))
    different = rows.drop_duplicates().groupby("row")["y"].transform("size")
    mixed = int(rows["row"].isin(rows.loc[different.index[different > 1], "row"]).sum())
    if mixed:
        message = (
            f"{mixed:,} of {len(rows):,} {noun}s share all their {'pixels' if noun == 'image' else 'features'} with "
            f"{'an' if noun == 'image' else 'a'} {noun} of another class; no model can tell these apart"
        )
        found.append(Finding("MB008", "warning", message))
    return found


def _text(features: pd.DataFrame) -> list[Finding]:
    many, mixed = [], []
    for name in features.columns[[is_text(dtype) for dtype in features.dtypes]]:
        levels = pd.Series(features[name].dropna().unique(), dtype=object).astype(str)
        # A number among the messages of a text column is a message, too.
        if pd.to_numeric(levels, errors="coerce").notna().mean() > NUMBERS_IN_WORDS:
            mixed.append(str(name))
        if len(levels) > CATEGORY_LEVELS:
            many.append(str(name))
    found = []
    if many:
        message = _have(
            many, f"text of more than {CATEGORY_LEVELS} different values", "encoded by its letters"
        )
        found.append(Finding("MB010", "info", message, tuple(many)))
    if mixed:
        message = f"{_have(mixed, 'both numbers and words', 'read as text')}"
        found.append(Finding("MB011", "warning", message, tuple(mixed)))
    return found


def listed(names: Sequence[str]) -> str:
    """Names in quotes, the first five of many."""
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _have(names: Sequence[str], what: str, fate: str = "dropped") -> str:
    one = len(names) == 1
    tail = f" and {'is' if one else 'are'} {fate}" if fate else ""
    return f"{len(names)} {'column has' if one else 'columns have'} {what}{tail}: {listed(names)}"
