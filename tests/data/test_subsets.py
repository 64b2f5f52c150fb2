"""Stored subsets: the same rows again, or a refusal that says what is different."""

import json

import numpy as np
import pytest

from metabalance.data.errors import DataError
from metabalance.data.imbalance import long_tail
from metabalance.data.subsets import load_subset, save_subset

TARGET = np.repeat([0, 1, 2], 50)
ROWS = np.arange(150, dtype=np.uint64) * 7


@pytest.fixture
def stored(tmp_path):
    index = long_tail(TARGET, ratio=10)
    save_subset(tmp_path / "tail.json", index, TARGET, rows=ROWS, made={"profile": "long_tail", "ratio": 10})
    return tmp_path / "tail.json", index


def test_round_trip_and_what_the_file_tells(stored):
    path, index = stored
    np.testing.assert_array_equal(load_subset(path, TARGET, rows=ROWS), index)
    np.testing.assert_array_equal(load_subset(path, TARGET.astype(np.int32)), index)
    told = json.loads(path.read_text())
    assert told["counts"] == {"0": 50, "1": 15, "2": 5}
    assert told["made"] == {"profile": "long_tail", "ratio": 10}
    assert (told["rows"], told["rows_of_data"]) == (70, 150)
    assert [p.name for p in path.parent.iterdir()] == ["tail.json"]


def test_other_data_are_refused(stored):
    path, _ = stored
    with pytest.raises(DataError, match="150 rows, but there are 149"):
        load_subset(path, TARGET[:-1])
    for changed in (TARGET[::-1], np.where(np.arange(150) == 149, 0, TARGET)):
        with pytest.raises(DataError, match="other labels"):
            load_subset(path, changed)
    with pytest.raises(DataError, match="other values"):
        load_subset(path, TARGET, rows=ROWS + np.uint64(1))


def test_a_changed_or_foreign_file_is_refused(stored, tmp_path):
    path, index = stored
    document = json.loads(path.read_text())
    for change, said in (
        ({"index": [*index[:-1].tolist(), 0]}, "changed after it was written"),
        ({"version": 99}, "newer"),
        ({"format": "other"}, "no stored subset"),
        ({"index": ["a"]}, "no stored subset"),
    ):
        path.write_text(json.dumps(document | change))
        with pytest.raises(DataError, match=said):
            load_subset(path, TARGET)
    for text in ("", "[]", "{", "\x00\xff"):
        path.write_text(text)
        with pytest.raises(DataError, match="no stored subset"):
            load_subset(path, TARGET)
    with pytest.raises(DataError, match="cannot be read"):
        load_subset(tmp_path / "missing.json", TARGET)


def test_text_labels_and_order_of_the_index(tmp_path):
    labels = np.array(["ä", "b", "b"])
    save_subset(tmp_path / "a.json", [2, 0], labels, made="by hand")
    assert load_subset(tmp_path / "a.json", labels).tolist() == [2, 0]


@pytest.mark.parametrize("index", [[], [0, 0], [-1], [150], [0.5], [[1, 2]]])
def test_impossible_rows(index, tmp_path):
    with pytest.raises(ValueError, match="index must"):
        save_subset(tmp_path / "a.json", index, TARGET)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        save_subset(tmp_path / "nowhere" / "a.json", [0], TARGET)
