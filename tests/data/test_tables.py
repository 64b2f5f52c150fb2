"""Reading tables: the same table from every format, and one clear sentence for every way to spoil it."""

import bz2
import contextlib
import gzip
import lzma
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metabalance.data import DataError, read_table, resolve_column, to_pandas
from metabalance.data.dates import FORMATS, date_format
from metabalance.data.tables import CATEGORY_LEVELS

TABLE = pd.DataFrame(
    {"amount": [1.5, 2.0, np.nan], "city": ["Bonn", "Rome", None], "n": [1, -2, 3], "bad": [0, 1, 0]}
)
CSV = "amount,city,n,bad\n1.5,Bonn,1,0\n 2,Rome, -2 ,1\n,NA,3,0\n"


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def compressors():
    zstandard = pytest.importorskip("zstandard")
    return {
        ".gz": gzip.compress,
        ".xz": lzma.compress,
        ".bz2": bz2.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimited_text_in_every_dress_is_the_same_table(tmp_path, delimiter, ending, mark):
    path = write(tmp_path, "t.csv", mark + CSV.replace(",", delimiter).replace("\n", ending).encode())
    pd.testing.assert_frame_equal(read_table(path), TABLE, check_dtype=False)
    pd.testing.assert_frame_equal(read_table(path, delimiter=delimiter), TABLE, check_dtype=False)


def test_blanks_are_a_delimiter_when_asked_for(tmp_path):
    path = write(tmp_path, "t.data", "a   b\n1  2\n3 4\n")
    assert read_table(path, delimiter=" ").to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(DataError, match="blanks; pass delimiter=' '"):
        read_table(path)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2", ".zst"])
def test_every_format_gives_the_same_table_compressed_or_not(tmp_path, suffix):
    table = pa.Table.from_pandas(TABLE)
    written = {"t.csv": CSV.encode()}
    for name in ("t.parquet", "t.feather", "t.arrow", "t.ipc"):
        sink = pa.BufferOutputStream()
        if name == "t.parquet":
            pyarrow.parquet.write_table(table, sink)
        elif name == "t.feather":
            pyarrow.feather.write_feather(table, sink)
        else:
            new = pyarrow.ipc.new_file if name == "t.arrow" else pyarrow.ipc.new_stream
            with new(sink, table.schema) as writer:
                writer.write_table(table)
        written[name] = sink.getvalue().to_pybytes()
    compress = compressors()[suffix] if suffix else bytes
    for name, data in written.items():
        path = write(tmp_path, name + suffix, compress(data))
        pd.testing.assert_frame_equal(read_table(path), TABLE, check_dtype=False, obj=name)


def test_npz_holds_a_matrix_and_a_target(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.arange(6).reshape(3, 2), y=np.array([[0], [1], [0]]))
    frame = read_table(tmp_path / "t.npz")
    assert frame.to_dict("list") == {"x0": [0, 2, 4], "x1": [1, 3, 5], "y": [0, 1, 0]}


def test_npz_never_unpickles(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.array([[object()]]), y=np.array([0]))
    with pytest.raises(DataError, match="never loaded"):
        read_table(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((2, 2))}, "must hold the arrays X and y, but it holds a"),
        ({"X": np.zeros((2, 2)), "y": np.zeros(3)}, r"\(2, 2\) and \(3,\)"),
        ({"X": np.zeros(2), "y": np.zeros(2)}, r"X \(rows, columns\)"),
    ],
)
def test_npz_of_other_shapes_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", " \n\n", "is empty"),
        ("t.csv", "a,b\n", "column names but no rows"),
        ("t.csv", "a,b,a\n1,2,3\n", "two columns named 'a'; if its first line holds data, .* header=False"),
        ("t.csv", "a,b\n1,2\n3,4,5\n6,7\n", "ragged: row 3 has 3 cells instead of 2"),
        ("t.csv", "a,b,c\n1,2,3\n4,5\n", "ragged: row 3 has 2 cells instead of 3"),
        ("t.csv", "a\n1\n2\n", "one single column"),
        ("t.csv", "a b\n1 2\n", "separated by blanks"),
        ("t.csv", "0.49,0.29,cp\n0.07,0.40,cp\n", "no header: its first line is 0.49, 0.29, cp"),
        ("t.csv", "a,b\nZ\u00fcrich,1\n".encode("latin-1"), "not UTF-8: line 2 holds the byte 0xfc"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("t.csv", b"a,b\n1,\x002\n", "NUL"),
        ("t.xlsx", "PK", r"unknown format; known suffixes are \.csv"),
        ("t", "a,b\n1,2\n", "unknown format"),
        ("t.csv.gz", "a,b\n1,2\n", "damaged or not a .gz file"),
        ("t.csv.xz", "a,b\n1,2\n", "damaged or not a .xz file"),
        ("t.csv.bz2", "a,b\n1,2\n", "damaged or not a .bz2 file"),
        ("t.csv.zst", "a,b\n1,2\n", "damaged or not a .zst file"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999, mtime=0)[:-12], "damaged"),
        ("t.parquet", "PAR1", "damaged or no parquet file"),
        ("t.feather", "ARROW1", "damaged or no ipc file"),
        ("t.npz", "PK", "t.npz is damaged"),
    ],
)
def test_a_spoiled_file_is_one_clear_sentence(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as raised:
        read_table(write(tmp_path, name, content))
    assert "\n" not in str(raised.value)


def test_a_truncated_zstandard_file_is_refused(tmp_path):
    data = compressors()[".zst"](b"a,b\n" + np.random.default_rng(0).bytes(4000).hex().encode())
    with pytest.raises(DataError, match="damaged"):
        read_table(write(tmp_path, "t.csv.zst", data[: len(data) // 2]))


def test_a_missing_file_names_its_neighbours(tmp_path):
    write(tmp_path, "loans.csv", CSV)
    with pytest.raises(DataError, match=r"did you mean 'loans.csv'\?"):
        read_table(tmp_path / "loan.csv")
    with pytest.raises(DataError, match="nor a folder"):
        read_table(tmp_path / "nowhere" / "loan.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is a folder without a table"):
        read_table(tmp_path / "empty")


def test_the_wrong_delimiter_names_the_right_one(tmp_path):
    path = write(tmp_path, "t.csv", CSV.replace(",", ";"))
    with pytest.raises(DataError, match="its first line holds ';': pass that"):
        read_table(path, delimiter=",")
    with pytest.raises(DataError, match="one plain character"):
        read_table(path, delimiter=";;")


def test_without_a_header_columns_are_numbered(tmp_path):
    frame = read_table(write(tmp_path, "t.csv", "0.5,cp\n0.7,im\n"), header=False)
    assert frame.to_dict("list") == {"c0": [0.5, 0.7], "c1": ["cp", "im"]}


def test_years_are_a_header_and_a_nameless_column_gets_a_name(tmp_path):
    assert list(read_table(write(tmp_path, "t.csv", "2001,2002\n1,2\n")).columns) == ["2001", "2002"]
    assert list(read_table(write(tmp_path, "u.csv", ",x\n1,2\n")).columns) == ["c0", "x"]


def test_a_delimiter_or_a_line_break_in_quotes_is_content(tmp_path):
    frame = read_table(write(tmp_path, "t.csv", 'a,b\n"x,\ny",1\nz,2\n'))
    assert frame["a"].tolist() == ["x,\ny", "z"]


def test_semicolon_files_may_have_decimal_commas(tmp_path):
    assert read_table(write(tmp_path, "t.csv", "a;b\n1,5;x\n-,25;y\n"))["a"].tolist() == [1.5, -0.25]


def test_numbers_with_a_few_words_are_refused_by_row_and_column(tmp_path):
    cells = [str(i) for i in range(100)]
    cells[41] = "4O"
    path = write(tmp_path, "t.csv", "a,b\n" + "".join(f"{cell},0\n" for cell in cells))
    with pytest.raises(
        DataError, match=r"row 42, column 'a': '4O' is no number, but 99.0% of the column are"
    ):
        read_table(path)


@pytest.mark.parametrize("words", ["codes", "many"])
def test_codes_and_columns_of_many_words_are_text(tmp_path, words):
    # 'U' is a rare label among few codes; or words are no exception among many values.
    numbers = [str(i % (CATEGORY_LEVELS - 1) if words == "codes" else i) for i in range(200)]
    cells = numbers + ["U"] * (3 if words == "codes" else 20)
    frame = read_table(write(tmp_path, "t.csv", "a,b\n" + "".join(f"{cell},0\n" for cell in cells)))
    assert frame["a"].tolist() == cells


def test_a_word_after_the_first_megabytes_still_counts(tmp_path):
    text = "a,b\n" + "1,0\n" * 400_000 + "x,0\n"
    assert read_table(write(tmp_path, "t.csv", text))["a"].iloc[-1] == "x"


def test_nested_cells_are_refused_and_decimals_and_days_are_plain(tmp_path):
    table = pa.table({"a": [Decimal("1.00"), Decimal("2.50")], "d": pa.array([0, 1], pa.date32())})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet")
    assert frame["a"].tolist() == [1.0, 2.5]
    assert frame["d"].iloc[1] == pd.Timestamp("1970-01-02")
    pyarrow.parquet.write_table(pa.table({"a": [[1], [2]], "b": [1, 2]}), tmp_path / "u.parquet")
    with pytest.raises(DataError, match="'a' holds list"):
        read_table(tmp_path / "u.parquet")


def test_resolve_column():
    frame = pd.DataFrame(columns=["age", "class", "1"])
    assert [resolve_column(frame, c) for c in ("age", 0, "-1", -3, "1", "2")] == [
        "age",
        "age",
        "1",
        "age",
        "1",
        "1",
    ]
    with pytest.raises(DataError, match=r"'clas'; did you mean 'class'\?"):
        resolve_column(frame, "clas")
    with pytest.raises(DataError, match="the columns are 'age', 'class', '1'"):
        resolve_column(frame, "zzz")
    with pytest.raises(DataError, match="positions go from 0 to 2"):
        resolve_column(frame, 3)


def test_to_pandas_takes_frames_and_matrices():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", None]})
    for given_frame in (frame, frame.lazy()):
        assert to_pandas(given_frame)["a"].tolist() == [1, 2]
        assert to_pandas(given_frame)["b"].isna().tolist() == [False, True]
    assert list(to_pandas(pd.DataFrame({0: [1], 1: [2]})).columns) == ["0", "1"]
    same = pd.DataFrame({"a": [1]})
    assert to_pandas(same) is same
    with pytest.raises(DataError, match="two columns named '0'"):
        to_pandas(pd.DataFrame([[1, 2]], columns=[0, "0"]))
    with pytest.raises(DataError, match="Reshape your data"):
        to_pandas(np.zeros(3))


@pytest.mark.parametrize("form", FORMATS)
def test_every_date_format_finds_itself_or_an_equal(form):
    moments = pd.Series(pd.date_range("1999-01-13 04:05:06", periods=40, freq="31D"))
    texts = moments.dt.strftime(form)
    found = date_format(texts)
    assert found is not None
    pd.testing.assert_series_equal(
        pd.to_datetime(texts, format=found), pd.to_datetime(texts, format=form), check_dtype=False
    )


def test_what_is_no_date_has_no_format():
    for values in (["a", "b"], ["2020-01-01", "1.2.2020"], ["12", "13"], [None, None], [1.5, 2.5]):
        assert date_format(pd.Series(values, dtype=object)) is None


# Arbitrary bytes under every suffix, and damaged copies of good files: a frame or a DataError, nothing else.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text(alphabet="a1.,;\t|\n\"'{}?@% -", max_size=120).map(str.encode)
    ),
    suffix=st.sampled_from(
        [".csv", ".tsv", ".parquet", ".feather", ".npz", ".arff", ".dat", ".csv.gz", ".csv.zst"]
    ),
    header=st.booleans(),
    delimiter=st.sampled_from([None, ",", " ", "\x01", "\xff"]),
)
def test_no_bytes_raise_anything_but_a_data_error(tmp_path, data, suffix, header, delimiter):
    try:
        frame = read_table(write(tmp_path, f"t{suffix}", data), header=header, delimiter=delimiter)
    except DataError:
        return
    assert len(frame)
    assert frame.columns.is_unique


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.floats(0, 1, exclude_max=True),
    flip=st.integers(1, 255),
    kind=st.sampled_from(["parquet", "feather", "npz"]),
)
def test_a_flipped_byte_raises_nothing_but_a_data_error(tmp_path, place, flip, kind):
    path = tmp_path / f"t.{kind}"
    if kind == "npz":
        np.savez_compressed(path, X=np.arange(20.0).reshape(10, 2), y=np.arange(10) % 2)
    else:
        getattr(TABLE, f"to_{kind}")(path)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= flip
    with contextlib.suppress(DataError):
        read_table(write(tmp_path, path.name, bytes(data)))


def test_real_tables(real_data):
    fraud = read_table(real_data / "creditcard-fraud-casecontrol" / "creditcard_casecontrol.csv.xz")
    assert fraud.shape == (27_975, 31)
    assert int(fraud["Class"].sum()) == 492
    loans = read_table(real_data / "give-me-some-credit" / "cs-training.csv.xz")
    assert int(loans["MonthlyIncome"].isna().sum()) == 29_731
    ecoli = read_table(real_data / "imblearn-classics" / "ecoli.csv", header=False)
    assert ecoli["c7"].value_counts()["imL"] == 2
    with pytest.raises(DataError, match="no header"):
        read_table(real_data / "imblearn-classics" / "ecoli.csv")
