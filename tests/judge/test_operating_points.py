"""Operating points equal scikit-learn's curves and naive searches; what cannot be reached is NaN and says so."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance import judge
from metabalance.judge import get_metric, undefined_reason

EXACT = {"rel": 1e-9, "abs": 1e-9}


def data(seed, n=200, ties=True):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)
    y[:2] = 0, 1
    s = rng.normal(y * 1.2)
    return (s.round(1) if ties else s), y, rng.integers(0, 4, n) * 0.7 + (np.arange(n) < 2)


def points(s, y, w):
    """Every threshold's recall, precision and false-alarm rate, in loops; calling nothing is not among them."""
    for t in np.unique(s):
        called = s >= t
        hit = (w * y * called).sum()
        if (w * called).sum() > 0:
            yield (
                hit / (w * y).sum(),
                hit / (w * called).sum(),
                (w * (1 - y) * called).sum() / (w * (1 - y)).sum(),
            )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [0.3, 0.5, 0.8, 1.0])
def test_points_equal_a_search_over_all_thresholds(seed, level):
    s, y, w = data(seed)
    every = list(points(s, y, w))
    reached = [r for r, p, _ in every if p >= level - 1e-12]
    found = judge.recall_at_precision(s, y, w, precision=level)
    assert found == pytest.approx(max(reached), **EXACT) if reached else np.isnan(found)
    best = max(p for r, p, _ in every if r >= level - 1e-12)
    assert judge.precision_at_recall(s, y, w, recall=level) == pytest.approx(best, **EXACT)
    at_most = max([r for r, _, f in every if f <= level + 1e-12], default=0)
    assert judge.recall_at_fpr(s, y, w, fpr=level) == pytest.approx(at_most, **EXACT)


@pytest.mark.parametrize("weighted", [False, True])
def test_points_equal_scikit_learns_curves(weighted):
    s, y, w = data(9)
    w = w if weighted else None
    precision, recall, _ = sk.precision_recall_curve(y, s, sample_weight=w)
    fpr, tpr, _ = sk.roc_curve(y, s, sample_weight=w)
    assert judge.recall_at_precision(s, y, w, precision=0.5) == pytest.approx(
        recall[precision >= 0.5].max(), **EXACT
    )
    assert judge.precision_at_recall(s, y, w, recall=0.5) == pytest.approx(
        precision[recall >= 0.5].max(), **EXACT
    )
    assert judge.recall_at_fpr(s, y, w, fpr=0.1) == pytest.approx(tpr[fpr <= 0.1].max(), **EXACT)


def test_what_no_threshold_reaches_is_nan_and_tells_the_best():
    s, y = [0.9, 0.8, 0.7], [0, 1, 0]
    assert np.isnan(judge.recall_at_precision(s, y, precision=0.6))
    assert undefined_reason("recall@precision>=0.6", s, y) == (
        "no threshold reaches a precision of 0.6; the best is 0.5"
    )
    assert judge.recall_at_fpr(s, y, fpr=0.1) == 0  # calling nobody is allowed, and finds nobody


def test_budgets_in_rows_and_in_shares_agree():
    s, y, _ = data(1)
    for k, share in ((20, 0.1), (200, 1.0)):
        assert judge.precision_at_k(s, y, k=k) == pytest.approx(judge.precision_at_k(s, y, share=share))
        assert judge.recall_at_k(s, y, k=k) == pytest.approx(judge.recall_at_k(s, y, share=share))
        assert judge.precision_at_k(s, y, k=k) * k == pytest.approx(judge.recall_at_k(s, y, k=k) * y.sum())
    assert judge.lift(s, y, share=1) == pytest.approx(1)
    assert judge.lift(s, y, share=0.1) == pytest.approx(judge.precision_at_k(s, y, k=20) / y.mean())


def test_a_useless_ranking_has_lift_one_and_a_perfect_one_the_most_there_can_be():
    y = np.array([1] * 5 + [0] * 95)
    assert judge.lift(np.zeros(100), y, share=0.02) == pytest.approx(1)
    assert judge.lift(y, y, share=0.02) == pytest.approx(20)
    assert judge.lift(y, y, share=0.5) == pytest.approx(2)


@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("precision@30", judge.precision_at_k, {"k": 30}),
        ("Precision@10%", judge.precision_at_k, {"share": 0.1}),
        ("precision@0.1", judge.precision_at_k, {"share": 0.1}),
        ("recall@30", judge.recall_at_k, {"k": 30}),
        ("lift@5%", judge.lift, {"share": 0.05}),
        ("lift@5e-2", judge.lift, {"share": 0.05}),
        ("recall@precision>=0.4", judge.recall_at_precision, {"precision": 0.4}),
        ("recall@precision = 40%", judge.recall_at_precision, {"precision": 0.4}),
        ("precision@recall=0.7", judge.precision_at_recall, {"recall": 0.7}),
        ("recall@fpr<=0.05", judge.recall_at_fpr, {"fpr": 0.05}),
        ("partial-auc@fpr<=0.2", judge.partial_auc, {"max_fpr": 0.2}),
    ],
)
def test_names_with_numbers(name, function, options):
    s, y, w = data(2)
    metric = get_metric(name)
    assert metric(s, y, w) == function(s, y, w, **options)
    again = get_metric(metric.name)  # a stored name finds the same metric
    assert (again, again.options) == (metric, metric.options)
    assert metric.greater_is_better
    assert any(digit in metric.title for digit in "0123456789")


def test_one_percent_and_one_row_are_told_apart():
    assert get_metric("precision@1").options == {"k": 1}
    assert get_metric("precision@1%").options == {"share": 0.01}
    assert get_metric("precision@1%").title == "Precision at 1 %"
    assert get_metric("precision@1.0").options == {"share": 1.0}


@pytest.mark.parametrize(
    "name",
    [
        "precision@", "precision@0", "recall@precision", "recall@precision<=0.9", "recall@fpr>=0.1", "lift@2",
        "lift@200%", "recall@precision>=1.5", "precision@1.2.3", "f1@3", "net_benefit@1", "top_k@0.5", "@", "x_macro",
        "kappa_macro", "recall@recall>=0.3",
    ],
)  # fmt: skip
def test_forms_that_mean_nothing_are_unknown(name):
    with pytest.raises(ValueError, match="is unknown"):
        get_metric(name)


@given(st.text(alphabet="precisonal@<>=.%0123456789e-_ ", max_size=16))
@settings(max_examples=300, deadline=None)
def test_any_name_is_a_metric_or_a_sentence(name):
    try:
        metric = get_metric(name)
    except ValueError as error:
        said = str(error)
    else:
        assert get_metric(metric.name) == metric
        return
    assert "is unknown" in said or "cost matrix" in said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s, y: judge.recall_at_precision(s, y, precision=0), "above 0"),
        (lambda s, y: judge.precision_at_recall(s, y, recall=1.1), "at most 1"),
        (lambda s, y: judge.recall_at_fpr(s, y, fpr=-0.1), "between 0 and 1"),
        (lambda s, y: judge.lift(s, y, share=0), "above 0"),
        (lambda s, y: judge.precision_at_k(s, y, k=0), "k must be above 0"),
        (lambda s, y: judge.recall_at_k(np.zeros((len(y), 3)), y), "two classes"),
    ],
)
def test_settings_out_of_range_are_refused(call, said):
    s, y, _ = data(0)
    with pytest.raises(ValueError, match=said):
        call(s, y)
