"""Metrics equal scikit-learn and imbalanced-learn where defined, and are NaN with a reason elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score, specificity_score

from metabalance import judge
from metabalance.judge import METRICS, Metric, get_metric, undefined_reason

EXACT = {"rel": 1e-9, "abs": 1e-9}
SCORE = [m.name for m in METRICS.values() if m.kind == "score"]
DECISION = [m.name for m in METRICS.values() if m.kind == "decision"]
BUDGETS = {"precision_at_k", "recall_at_k"}  # of 100 rows: more than these tests have
NOT_REACHED = {"recall_at_precision"}  # NaN where no threshold is so precise


def within_reach(name, k=7):
    """The metric, asking for no more than these small tables hold."""
    if name in BUDGETS:
        return get_metric(name.replace("_at_k", f"@{k}"))
    return get_metric("recall@precision>=0.5") if name in NOT_REACHED else METRICS[name]


def binary_data(seed, n=60, ties=True):
    """Scores with many ties, targets of both classes, weights of which some are 0."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    y[:2] = 0, 1
    p = np.clip(rng.normal(0.3 + 0.3 * y, 0.3), 0.01, 0.99)
    w = rng.integers(0, 4, n) * rng.random(n)
    w[:2] = 1
    return (p.round(1) if ties else p), y, w


def many_data(seed, n=80, classes=4):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    z = rng.normal(size=(n, classes)).round(1)
    z[np.arange(n), y] += 1
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p, y, rng.random(n) + 0.1


BINARY_TWINS = {
    "roc_auc": lambda p, y, w: sk.roc_auc_score(y, p, sample_weight=w),
    "roc_auc_ovo": lambda p, y, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda p, y, w: sk.average_precision_score(y, p, sample_weight=w),
    "brier": lambda p, y, w: sk.brier_score_loss(y, p, sample_weight=w),
    "log_loss": lambda p, y, w: sk.log_loss(y, p, sample_weight=w),
    "accuracy": lambda p, y, w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
    "balanced_accuracy": lambda p, y, w: sk.balanced_accuracy_score(y, p > 0.5, sample_weight=w),
    "precision": lambda p, y, w: sk.precision_score(y, p > 0.5, sample_weight=w),
    "recall": lambda p, y, w: sk.recall_score(y, p > 0.5, sample_weight=w),
    "specificity": lambda p, y, w: sk.recall_score(y, p > 0.5, sample_weight=w, pos_label=0),
    "f1": lambda p, y, w: sk.f1_score(y, p > 0.5, sample_weight=w),
    "f2": lambda p, y, w: sk.fbeta_score(y, p > 0.5, beta=2, sample_weight=w),
    "g_mean": lambda p, y, w: geometric_mean_score(y, (p > 0.5).astype(int), sample_weight=w),
    "mcc": lambda p, y, w: sk.matthews_corrcoef(y, p > 0.5, sample_weight=w),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", BINARY_TWINS)
def test_two_classes_equal_scikit_learn(name, seed):
    p, y, w = binary_data(seed)
    for weight in (None, w):
        assert get_metric(name)(p, y, weight) == pytest.approx(BINARY_TWINS[name](p, y, weight), **EXACT)


MANY_TWINS = {
    "roc_auc": lambda p, y, w: sk.roc_auc_score(y, p, sample_weight=w, multi_class="ovr"),
    "average_precision": lambda p, y, w: sk.average_precision_score(np.eye(4)[y], p, sample_weight=w),
    "brier": lambda p, y, w: sk.brier_score_loss(y, p, sample_weight=w),
    "log_loss": lambda p, y, w: sk.log_loss(y, p, sample_weight=w),
    "accuracy": lambda p, y, w: sk.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda p, y, w: sk.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
    "precision": lambda p, y, w: sk.precision_score(y, p.argmax(1), sample_weight=w, average="macro"),
    "recall": lambda p, y, w: sk.recall_score(y, p.argmax(1), sample_weight=w, average="macro"),
    # The recall of "any other class", class by class; imbalanced-learn ignores the weights in one term.
    "specificity": lambda p, y, w: np.mean(
        [sk.recall_score(y != c, p.argmax(1) != c, sample_weight=w) for c in range(4)]
    ),
    "f1": lambda p, y, w: sk.f1_score(y, p.argmax(1), sample_weight=w, average="macro"),
    "f2": lambda p, y, w: sk.fbeta_score(y, p.argmax(1), beta=2, sample_weight=w, average="macro"),
    "g_mean": lambda p, y, w: geometric_mean_score(y, p.argmax(1), sample_weight=w),
    "mcc": lambda p, y, w: sk.matthews_corrcoef(y, p.argmax(1), sample_weight=w),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MANY_TWINS)
def test_many_classes_equal_scikit_learn(name, seed):
    p, y, w = many_data(seed)
    for weight in (None, w):
        assert get_metric(name)(p, y, weight) == pytest.approx(MANY_TWINS[name](p, y, weight), **EXACT)


def test_specificity_equals_imbalanced_learn_without_weights():
    p, y, _ = many_data(0)
    twin = specificity_score(y, p.argmax(1), average="macro")
    assert judge.specificity(p, y) == pytest.approx(twin, **EXACT)


def test_one_versus_one_equals_scikit_learn():
    p, y, _ = many_data(0)
    twin = sk.roc_auc_score(y, p, multi_class="ovo")  # it takes no weights
    assert judge.roc_auc_ovo(p, y) == pytest.approx(twin, **EXACT)


def test_one_versus_one_ignores_class_shares():
    p, y, _ = many_data(1)
    assert judge.roc_auc_ovo(p, y, np.array([1.0, 5.0, 0.2, 3.0])[y]) == pytest.approx(
        judge.roc_auc_ovo(p, y)
    )


def test_confusion_equals_scikit_learn():
    p, y, w = many_data(2)
    twin = sk.confusion_matrix(y, p.argmax(1), sample_weight=w)
    np.testing.assert_allclose(judge.confusion(p, y, w), twin, rtol=1e-12)
    np.testing.assert_array_equal(judge.confusion([0], [0], num_classes=3), np.diag([1.0, 0, 0]))


@pytest.mark.parametrize("name", METRICS)
def test_weights_are_repeated_rows_and_zero_weights_absent_ones(name):
    metric = within_reach(name)
    p, y, _ = binary_data(3)
    w = np.random.default_rng(0).integers(0, 3, len(y))
    repeated = metric(np.repeat(p, w), np.repeat(y, w))
    assert metric(p, y, w) == pytest.approx(repeated, **EXACT)
    assert metric(p, y, 3.0 * w) == pytest.approx(repeated) or name in BUDGETS


@pytest.mark.parametrize("name", METRICS)
def test_two_columns_are_their_second_one(name):
    metric = within_reach(name)
    p, y, w = binary_data(4, ties=False)
    assert metric(np.stack([1 - p, p], 1), y, w) == pytest.approx(metric(p, y, w), **EXACT)


@pytest.mark.parametrize("name", DECISION)
def test_probabilities_become_labels(name):
    p, y, w = many_data(5)
    assert METRICS[name](p, y, w) == METRICS[name](p.argmax(1), y, w)


@pytest.mark.parametrize("name", sorted(set(METRICS) - BUDGETS - NOT_REACHED))
def test_torch_tensors_are_taken(name):
    p, y, w = binary_data(6)
    tensors = torch.tensor(p), torch.tensor(y), torch.tensor(w)
    assert METRICS[name](*tensors) == METRICS[name](p, y, w)


def test_auc_counts_pairs():
    p, y, w = binary_data(7)
    won = total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            won += w[i] * w[j] * ((p[i] > p[j]) + 0.5 * (p[i] == p[j]))
            total += w[i] * w[j]
    assert judge.roc_auc(p, y, w) == pytest.approx(won / total, **EXACT)


def test_a_useless_ranking_has_the_share_of_positives_as_average_precision():
    assert judge.average_precision(np.full(50, 0.3), [1] * 4 + [0] * 46) == pytest.approx(4 / 50)


def test_precision_at_k_averages_over_random_orders_of_ties():
    p, y, _ = binary_data(8)
    rng, k = np.random.default_rng(0), 9
    drawn = [y[np.lexsort((rng.random(len(y)), -p))[:k]].mean() for _ in range(4000)]
    assert judge.precision_at_k(p, y, k=k) == pytest.approx(np.mean(drawn), abs=0.01)
    assert judge.precision_at_k([0.9, 0.8, 0.1], [0, 1, 1], k=1) == 0
    assert judge.precision_at_k([0.9, 0.8, 0.1], [0, 1, 0], k=2) == 0.5  # a single positive is enough
    for weight in (None, [1, 0.5, 1]):
        assert (
            undefined_reason("precision@1", [0.9, 0.8, 0.1], [0, 0, 0], weight)
            == "the positive class has no rows"
        )


def naive_ece(stated, hit, weight, bins):
    """Guo et al.'s sum over bins (low, high], in loops."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        rows = (stated > low) & (stated <= high) | ((b == 0) & (stated == 0))
        if weight[rows].sum() > 0:
            gap = np.average(stated[rows], weights=weight[rows]) - np.average(hit[rows], weights=weight[rows])
            total += weight[rows].sum() * abs(gap)
    return total / weight.sum()


def test_calibration_error_equals_the_papers_loops():
    p, y, w = binary_data(9, ties=False)
    assert judge.ece(p, y, w, n_bins=10) == pytest.approx(naive_ece(p, y, w, 10), **EXACT)
    q, t, v = many_data(9)
    top = naive_ece(q.max(1), (q.argmax(1) == t).astype(float), v, 15)
    assert judge.ece(q, t, v) == pytest.approx(top, **EXACT)


def test_equal_mass_bins_hold_equally_many_rows_and_keep_ties_together():
    p = np.linspace(0.0001, 0.01, 100)  # all in one bin of equal width
    y = (np.arange(100) >= 50).astype(int)
    halves = abs(p[:50].mean() - 0) / 2 + abs(p[50:].mean() - 1) / 2
    assert judge.ece(p, y, n_bins=2, equal_mass=True) == pytest.approx(halves)
    assert judge.ece(p, y, n_bins=2) == pytest.approx(0.5 - p.mean())
    assert judge.ece(np.full(10, 0.5), [0, 1] * 5, n_bins=5, equal_mass=True) == 0


def test_expected_cost_prices_each_cell_and_decides_probabilities_by_it():
    cost = np.array([[0, 1, 2], [10, 0, 3], [50, 4, -1]])
    p, y, w = many_data(10, classes=3)
    label = p.argmax(1)
    paid = np.average(cost[y, label], weights=w)
    assert judge.expected_cost(label, y, w, cost=cost) == pytest.approx(paid)
    best = [min(range(3), key=lambda k: sum(row[c] * cost[c, k] for c in range(3))) for row in p]
    assert judge.expected_cost(p, y, w, cost=cost) == pytest.approx(np.average(cost[y, best], weights=w))
    assert judge.expected_cost([0.1], [1], cost=[[0, 1], [50, 0]]) == 0  # 0.1 * 50 > 0.9 * 1
    assert get_metric("expected_cost", cost=cost)(label, y, w) == pytest.approx(paid)
    with pytest.raises(ValueError, match="2 classes, but the scores have 3"):
        judge.expected_cost(p, y, cost=[[0, 1], [1, 0]])


def test_accuracy_is_the_expected_cost_of_equal_mistakes():
    p, y, w = many_data(11)
    assert judge.accuracy(p, y, w) == pytest.approx(1 - judge.expected_cost(p, y, w, cost=1 - np.eye(4)))


# ---------------------------------------------------------------------------------------- undefined

ONE_CLASS = sorted(
    set(METRICS) - {"log_loss", "brier", "ece", "ece_equal_mass", "ece_kernel", "accuracy", "specificity"}
)


@pytest.mark.parametrize("name", ONE_CLASS)
@pytest.mark.parametrize("p", [np.full(4, 0.2), np.array([0.1, 0.6, 0.7, 0.9])], ids=["constant", "varied"])
def test_one_class_is_nan_with_a_reason(name, p):
    metric = within_reach(name, k=2)
    assert np.isnan(metric(p, np.zeros(4, int)))
    assert undefined_reason(metric, p, np.zeros(4, int))


@pytest.mark.parametrize("name", METRICS)
def test_no_rows_and_no_weight_are_nan_with_a_reason(name):
    for weight, reason in (([0.0, 0.0], "weight|0 rows"), (None, "no rows|0 rows")):
        p, y = ([0.2, 0.7], [0, 1]) if weight else (np.zeros(0), np.zeros(0, int))
        assert np.isnan(METRICS[name](p, y, weight))
        assert any(r in str(undefined_reason(name, p, y, weight)) for r in reason.split("|"))


@pytest.mark.parametrize("name", [n for n in MANY_TWINS if n not in ("brier", "log_loss", "accuracy", "mcc")])
def test_an_absent_class_makes_the_macro_mean_nan(name):
    p, y, _ = many_data(12)
    rows = y != 2
    value = METRICS[name](p[rows], y[rows])
    if name == "specificity":  # it needs the *other* classes' rows
        assert np.isfinite(value)
    else:
        assert np.isnan(value)
        assert "class 2" in str(undefined_reason(name, p[rows], y[rows]))


def test_absent_classes_need_the_number_of_classes_when_labels_are_given():
    assert judge.recall([0, 1], [0, 1], num_classes=2) == 1
    assert np.isnan(judge.recall([0, 1], [0, 1], num_classes=3))
    np.testing.assert_array_equal(
        judge.recall_per_class([0, 1, 0], [0, 1, 1], num_classes=3), [1, 0.5, np.nan]
    )


def test_a_defined_metric_has_no_reason():
    p, y, w = binary_data(0)
    for name in sorted(set(METRICS) - BUDGETS - NOT_REACHED):
        assert undefined_reason(name, p, y, w) is None


def test_precision_without_alarms_is_nan_but_f1_is_zero():
    assert np.isnan(judge.precision([0, 0], [0, 1]))
    assert undefined_reason("precision", [0, 0], [0, 1]) == "the positive class is never predicted"
    assert judge.f_beta([0, 0], [0, 1]) == 0
    assert judge.mcc([0, 0], [0, 1]) == 0


def test_the_budget_must_fit_the_rows():
    assert undefined_reason("precision@5", [0.1, 0.2], [0, 1]) == "2 rows are fewer than k=5"


# ------------------------------------------------------------------------------------------ registry


def test_names_titles_and_directions():
    assert all(isinstance(m, Metric) and m.name == name and m.title for name, m in METRICS.items())
    assert {n for n, m in METRICS.items() if not m.greater_is_better} == {
        "log_loss",
        "brier",
        "ece",
        "ece_equal_mass",
        "ece_kernel",
        "ece_classwise",
    }
    assert get_metric("ROC-AUC") is METRICS["roc_auc"]
    assert get_metric("auprc") is METRICS["average_precision"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("roc_auk", "did you mean 'roc_auc'"),
        ("f1_score", "'f1"),
        ("zzz", "use one of"),
        ("precision@0", "unknown"),
    ],
)
def test_unknown_names_get_a_hint(name, hint):
    with pytest.raises(ValueError, match=hint):
        get_metric(name)


def test_expected_cost_asks_for_its_matrix():
    with pytest.raises(ValueError, match="needs a cost matrix"):
        get_metric("expected_cost")


def test_judging_does_not_load_torch():
    code = "import sys, metabalance.judge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ----------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("scores", "target", "weight", "said"),
    [
        ([0.1, np.nan], [0, 1], None, "1 scores are NaN"),
        ([0.1, 0.2], [0, 1, 1], None, r"shapes \(2,\) and \(3,\)"),
        ([0.1, 0.2], [0, 2], None, "class|indices"),
        ([0.1, 0.2], [0, -1], None, "from 0"),
        ([0.1, 0.2], [0, 0.5], None, "encode the labels"),
        ([0.1, 0.2], ["a", "b"], None, "encode the labels"),
        ([0.1, 0.2], [0, 1], [1, -1], "not negative"),
        ([0.1, 0.2], [0, 1], [1], r"must be \(2,\)"),
        ([[0.1], [0.2]], [0, 1], None, "C at least 2"),
    ],
)
@pytest.mark.parametrize("name", METRICS)
def test_unsound_data_are_refused(name, scores, target, weight, said):
    with pytest.raises(ValueError, match=said):
        METRICS[name](scores, target, weight)


@pytest.mark.parametrize("name", ["brier", "log_loss", "ece", "f1"])
def test_logits_are_no_probabilities(name):
    with pytest.raises(ValueError, match="probabilities"):
        METRICS[name]([-3.0, 2.0], [0, 1])


def test_float32_softmax_is_taken():
    z = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 2
    y = np.arange(200) % 5
    exact = torch.nn.functional.cross_entropy(z.double(), torch.tensor(y))
    assert judge.log_loss(torch.softmax(z, 1), y) == pytest.approx(float(exact), rel=1e-5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 1), st.sampled_from([0.0, 1.0, 2.5])
        ),
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_small_data_give_a_value_in_range_or_nan_with_a_reason(rows):
    p, y, w = (np.array([r[i] for r in rows]) for i in range(3))
    y = y.astype(int)
    for name, metric in METRICS.items():
        value, reason = metric(p, y, w), undefined_reason(name, p, y, w)
        assert np.isnan(value) == (reason is not None)
        if reason is None:
            # 37 nats is the price of a sure mistake in float64; the lift is at most 1 / share.
            low, high = {
                "log_loss": (0, 37), "mcc": (-1, 1), "kappa": (-1, 1), "lift": (0, 100), "iba": (0, 1.01),
                "brier_skill": (-np.inf, 1),
            }.get(name, (0, 1))  # fmt: skip
            assert low - 1e-9 <= value <= high + 1e-9
