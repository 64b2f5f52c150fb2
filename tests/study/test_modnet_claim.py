"""The tables of the claim about materials, as they are read."""

import lzma

import numpy as np
import pytest

from metabalance.data.errors import DataError
from metabalance.study.reproduce.claims.modnet import read_compositions


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["True", "False", "true"], [1, 0, 1]),
        (["0.0", "1.0", "0"], [0, 1, 0]),
        (["2.5", "0", "-1"], [2.5, 0, -1]),
    ],
)
def test_formulas_and_targets(cells, values, tmp_path):
    text = "formula,target\n" + "".join(f"Fe2O3,{cell}\n" for cell in cells)
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(text.encode()))
    formulas, target = read_compositions(tmp_path, "t.csv.xz")
    assert formulas == ["Fe2O3"] * 3
    np.testing.assert_array_equal(target, values)


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read_compositions(tmp_path, "gone.csv.xz")
    with pytest.raises(DataError, match="is not there"):
        read_compositions(None, "gone.csv.xz")
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(b"formula,target\nFe,iron\n"))
    with pytest.raises(DataError, match="cannot be read"):
        read_compositions(tmp_path, "t.csv.xz")
    (tmp_path / "t.csv.xz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        read_compositions(tmp_path, "t.csv.xz")
