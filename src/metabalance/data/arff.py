"""ARFF, the format of Weka, and KEEL's dialect of it: a header of typed attributes, then rows of text.

scipy's reader refuses string attributes and turns a missing nominal into the level ``'?'``; this one keeps
both. Sparse rows and relational attributes are refused.
"""

import csv
import re
from collections.abc import Iterator

import pandas as pd

from metabalance.data.errors import DataError

__all__ = ["parse_arff"]

_ATTRIBUTE = re.compile(
    r"""@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s{]+))\s*(.*)""",
    re.IGNORECASE | re.DOTALL,
)
_NUMERIC = ("numeric", "real", "integer")


def parse_arff(text: str, name: str) -> pd.DataFrame:
    """Reads ARFF text: numbers as floats, nominals as categories of the declared levels, ``?`` as missing,
    in quotes too.

    Args:
        text: The whole file.
        name: What to call it in messages.

    Raises:
        DataError: No ``@data``, an unknown attribute type, sparse or ragged rows, a value that is not of its
            attribute's type, or two attributes of the same name.

    >>> text = "@relation r\\n@attribute a real\\n@attribute b {x, y}\\n@data\\n1,x\\n?,y"
    >>> parse_arff(text, "toy")["b"].tolist()
    ['x', 'y']
    """
    try:
        return _parse(text, name)
    except csv.Error as error:
        raise DataError(f"{name} has a row that cannot be read ({error})") from None


def _parse(text: str, name: str) -> pd.DataFrame:
    lines = iter(re.split(r"\r\n?|\n", text))
    types = _header(lines, name)
    cells: list[list[str | None]] = [[] for _ in types]
    for number, row in enumerate(_rows(lines), start=1):
        if row[0].startswith("{"):
            raise DataError(
                f"{name} holds sparse rows ({{index value, ...}}), which are not supported; save it dense"
            )
        if len(row) != len(types):
            raise DataError(f"{name} is ragged: row {number} has {len(row)} cells instead of {len(types)}")
        for column, cell in zip(cells, row):
            column.append(None if cell in ("?", "<null>") else cell)
    return pd.DataFrame(
        {label: _typed(label, kind, cells[i], name) for i, (label, kind) in enumerate(types.items())}
    )


def _header(lines: Iterator[str], name: str) -> dict[str, str]:
    """Labels and types up to ``@data``."""
    types: dict[str, str] = {}
    for line in lines:
        line = line.strip()
        if line.lower().startswith("@data"):
            if not types:
                raise DataError(f"{name} declares no @attribute")
            return types
        if line.lower().startswith("@attribute"):
            found = _ATTRIBUTE.match(line)
            if found is None:
                raise DataError(f"{name} has an @attribute line that cannot be read: {line[:60]!r}")
            label = next(group for group in found.groups()[:3] if group is not None).strip()
            if label in types:
                raise DataError(f"{name} has two attributes named {label!r}; rename one of them")
            types[label] = found.group(4).strip()
    raise DataError(f"{name} is no ARFF file: it has no @data line")


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    full = [line for line in lines if line.strip() and not line.lstrip().startswith("%")]
    quote = "'" if any("'" in line for line in full) else '"'
    delimiter = "\t" if full and "," not in full[0] and "\t" in full[0] else ","
    reader = csv.reader(full, delimiter=delimiter, quotechar=quote, escapechar="\\", skipinitialspace=True)
    for row in reader:
        yield [cell.strip() for cell in row]


def _typed(label: str, kind: str, cells: list[str | None], name: str) -> pd.Series:
    word = re.split(r"[\s\[{]", kind.lower(), maxsplit=1)[0]
    if kind.startswith("{"):
        body = kind[1 : kind.rindex("}")] if "}" in kind else kind[1:]
        quote = "'" if "'" in body else '"'
        levels = next(csv.reader([body], quotechar=quote, escapechar="\\", skipinitialspace=True), [])
        allowed = list(dict.fromkeys(level.strip() for level in levels))
        wrong = next((i for i, cell in enumerate(cells) if cell is not None and cell not in allowed), None)
        if wrong is not None:
            raise DataError(
                f"{name}, row {wrong + 1}: {cells[wrong]!r} is not among the declared values of {label!r}"
            )
        return pd.Series(pd.Categorical(cells, categories=[level for level in allowed if level != "?"]))
    if word in _NUMERIC:
        numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce")
        wrong = next((i for i, cell in enumerate(cells) if cell is not None and pd.isna(numbers[i])), None)
        if wrong is not None:
            raise DataError(f"{name}, row {wrong + 1}: {cells[wrong]!r} is no number, as {label!r} should be")
        return numbers.astype(float)
    if word in ("string", "date"):
        return pd.Series(cells, dtype="str")
    raise DataError(f"{name}: the attribute {label!r} is of the unsupported type {kind[:40]!r}")
