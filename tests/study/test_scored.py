"""A file of scores from any model is read as what it says, or refused in one sentence."""

import numpy as np
import pandas as pd
import pytest

from metabalance.data.errors import DataError
from metabalance.study.scored import read_numbers, read_scored, scored_table


@pytest.fixture
def two() -> pd.DataFrame:
    return pd.DataFrame(
        {"y": ["no", "no", "no", "yes"], "probability_no": [0.9, 0.8, 0.7, 0.4], "probability_yes": [0.1, 0.2, 0.3, 0.6],
         "decision": ["no", "no", "yes", "yes"], "site": [1, 1, 2, 2], "w": [1, 1, 2, 0.5]}
    )  # fmt: skip


def test_what_predict_writes_needs_only_the_target(two):
    s = scored_table(two, target="y")
    assert (s.classes, s.positive, s.probabilities) == (("no", "yes"), 1, True)
    assert s.target.tolist() == [0, 0, 0, 1]
    assert s.scores.tolist() == [0.1, 0.2, 0.3, 0.6]
    assert s.decision.tolist() == [0, 0, 1, 1]
    assert s.matrix().sum(axis=1).tolist() == [1, 1, 1, 1]
    assert s.counts.tolist() == [3, 1]


def test_another_positive_class_becomes_the_second(two):
    s = scored_table(two, target="y", positive="no", weight="w", groups="site")
    assert s.classes == ("yes", "no")
    assert s.target.tolist() == [1, 1, 1, 0]
    assert s.scores.tolist() == [0.9, 0.8, 0.7, 0.4]
    assert s.decision.tolist() == [1, 1, 0, 0]
    assert s.weight.tolist() == [1, 1, 2, 0.5]
    assert s.groups.tolist() == ["1", "1", "2", "2"]


def test_a_single_column_is_of_the_rarest_class_and_may_be_of_any_unit():
    s = scored_table(pd.DataFrame({"t": [1, 1, 1, 0], "margin": [-3.0, 2, 1, 9]}), target="t", score="margin")
    assert s.classes == ("1", "0")
    assert not s.probabilities
    with pytest.raises(DataError, match="no probabilities"):
        s.matrix()


def test_a_column_named_after_a_class_is_of_that_class(two):
    s = scored_table(two, target="y", score="probability_no")
    assert s.classes[s.positive] == "no"
    with pytest.raises(DataError, match="the scores are of 'no'"):
        scored_table(two, target="y", score="probability_no", positive="yes")


def test_numbers_as_classes_stand_in_the_order_of_numbers():
    frame = pd.DataFrame(
        {"y": [2.0, 10.0, 1.0], "p10": [0.2, 0.5, 0.1], "p1": [0.3, 0.25, 0.8], "p2": [0.5, 0.25, 0.1]}
    )
    s = scored_table(frame, target="y", score="p")
    assert s.classes == ("1", "2", "10")
    assert s.target.tolist() == [1, 2, 0]
    assert s.scores[1].tolist() == [0.25, 0.25, 0.5]
    assert s.probabilities


def test_a_class_may_be_absent_from_the_file(two):
    s = scored_table(two[:3], target="y")
    assert s.counts.tolist() == [3, 0]
    assert s.classes[s.positive] == "yes"


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"y": ["no", "no", None, "yes"]}, {}, "missing in 1 of 4"),
        ({"y": ["no", "no", "maybe", "yes"]}, {}, "'maybe'"),
        ({"probability_yes": [0.1, np.nan, 0.3, 0.6]}, {}, "row 2"),
        ({"decision": ["no", "no", "eh", "yes"]}, {}, "'eh'"),
        ({"w": [-1, 1, 1, 1]}, {"weight": "w"}, "must not be negative"),
        ({}, {"score": "nothing"}, "no column 'nothing'"),
        ({}, {"positive": "perhaps"}, "'perhaps' is not a class"),
        ({}, {"groups": "sitee"}, "sitee"),
        ({"y": ["a", "b", "c", "a"]}, {"score": "w"}, "3 classes"),
        ({"y": np.linspace(0.1, 1, 4)}, {"score": "w"}, "4 classes"),
    ],
)
def test_bad_files_are_one_sentence(two, change, columns, message):
    with pytest.raises(DataError, match=message):
        scored_table(two.assign(**change), target="y", **columns)


def test_files_are_read_and_empty_ones_refused(two, tmp_path):
    two.to_csv(tmp_path / "scored.csv", index=False)
    assert read_scored(tmp_path / "scored.csv", target="y").name == "scored.csv"
    with pytest.raises(DataError, match="no rows"):
        scored_table(two[:0], target="y")
    with pytest.raises(DataError, match="metabalance predict"):
        scored_table(two[["y", "site"]], target="y")


def test_a_column_of_numbers_is_finite():
    assert read_numbers(pd.DataFrame({"a": ["1", "2.5"]}), "a").tolist() == [1, 2.5]
    with pytest.raises(DataError, match="row 2"):
        read_numbers(pd.DataFrame({"a": [1, np.inf]}), "a")


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_rows_without_a_group_are_a_group(two, dtype):
    sites = pd.Series(["a", None, "a", None], dtype=dtype)
    assert (
        scored_table(two.assign(site=sites), target="y", groups="site").groups.tolist()
        == ["a", "(missing)"] * 2
    )
