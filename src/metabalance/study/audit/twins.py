"""Nearly equal rows, found by hashing, without comparing all with all.

Datar, Immorlica, Indyk & Mirrokni, "Locality-sensitive hashing scheme based on p-stable distributions", SoCG 2004:
rows are projected on a few random directions and cut into cells; close rows share a cell with high probability.
Neighbours within a cell are then measured.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from metabalance.data.checks import row_hashes
from metabalance.data.tables import CATEGORY_LEVELS, is_text
from metabalance.study.audit.parts import Part
from metabalance.study.audit.rows import Rows, blocks
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_twins", "comparable", "near_pairs"]

NEAR = 0.01  # of a column's spread, on average over columns
NEAR_PIXELS = 0.02  # of the range from black to white
UNUSUAL = 0.1  # of the usual distance to the nearest other row
FINE_COLUMNS, FINE_VALUES = 4, 20
TABLES, DIRECTIONS, AHEAD = 4, 8, 3
PROBED, CORPUS = 200, 200_000
WORDS = 3  # a text of so many words is free text, and its digits do not count
SIDE = 8


def near_pairs(matrix: np.ndarray, keys: np.ndarray, within: float, seed: int = 0) -> np.ndarray:
    """Pairs of rows at a root mean square distance of at most ``within``.

    Each row is compared with the next few of its cell only, so that of many equal rows a chain is found, and the
    time is that of sorting.

    Args:
        matrix: ``(N, D)``, columns of comparable spread.
        keys: ``(N,)``, uint64; only rows of equal keys can be pairs.
        within: The distance.
        seed: Of the directions.

    Returns:
        Row numbers ``(P, 2)``, the smaller first.

    >>> near_pairs(np.array([[0.0], [5.0], [0.001]]), np.zeros(3, dtype=np.uint64), within=0.01).tolist()
    [[0, 2]]
    """
    width = matrix.shape[1]
    rng = np.random.default_rng(seed)
    cell = 25 * max(within, 1e-9) * np.sqrt(max(width, 1))
    found = []
    for _ in range(TABLES if width else 1):
        direction = rng.normal(size=(width, DIRECTIONS)).astype(np.float32)
        projected = matrix @ direction + np.float32(cell) * rng.random(DIRECTIONS, dtype=np.float32)
        cells = np.floor(projected / cell).astype(np.int64).view(np.uint64)
        odd = rng.integers(0, 2**63, DIRECTIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        with np.errstate(over="ignore"):
            bucket = (cells * odd).sum(axis=1, dtype=np.uint64) ^ keys
        order = np.lexsort((projected[:, 0], bucket)) if width else np.argsort(bucket, kind="stable")
        for ahead in range(1, AHEAD + 1):
            a, b = order[:-ahead], order[ahead:]
            same = (bucket[a] == bucket[b]) & (keys[a] == keys[b])
            a, b = a[same], b[same]
            if width:
                close = _distance(matrix, a, b) <= within
                a, b = a[close], b[close]
            found.append(np.column_stack([np.minimum(a, b), np.maximum(a, b)]))
    pairs = np.concatenate(found)
    return np.unique(pairs, axis=0) if len(pairs) else pairs.reshape(0, 2)


def check_twins(subject: Subject, plan: Plan) -> Part:
    """MB020 and MB021."""
    part = Part(facts={"near_duplicates": None})
    matrix, keys, hashes, within, why = comparable(subject, plan.seed)
    if why:
        part.skipped = {"MB020": why, "MB021": why}
        return part
    # Copies are another finding: one of each set stays here for all.
    first = np.sort(np.unique(hashes, return_index=True)[1])
    pairs = first[near_pairs(matrix[first], keys[first], within, plan.seed)]
    y = subject.y
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    within_class, across = np.unique(pairs[same]), np.unique(pairs[~same])
    sets = 0
    if len(pairs):
        graph = coo_array((np.ones(len(pairs), dtype=np.int8), tuple(pairs.T)), shape=(len(y),) * 2)
        sizes = np.bincount(connected_components(graph, directed=False)[1])
        sets = int((sizes > 1).sum())
    part.facts["near_duplicates"] = {
        "rows_within_classes": len(within_class), "rows_across_classes": len(across), "sets": sets,
        "largest_distance": float(within),
        "pairs_across": (subject.position[pairs[~same][:20]] + 1).tolist(),
    }  # fmt: skip
    noun = subject.noun
    for code, severity, rows, kept, what in (
        ("MB020", "info", within_class, pairs[same], "of the same class"),
        ("MB021", "warning", across, pairs[~same], "of another class"),
    ):
        if len(rows):
            shown = "; ".join(f"{subject.named([a])} and {subject.named([b])}" for a, b in kept[:3])
            message = (
                f"{len(rows):,} {noun}{'s' * (len(rows) != 1)} nearly {'repeats' if len(rows) == 1 else 'repeat'} another "
                f"{what}, for instance {noun}s {shown}"
            )
            part.found(code, severity, message, rows=tuple(map(int, kept[:10].ravel())))
    return part


def _distance(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty(len(a))
    for start in range(0, len(a), 65536):
        step = slice(start, start + 65536)
        out[step] = np.sqrt(np.square(matrix[a[step]] - matrix[b[step]], dtype=np.float64).mean(axis=1))
    return out


def comparable(subject: Rows, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, str]:
    """Numbers ``(N, D)``, what must be equal ``(N,)``, exact hashes ``(N,)``, the distance, and why not."""
    n = len(subject.y)
    if subject.images is not None:
        from metabalance.data.pixels import image_hashes

        matrix = blocks(subject.images.pixels, SIDE)
        within = min(NEAR_PIXELS, UNUSUAL * _usual(matrix, seed))
        return matrix, np.zeros(n, dtype=np.uint64), image_hashes(subject.images.pixels), within, ""
    frame = subject.useful
    numbers, rest, fine, free = [], {}, 0, False
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            missing = np.isnan(values)
            if missing.any():
                rest[f"{name} is missing"] = pd.Series(missing)
            values, spread = _scaled(values)
            numbers.append(values)
            fine += spread and len(np.unique(values[:2000])) > FINE_VALUES
        elif is_text(column.dtype) and _is_free_text(column):
            text = column.astype(str).str.lower().str.replace(r"[\W\d_]+", " ", regex=True).str.strip()
            rest[str(name)], free = text.where(column.notna()), True
        else:
            rest[str(name)] = column
    keys = (
        row_hashes(pd.DataFrame({k: v.reset_index(drop=True) for k, v in rest.items()}))
        if rest
        else np.zeros(n, dtype=np.uint64)
    )
    matrix = np.column_stack(numbers).astype(np.float32) if numbers else np.empty((n, 0), dtype=np.float32)
    if fine < FINE_COLUMNS and not free:
        why = f"in fewer than {FINE_COLUMNS} columns of fine numbers rows come near each other by chance"
        return matrix, keys, keys, 0.0, why
    within = min(NEAR, UNUSUAL * _usual(matrix, seed)) if matrix.shape[1] else 0.0
    return matrix, keys, row_hashes(frame), within, ""


def _scaled(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Values in units of their middle half (or of their deviation), missing ones 0."""
    low, middle, high = np.nanpercentile(values, [25, 50, 75])
    with np.errstate(over="ignore", invalid="ignore"):
        spread = high - low if high > low else float(np.nanstd(values))
        if not (np.isfinite(spread) and spread > 0):
            return np.zeros(len(values)), False
        return np.nan_to_num(np.clip((values - middle) / spread, -1e6, 1e6)), True


def _is_free_text(column: pd.Series) -> bool:
    values = column.dropna()
    head = values.head(200).astype(str)
    return (
        len(head) > 0
        and values.nunique() > CATEGORY_LEVELS
        and head.map(lambda v: len(v.split())).median() >= WORDS
    )


def _usual(matrix: np.ndarray, seed: int) -> float:
    """The median distance of a row to its nearest different one, on a sample."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(seed)
    corpus = matrix if len(matrix) <= CORPUS else matrix[rng.choice(len(matrix), CORPUS, replace=False)]
    corpus = np.unique(corpus, axis=0) if corpus.shape[1] <= 64 else corpus
    if len(corpus) < 2:
        return 0.0
    probes = corpus[rng.choice(len(corpus), min(PROBED, len(corpus)), replace=False)]
    search = NearestNeighbors(n_neighbors=2).fit(corpus)
    return float(np.median(search.kneighbors(probes)[0][:, 1]) / np.sqrt(matrix.shape[1]))
