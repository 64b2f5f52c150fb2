"""What a user gives is checked before any work, in one sentence."""

import json
from types import SimpleNamespace

import pytest

from metabalance.adjust import Decision
from metabalance.data.errors import DataError
from metabalance.study.given import (
    as_data_errors,
    check_goal,
    check_task,
    cost_matrix,
    known_metric,
    known_objective,
    names_of,
    rule_of,
)

TWO = SimpleNamespace(classes=("no", "yes"), positive=1)
THREE = SimpleNamespace(classes=("a", "b", "c"), positive=2)


def test_costs_from_text_or_a_file(tmp_path):
    assert cost_matrix(None, TWO) is None
    assert cost_matrix("fn=50,fp=1", TWO) == ((0, 1), (50, 0))
    (tmp_path / "c.json").write_text(json.dumps([[0, 1, 1], [2, 0, 1], [9, 9, 0]]))
    assert cost_matrix(str(tmp_path / "c.json"), THREE)[2] == (9, 9, 0)
    with pytest.raises(DataError, match="for two classes, but there are 3"):
        cost_matrix("fn=50,fp=1", THREE)
    with pytest.raises(DataError, match="is a folder"):
        cost_matrix(str(tmp_path), TWO)


def test_names_may_hold_commas():
    assert names_of('a, "b, c",d,,') == ("a", "b, c", "d")
    assert names_of(None) == ()


def test_metrics_and_objectives_have_one_spelling():
    assert known_metric("AUC") == "roc_auc"
    with pytest.raises(DataError, match="unknown"):
        known_metric("accuracyy")
    assert known_objective("cost", 2, ((0, 1), (5, 0))) == "cost"
    with pytest.raises(DataError, match="--cost"):
        known_objective("cost", 2, None)


def test_a_goal_is_refused_before_any_work(tmp_path):
    check_goal(tmp_path / "new" / "deep", overwrite=False)
    (tmp_path / "file").write_text("")
    check_goal(tmp_path / "file", overwrite=True)
    with pytest.raises(DataError, match="exists"):
        check_goal(tmp_path / "file", overwrite=False)
    with pytest.raises(DataError, match="is a file"):
        check_goal(tmp_path / "file" / "below", overwrite=False)


def test_errors_about_what_was_given_are_told_as_such():
    with pytest.raises(DataError, match=r"^so$"), as_data_errors():
        raise ValueError("so")
    with pytest.raises(DataError, match=r"^name$"), as_data_errors():
        raise KeyError("name")


def test_a_rule_in_words():
    model = SimpleNamespace(decision=Decision("f1", 0.8, threshold=0.25), classes=("no", "yes"))
    assert "yes from a probability of 0.25" in rule_of(model)


def test_a_task_there_is_not_is_refused():
    assert [check_task(task) for task in (None, "classification", "regression")] == [None] * 3
    with pytest.raises(DataError, match="'guess' is unknown; use classification or regression"):
        check_task("guess")
