"""What follows from labels: averages over classes, kappa, IBA, net benefit, shots; and labels of any kind."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.metrics import classification_report_imbalanced, geometric_mean_score, specificity_score

from metabalance import counts, judge
from metabalance.judge import Labels, encode_labels, get_metric, undefined_reason

EXACT = {"rel": 1e-9, "abs": 1e-9}


def data(seed, classes=2, n=120):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes) ** 2 // classes])
    label = np.where(rng.random(n) < 0.6, y, rng.integers(0, classes, n))
    return label, y, rng.random(n) + 0.1


# ------------------------------------------------------------------------------------------- averages


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
@pytest.mark.parametrize("weighted", [False, True])
def test_averages_equal_scikit_learn(classes, average, weighted):
    label, y, w = data(0, classes)
    w = w if weighted else None
    options = {"average": average, "sample_weight": w}
    assert judge.precision(label, y, w, average=average) == pytest.approx(
        sk.precision_score(y, label, **options)
    )
    assert judge.recall(label, y, w, average=average) == pytest.approx(sk.recall_score(y, label, **options))
    assert get_metric(f"f1_{average}")(label, y, w) == pytest.approx(
        sk.f1_score(y, label, **options), **EXACT
    )
    if not weighted:  # imbalanced-learn leaves the weights out of one term
        twin = specificity_score(y, label, average=average)
        assert judge.specificity(label, y, average=average) == pytest.approx(twin, **EXACT)


def test_micro_averages_are_the_accuracy():
    label, y, w = data(1, 4)
    for name in ("precision_micro", "recall_micro", "f1_micro", "f2_micro"):
        assert get_metric(name)(label, y, w) == pytest.approx(judge.accuracy(label, y, w), **EXACT)


def test_a_weighted_average_leaves_absent_classes_out():
    assert judge.recall([0, 1], [0, 1], num_classes=3, average="weighted") == 1
    assert np.isnan(judge.recall([0, 1], [0, 1], num_classes=3, average="macro"))
    assert undefined_reason("precision_weighted", [0, 0], [0, 1]) == "class 1 is never predicted"
    with pytest.raises(ValueError, match="average='binary' is unknown"):
        judge.recall([0, 1], [0, 1], average="binary")


def test_per_class_figures_equal_scikit_learn():
    label, y, w = data(2, 4)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(y, label, sample_weight=w)
    np.testing.assert_allclose(judge.precision_per_class(label, y, w), precision, rtol=1e-12)
    np.testing.assert_allclose(judge.recall_per_class(label, y, w), recall, rtol=1e-12)
    np.testing.assert_allclose(judge.f_beta_per_class(label, y, w), f1, rtol=1e-12)
    for per_class in (judge.precision_per_class, judge.f_beta_per_class):
        assert np.isnan(per_class([0, 2], [0, 1], num_classes=3)).tolist()[2]


# ------------------------------------------------------------------------------- kappa, IBA, G-mean


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_kappa_equals_scikit_learn(classes, weights):
    label, y, w = data(3, classes)
    for weight in (None, w):
        twin = sk.cohen_kappa_score(y, label, weights=weights, sample_weight=weight)
        assert judge.kappa(label, y, weight, weights=weights) == pytest.approx(twin, **EXACT)
    assert judge.kappa(np.zeros(4, int), [0, 0, 1, 1]) == 0
    with pytest.raises(ValueError, match="weights='cubic' is unknown"):
        judge.kappa(label, y, weights="cubic")


@pytest.mark.parametrize("classes", [2, 4])
def test_index_of_balanced_accuracy_equals_imbalanced_learn(classes):
    label, y, _ = data(4, classes)
    report = classification_report_imbalanced(y, label, output_dict=True, alpha=0.1)
    each = [report[str(c)]["iba"] for c in range(classes)]
    twin = each[1] if classes == 2 else np.mean(each)
    assert judge.index_balanced_accuracy(label, y) == pytest.approx(twin, **EXACT)
    if classes == 2:
        assert judge.index_balanced_accuracy(label, y, alpha=0) == pytest.approx(judge.g_mean(label, y) ** 2)
    with pytest.raises(ValueError, match="alpha must lie between"):
        judge.index_balanced_accuracy(label, y, alpha=2)


def test_g_means_correction_equals_imbalanced_learn():
    label, y, _ = data(5, 4)
    label = np.where(label == 2, 1, label)
    assert judge.g_mean(label, y) == 0
    twin = geometric_mean_score(y, label, correction=0.001)
    assert judge.g_mean(label, y, correction=0.001) == pytest.approx(twin, **EXACT)
    with pytest.raises(ValueError, match="correction must lie between"):
        judge.g_mean(label, y, correction=-1)


# ---------------------------------------------------------------------------------------- net benefit


def test_net_benefit_in_loops():
    rng = np.random.default_rng(0)
    p, y, w = rng.random(100).round(1), rng.integers(0, 2, 100), rng.random(100)
    curve = judge.net_benefit_curve(p, y, w, thresholds=[0.1, 0.3, 0.9])
    assert isinstance(curve, judge.NetBenefit)
    for t, model, everyone in zip(curve.thresholds, curve.model, curve.everyone):
        total = sum(w[i] * (1 if y[i] else -t / (1 - t)) for i in range(100) if p[i] >= t)
        assert model == pytest.approx(total / w.sum(), **EXACT)
        assert get_metric(f"net_benefit@{t:.1f}")(p, y, w) == pytest.approx(model, **EXACT)
        assert everyone == pytest.approx(np.average(np.where(y == 1, 1, -t / (1 - t)), weights=w), **EXACT)
    assert len(judge.net_benefit_curve(p, y).thresholds) == 99


def test_net_benefit_ends():
    y = np.array([1, 0, 0, 0])
    assert judge.net_benefit(y.astype(float), y, threshold=0.3) == 0.25  # perfect: the share of positives
    assert judge.net_benefit(np.zeros(4), y, threshold=0.3) == 0  # nobody
    assert judge.net_benefit(np.ones(4), y, threshold=0.25) == pytest.approx(0)  # everybody, at the share
    assert judge.net_benefit([0.3, 0.2], [0, 0], threshold=0.25) == pytest.approx(
        -1 / 6
    )  # defined without positives
    with pytest.raises(ValueError, match="thresholds must lie above 0"):
        judge.net_benefit([0.1], [1], threshold=1)
    with pytest.raises(ValueError, match="probabilities"):
        judge.net_benefit([-3.0, 2.0], [0, 1])


# ---------------------------------------------------------------------------------------------- shots


def test_shots_are_those_of_the_counts():
    train = [500, 101, 100, 50, 20, 19, 1]
    ours = judge.shots(train)
    for name, members in counts.shot_groups(train).items():
        assert np.flatnonzero(ours == name).tolist() == members.tolist()
    with pytest.raises(ValueError, match="train_counts"):
        judge.shots([-1, 2])


def test_shot_recall_is_the_mean_recall_of_a_group():
    label, y, w = data(6, 4)
    found = judge.shot_recall(label, y, [500, 300, 50, 5], w)
    recalls = judge.recall_per_class(label, y, w)
    assert found == pytest.approx(
        {"all": recalls.mean(), "many": recalls[:2].mean(), "medium": recalls[2], "few": recalls[3]}
    )
    assert np.isnan(judge.shot_recall(label, y, [500] * 4)["few"])  # no such class
    assert np.isnan(judge.shot_recall([0, 1], [0, 1], [500, 5, 5])["few"])  # class 2 is not in the test rows


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_equals_scikit_learn(k):
    rng = np.random.default_rng(k)
    s, y, w = rng.random((80, 4)), np.arange(80) % 4, rng.random(80)
    assert get_metric(f"top_k@{k}")(s, y, w) == pytest.approx(
        sk.top_k_accuracy_score(y, s, k=k, sample_weight=w), **EXACT
    )
    assert judge.top_k_accuracy(np.zeros((80, 4)), y, k=k) == pytest.approx(k / 4)  # ties by chance
    assert undefined_reason("top_k@4", s, y) == "with k=4 of 4 classes every row would be right"
    with pytest.raises(ValueError, match="k must be at least 1"):
        judge.top_k_accuracy(s, y, k=0)


# --------------------------------------------------------------------------------------------- labels


def test_the_rarest_class_is_positive_wherever_it_sorts():
    for names in (("fraud", "legal"), ("zero", "alarm"), (1, 0), (0, 1), (True, False), (2.5, -1.0)):
        rare, frequent = names
        labels = encode_labels([frequent, rare, frequent, frequent])
        assert isinstance(labels, Labels)
        assert (labels.classes, labels.positive) == ((frequent, rare), 1)
        assert labels.index.tolist() == [0, 1, 0, 0]
    assert encode_labels(["a", "b"]).classes == ("a", "b")  # equally rare: the last
    assert encode_labels(["a", "b", "b"], positive="b").index.tolist() == [0, 1, 1]


def test_a_models_columns_find_their_classes():
    p = np.array([[0.7, 0.3], [0.4, 0.6]])
    two = encode_labels(["legal", "legal"], classes=["legal", "fraud"])
    assert two.classes == ("legal", "fraud")
    np.testing.assert_array_equal(two.scores(p, ["fraud", "legal"]), p[:, 0])
    assert two.encode(["fraud", "legal"]).tolist() == [1, 0]
    three = encode_labels(["b", "c", "a", "a", "b"])
    assert (three.classes, three.positive) == (("a", "b", "c"), 2)
    np.testing.assert_array_equal(three.scores(np.array([[1, 2, 3]]), ["c", "a", "b"]), [[2, 3, 1]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: encode_labels(["a", "a"]), "name all with classes="),
        (lambda: encode_labels(["a", None]), "1 labels are missing"),
        (lambda: encode_labels([1.0, np.nan]), "1 labels are missing"),
        (lambda: encode_labels([["a"]]), "must be"),
        (lambda: encode_labels(["a", "b"], positive="c"), "positive='c' is no class"),
        (lambda: encode_labels(["a", "b"], classes=["a", "c"]), "'b' is no class"),
        (lambda: encode_labels(["a", "b"]).encode(["x"]), "'x' is no class"),
        (lambda: encode_labels(["a", "b"]).scores(np.zeros((1, 2)), ["a", "x"]), "one column for each"),
    ],
)
def test_unsound_labels_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@given(st.lists(st.one_of(st.integers(-2, 2), st.sampled_from(["a", "b", "1"])), min_size=2, max_size=8))
@settings(max_examples=150, deadline=None)
def test_encoding_can_be_undone(values):
    column = np.array(values, dtype=object)
    if len(set(values)) > 1:
        labels = encode_labels(column)
        assert [labels.classes[i] for i in labels.index] == values
        counts = np.bincount(labels.index)
        assert counts[labels.positive] == counts.min()


def test_an_average_over_classes_has_no_interval_of_a_share():
    label, y, _ = data(7)
    assert judge.interval_for("recall", label, y).method == "wilson"
    assert judge.interval_for("recall_macro", label, y, n_boot=20).method == "bca"
