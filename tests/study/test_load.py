"""From a file to a checked table: roles of columns, findings, and polars frames."""

import numpy as np
import pandas as pd
import pytest

from metabalance.data.errors import DataError
from metabalance.study.load import load_table, make_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(200),
            "a": rng.normal(size=200),
            "b": rng.choice(["x", "y"], 200),
            "who": rng.integers(0, 40, 200),
            "when": pd.date_range("2024-01-01", periods=200).astype(str),
            "y": np.where(np.arange(200) % 10 == 0, "bad", "good"),
        }
    )


def test_roles(frame, tmp_path):
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    table = load_table(tmp_path / "t.csv.gz", "y", groups="who", time="when")
    assert table.name == "t.csv.gz"
    assert table.frame.columns.tolist() == ["a", "b"]  # id only numbers the rows
    assert table.classes == ("bad", "good")
    assert table.positive == 0
    assert len(np.unique(table.groups)) == frame["who"].nunique()
    assert any("id" in f.columns for f in table.findings)
    kept = load_table(tmp_path / "t.csv.gz", "y", keep=("id",), drop=("b", "when", "who"))
    assert kept.frame.columns.tolist() == ["id", "a"]


def test_polars_frames_give_the_same_table(frame):
    polars = pytest.importorskip("polars")
    a, b = make_table(frame, "y"), make_table(polars.from_pandas(frame), "y")
    np.testing.assert_array_equal(a.target, b.target)
    pd.testing.assert_frame_equal(a.frame, b.frame, check_dtype=False)


def test_the_fingerprint_sees_every_value(frame):
    first = make_table(frame, "y").fingerprint
    assert make_table(frame.copy(), "y").fingerprint == first
    changed = frame.copy()
    changed.loc[7, "a"] += 1e-9
    assert make_table(changed, "y").fingerprint != first
    assert make_table(frame.rename(columns={"a": "c"}), "y").fingerprint != first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": "y"}, "target"),
        ({"groups": "nobody"}, "nobody"),
        ({"drop": ("zzz",)}, "zzz"),
        ({"time": "b"}, "time"),
    ],
)
def test_refusals(frame, options, said):
    with pytest.raises(DataError, match=said):
        make_table(frame, "y", **options)
