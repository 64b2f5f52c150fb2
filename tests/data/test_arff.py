"""ARFF: quoted names, missing nominals, text; what scipy reads, it reads alike."""

import io
import lzma

import numpy as np
import pytest
from scipy.io import arff

from metabalance.data import DataError, read_table
from metabalance.data.arff import parse_arff

TEXT = """% a comment
@RELATION toy
@attribute 'on thyroxine' { f, t}
@attribute "age, years" real [0, 99.5]
@attribute free string
@attribute class {'a b', c}
@data
% another
f, 41, 'it''s', 'a b'
?, ?, plain, c
"""


def test_names_levels_and_missing_values():
    frame = parse_arff(TEXT.replace("it''s", "x, y"), "toy")
    assert list(frame.columns) == ["on thyroxine", "age, years", "free", "class"]
    assert frame["class"].tolist() == ["a b", "c"]
    assert frame["class"].cat.categories.tolist() == ["a b", "c"]
    assert frame["on thyroxine"].isna().tolist() == [False, True]
    assert frame["age, years"].tolist()[0] == 41.0
    assert np.isnan(frame["age, years"][1])
    assert frame["free"].tolist() == ["x, y", "plain"]


def test_keel_reads_like_arff():
    head = "@relation e\n@attribute Mcg real[0.0,89.0]\n@attribute Class {positive,negative}\n"
    text = head + "@inputs Mcg\n@output Class\n@data\n49.0,negative\n"
    assert parse_arff(text, "e").to_dict("list") == {"Mcg": [49.0], "Class": ["negative"]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data", "@end", "no @data line"),
        ("f, 41", "g, 41", "row 1: 'g' is not among the declared values of 'on thyroxine'"),
        ("f, 41", "f, forty", "row 1: 'forty' is no number, as 'age, years' should be"),
        (", plain, c", ", plain", "row 2 has 3 cells instead of 4"),
        ("?, ?, plain, c", "{0 t, 2 plain}", "sparse"),
        ("free string", "free relational", "unsupported type 'relational'"),
        ("free string", "'class' string", "two attributes named 'class'"),
        ("@attribute free string", "@attribute", "cannot be read"),
    ],
)
def test_a_spoiled_file_is_one_clear_sentence(old, new, message):
    assert old in TEXT
    with pytest.raises(DataError, match=message):
        parse_arff(TEXT.replace(old, new), "toy")


def test_a_file_without_attributes_or_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match="declares no @attribute"):
        parse_arff("@relation r\n@data\n", "toy")
    (tmp_path / "t.arff").write_text("@relation r\n@attribute a real\n@data\n")
    with pytest.raises(DataError, match="no rows"):
        read_table(tmp_path / "t.arff")


@pytest.mark.parametrize("name", ["segment", "letter", "car", "credit_g"])
def test_scipy_reads_the_same(real_data, name):
    path = real_data / "imblearn-classics" / f"{name}.arff.xz"
    frame = read_table(path)
    expected, meta = arff.loadarff(io.StringIO(lzma.decompress(path.read_bytes()).decode()))
    assert list(frame.columns) == meta.names()
    for column in meta.names():
        values = expected[column]
        decoded = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
        np.testing.assert_array_equal(np.asarray(frame[column]), decoded)
