"""Objectives as text: what is read, what is refused, and that text and object say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.adjust import Objective, parse_objective


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recall@precision>=0.9", Objective("recall", metric="precision", bound=0.9)),
        ("precision >= 90%", Objective("recall", metric="precision", bound=0.9)),
        ("precision@recall>=0.8", Objective("precision", metric="recall", bound=0.8)),
        ("recall>=0.95", Objective("specificity", metric="recall", bound=0.95)),
        ("fpr<=0.001", Objective("recall", metric="fpr", bound=0.001)),
        ("specificity>=0.999", Objective("recall", metric="specificity", bound=0.999)),
        ("alerts<=100", Objective("recall", metric="alerts", bound=100)),
        ("alerts<=1%", Objective("recall", metric="alert_rate", bound=0.01)),
        ("cost@recall>=0.5", Objective("cost", metric="recall", bound=0.5)),
        ("f0.5@alert_rate<=0.1", Objective("f_beta", 0.5, "alert_rate", 0.1)),
        ("F1", Objective("f1")),
        ("f2", Objective("f_beta", 2.0)),
        ("g_mean", Objective("g_mean")),
    ],
)
def test_text_is_read_and_written_again(text, expected):
    found = parse_objective(text)
    # An unlimited objective has a NaN bound, which equals nothing.
    assert (found.goal, found.beta, found.metric) == (expected.goal, expected.beta, expected.metric)
    assert found.bound == expected.bound or found.metric is None
    again = parse_objective(str(found))
    assert str(again) == str(found)
    assert (again.goal, again.beta, again.metric) == (found.goal, found.beta, found.metric)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("accuracy", "unknown"),
        ("recall", "unknown"),
        ("recall@f1", "no limit"),
        ("precision<=0.9", "limited by >="),
        ("fpr>=0.1", "limited by <="),
        ("recall@accuracy>=0.9", "can be limited"),
        ("precision>=1.5", "between 0 and 1"),
        ("precision>=x", "between 0 and 1"),
        ("alerts<=-1", "at least 0"),
        ("alerts<=200%", "at least 0|between"),
        ("f0", "unknown"),
        ("fnan", "unknown"),
        ("f_beta", "unknown"),
        ("lift@precision>=0.9", "unknown"),
    ],
)
def test_other_text_is_refused_with_a_cure(text, message):
    with pytest.raises(ValueError, match=message):
        parse_objective(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_objective(text)
    except ValueError:
        return
    assert parse_objective(str(found)).goal == found.goal
