from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metabalance.data.errors import DataError
from metabalance.data.images import holds_images
from metabalance.data.parts import ParquetParts, Unit, holds_parts, list_parts
from metabalance.data.tables import read_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.normal(size=90), "k": np.arange(90), "t": ["a", "b", "c"] * 30})


def written(folder, frame, cuts=(0, 40, 40, 90), **options):
    folder.mkdir(parents=True)
    for i, (start, stop) in enumerate(pairwise(cuts)):
        frame[start:stop].to_parquet(folder / f"{i}.parquet", index=False, **options)
    return folder


def test_a_folder_a_pattern_and_a_file_are_the_same_table(tmp_path, frame):
    folder = written(tmp_path / "d", frame, row_group_size=16)  # one of the files has no row
    (folder / "_SUCCESS").touch()
    (folder / ".hidden.parquet").write_text("no parquet")
    (folder / "_tmp").mkdir()
    (folder / "_tmp" / "half.parquet").write_text("no parquet")
    frame.to_parquet(tmp_path / "one.parquet", index=False)
    for path in (folder, folder / "*.parquet", tmp_path / "one.parquet"):
        pd.testing.assert_frame_equal(read_table(path), frame)
    parts = ParquetParts(folder)
    assert parts.rows == 90
    assert [u.rows for u in parts.units] == [16, 16, 8, 16, 16, 16, 2]
    assert parts.units[0] == Unit(0, 0, 16)


@pytest.mark.parametrize("suffix", [".csv", ".feather"])
def test_other_formats_are_read_from_folders_too(tmp_path, frame, suffix):
    for i, part in enumerate((frame[:50], frame[50:])):
        part = part.reset_index(drop=True)
        file = tmp_path / f"{i}{suffix}"
        part.to_csv(file, index=False) if suffix == ".csv" else part.to_feather(file)
    pd.testing.assert_frame_equal(read_table(tmp_path), frame)
    with pytest.raises(DataError, match="only Parquet"):
        ParquetParts(tmp_path)


def test_partitions_become_columns_of_dictionary_type(tmp_path, frame):
    for place, part in frame.groupby("t"):
        written(tmp_path / f"t={place}" / "year=2024", part.drop(columns="t"), cuts=(0, 30))
    parts = ParquetParts(tmp_path)
    assert parts.names == ["x", "k", "t", "year"]
    assert pa.types.is_dictionary(parts.schema.field("t").type)
    read = read_table(tmp_path).sort_values("k", ignore_index=True)
    assert read["t"].astype(str).tolist() == frame["t"].tolist()
    assert set(read["year"]) == {"2024"}
    # A pattern below names the same partitions; only those above the first star are no columns.
    assert ParquetParts(tmp_path / "t=*" / "*").names == parts.names
    assert [t.num_rows for u in parts.units for t in parts.read(u, ["t"])] == [30, 30, 30]


def test_blocks_have_one_size_whatever_the_row_groups(tmp_path, frame):
    parts = ParquetParts(written(tmp_path / "d", frame, row_group_size=7))
    for start in (0, 5, 41, 89, 90):
        blocks = list(parts.blocks(20, start=start))
        assert all(block.num_rows == 20 for block in blocks[:-1])
        got = [k for block in blocks for k in block.column("k").to_pylist()]
        assert got == list(range(start, 90))


def test_numbers_are_widened_and_columns_of_nothing_fit_anything(tmp_path):
    for i, (a, b) in enumerate([([1, 2], ["u", "v"]), ([0.5, None], [None, None])]):
        pq.write_table(pa.table({"a": a, "b": b}), tmp_path / f"{i}.parquet")
    read = read_table(tmp_path)
    assert read["a"].tolist()[:3] == [1.0, 2.0, 0.5]
    assert read["b"].isna().tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"a": ["x"], "b": [1]}, r"1.parquet: the column 'a' is of type string, but int64"),
        ({"a": [1]}, r"1.parquet lacks the column 'b' of 0.parquet"),
        ({"a": [1], "b": [1], "c": [1]}, r"1.parquet has a column 'c', which 0.parquet has not"),
    ],
)
def test_other_schemas_are_named(tmp_path, second, said):
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "0.parquet")
    pq.write_table(pa.table(second), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=said):
        read_table(tmp_path)


def test_what_cannot_be_read_is_one_sentence(tmp_path, frame):
    with pytest.raises(DataError, match="holds no table"):
        list_parts(tmp_path / "*.parquet")
    (tmp_path / "0.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"0\.parquet is damaged"):
        read_table(tmp_path)
    frame.to_csv(tmp_path / "1.csv", index=False)
    with pytest.raises(DataError, match="several formats"):
        read_table(tmp_path)
    (tmp_path / "e").mkdir()
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "e" / "0.parquet")
    with pytest.raises(DataError, match="no rows"):
        read_table(tmp_path / "e")


def test_folders_of_images_are_still_images(tmp_path, frame):
    written(tmp_path / "d", frame)
    assert not holds_images(tmp_path / "d")
    assert holds_parts(tmp_path / "d")
    (tmp_path / "i" / "cat").mkdir(parents=True)
    assert holds_images(tmp_path / "i")  # an empty folder is said to hold no image
    (tmp_path / "i" / "cat" / "1.png").touch()
    (tmp_path / "i" / "labels.csv").write_text("a,b\n1,2\n")
    assert holds_images(tmp_path / "i")


def test_hashes_see_any_change(tmp_path, frame):
    folder = written(tmp_path / "d", frame)
    before = ParquetParts(folder).hashes
    assert list(before) == ["0.parquet", "1.parquet", "2.parquet"]
    frame[:40].assign(x=1.0).to_parquet(folder / "0.parquet")
    after = ParquetParts(folder).hashes
    assert {name for name in before if before[name] != after[name]} == {"0.parquet"}
