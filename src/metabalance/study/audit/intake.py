"""From frames, arrays and images to a subject; what a study would refuse in a target becomes a finding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.images import Images
from metabalance.data.tables import is_text, resolve_column, to_pandas
from metabalance.data.target import Target, encode_target
from metabalance.study.audit.subject import Subject

__all__ = ["Roles", "image_subject", "read_roles", "table_subject"]


def table_subject(
    frame: Any,
    target: Any,
    *,
    positive: Any = None,
    groups: Any = None,
    time: Any = None,
    drop: tuple[str, ...] = (),
    name: str = "table",
) -> Subject:
    """A frame, pandas or polars, or a matrix.

    Args:
        frame: All columns.
        target: A column's name or position, or the classes ``(N,)``.
        positive: The positive class; by default the rarest that has two rows.
        groups: A column, or labels ``(N,)``.
        time: A column, or times ``(N,)``.
        drop: Columns to leave out.
        name: For titles.

    Raises:
        DataError: There is no such column, or the target is none for classification.
    """
    given = read_roles(frame, target, groups=groups, time=time, drop=drop)
    keep, findings = _labelled(given.targets.iloc[:, 0])
    encoded = _lenient(given.targets.iloc[:, 0][keep].reset_index(drop=True), positive)
    return Subject(
        name=name, target=encoded, target_name=str(given.targets.columns[0]), findings=tuple(findings), **given.kept(keep)
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Roles:
    """The columns of a frame by what they are for.

    Args:
        targets: What is to be predicted, a frame.
        features: The rest.
        roles: ``groups`` and ``time``, each a series or None.
    """

    targets: pd.DataFrame
    features: pd.DataFrame
    roles: dict[str, pd.Series | None]

    def kept(self, keep: np.ndarray) -> dict[str, Any]:
        """What :class:`~metabalance.study.audit.rows.Rows` holds of the rows to keep ``(N,)``, truth values."""
        told: dict[str, Any] = {
            "frame": self.features if keep.all() else self.features[keep].reset_index(drop=True),
            "position": np.flatnonzero(keep),
        }
        for role, values in self.roles.items():
            told[role] = None if values is None else _role(role, values[keep].reset_index(drop=True))
            told[f"{role}_name"] = None if values is None else str(values.name)
        return told


def read_roles(
    frame: Any, target: Any, *, groups: Any = None, time: Any = None, drop: tuple[str, ...] = ()
) -> Roles:
    """Sorts the columns of a frame, pandas or polars, or of a matrix.

    Args:
        frame: All columns.
        target: A column's name or position, a list of these, or what is to be predicted ``(N,)`` or ``(N, T)``.
        groups: A column, or labels ``(N,)``.
        time: A column, or times ``(N,)``.
        drop: Columns to leave out.

    Raises:
        DataError: There is no such column, or one has two roles.
    """
    frame = to_pandas(frame).reset_index(drop=True)
    taken: list[str] = []

    def one(role: str, given: Any) -> pd.Series:
        if isinstance(given, (str, int, np.integer)):
            name = resolve_column(frame, given if isinstance(given, str) else int(given))
            if name in taken:
                raise DataError(f"the column {name!r} cannot also be the {role} column; name another")
            taken.append(name)
            return frame[name]
        series = pd.Series(np.asarray(given), name=getattr(given, "name", None) or role)
        if len(series) != len(frame):
            raise DataError(f"{role} has {len(series)} values for {len(frame)} rows; give one for each row")
        return series

    if isinstance(target, (list, tuple)) and target and all(isinstance(t, (str, int)) for t in target):
        columns = [one("target", t) for t in target]
    elif np.ndim(target) == 2:
        whole = pd.DataFrame(target)
        names = [str(c) if isinstance(c, str) else f"target {c + 1}" for c in whole.columns]
        columns = [one("target", whole.iloc[:, i].rename(n)) for i, n in enumerate(names)]
    else:
        columns = [one("target", target)]
    roles = {
        role: None if given is None else one(role, given)
        for role, given in (("groups", groups), ("time", time))
    }
    if unknown := [c for c in drop if c not in frame.columns]:
        raise DataError(f"there is no column {unknown[0]!r} to drop; look at the names in the first line")
    if both := [c for c in drop if c in taken]:
        raise DataError(f"{both[0]!r} is the target, groups or time column and cannot be dropped")
    features = frame.drop(columns=[*taken, *drop])
    if not features.shape[1]:
        raise DataError("the table has no column besides target, groups and time; add features")
    return Roles(pd.concat(columns, axis=1), features, roles)


def image_subject(images: Images, *, positive: Any = None, name: str = "images") -> Subject:
    """Labelled images.

    Raises:
        DataError: The images have no labels.
    """
    if images.labels is None:
        raise DataError("the images have no classes; read them with labelled=True")
    labels = pd.Series(pd.Series(images.classes, dtype=object).to_numpy()[images.labels], name="class")
    return Subject(
        name=name, target=_lenient(labels, positive), target_name="class", images=images, position=np.arange(len(labels))
    )  # fmt: skip


def _role(role: str, values: pd.Series) -> np.ndarray:
    from metabalance.study.load import _codes, _ordinal

    return _codes(values) if role == "groups" else np.asarray(_ordinal(values, str(values.name)))


def _labelled(series: pd.Series) -> tuple[np.ndarray, list[Finding]]:
    """Which rows have a class."""
    missing = series.isna().to_numpy()
    if pd.api.types.is_float_dtype(series.dtype):
        missing = missing | np.isinf(series.to_numpy(dtype=float, na_value=np.nan))
    rows = np.flatnonzero(missing)
    if not len(rows) or len(rows) == len(series):
        return np.ones(len(series), dtype=bool), []
    message = (
        f"{len(rows):,} of {len(series):,} rows have no class ({len(rows) / len(series):.1%}; the first is row "
        f"{rows[0] + 1}) and are left out here"
    )
    return ~missing, [Finding("MB033", "error", message, rows=tuple(map(int, rows[:20])))]


def _lenient(series: pd.Series, positive: Any) -> Target:
    """Encodes a target in which classes may have a single row."""
    try:
        return encode_target(series, positive)
    except DataError:
        plain = series.astype(str).str.strip() if is_text(series.dtype) else series
        counts = plain.value_counts()
        single = plain.isin(counts.index[counts == 1])
        # Classes of one row are a finding; whatever else is wrong stays wrong.
        if not single.any() or single.sum() > len(series) / 2 or len(counts) < 2:
            raise
        doubled = pd.concat([series, series[single]], ignore_index=True)
        chosen = encode_target(doubled, positive)
    index = chosen.index[: len(series)]
    sizes = np.bincount(index, minlength=len(chosen.classes))
    enough = np.where(sizes > 1, sizes, len(series) + 1)
    rarest = len(sizes) - 1 - int(np.argmin(enough[::-1])) if len(sizes) > 2 else int(np.argmin(sizes))
    return Target(
        index, chosen.classes, tuple(map(int, sizes)), chosen.positive if positive is not None else rarest
    )
