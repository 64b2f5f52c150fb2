"""What other tools' metrics get wrong, one test for each public report: ours must not."""

import numpy as np
import pytest
import sklearn.metrics as sk

from metabalance import judge
from metabalance.judge import ConfusionStream, ScoreStream, encode_labels, get_metric, undefined_reason


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_has_no_area_torchmetrics_2494(only):
    """AUROC was 0 and average precision 1 or NaN on rows of a single class: both are undefined, with a reason."""
    scores, target = np.linspace(0.1, 0.9, 10), np.full(10, only)
    lack = "the positive class has no rows" if only == 0 else "the negative class has no rows"
    for name in ("roc_auc", "average_precision", "partial_auc", "h_measure", "pr_auc_davis_goadrich"):
        assert np.isnan(get_metric(name)(scores, target))
        assert undefined_reason(name, scores, target) == lack
    found = ScoreStream().update(scores, target).value("roc_auc")
    assert np.isnan(found.value)
    assert found.reason == lack


def test_binary_balanced_accuracy_exists_torchmetrics_1706():
    """Binary balanced accuracy was absent, and the nearest metric gave the positive class's recall."""
    target = np.array([1] * 5 + [0] * 95)
    assert judge.balanced_accuracy(np.ones(100, int), target) == 0.5
    assert judge.recall(np.ones(100, int), target) == 1
    label = np.array([1, 1, 0, 0, 0] + [0] * 90 + [1] * 5)
    assert judge.balanced_accuracy(label, target) == pytest.approx(sk.balanced_accuracy_score(target, label))


def test_the_positive_class_may_sort_first_mlflow_23991():
    """With a positive class that sorts first, the PR AUC and all curves were of the other class; ROC AUC hid it."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(300) < 0.1, "churn", "stay")
    churn = np.clip(rng.normal(0.3 + 0.3 * (truth == "churn"), 0.2), 0, 1)
    probabilities = np.stack([churn, 1 - churn], 1)  # columns as sklearn sorts them: churn, stay
    labels = encode_labels(truth)
    scores = labels.scores(probabilities, ["churn", "stay"])
    twin = sk.average_precision_score(truth, churn, pos_label="churn")
    assert judge.average_precision(scores, labels.index) == pytest.approx(twin)
    other = sk.average_precision_score(truth, 1 - churn, pos_label="stay")
    assert judge.average_precision(scores, labels.index) < other - 0.2  # the figure that was reported
    stay = encode_labels(truth, positive="stay")
    assert judge.average_precision(
        stay.scores(probabilities, ["churn", "stay"]), stay.index
    ) == pytest.approx(other)
    table, _ = ScoreStream().update(scores, labels.index).confusion(0.5)
    assert table[1].sum() == (truth == "churn").sum()


def test_two_classes_are_judged_by_the_positive_one_mlflow_4812():
    """Weighted averages over both classes were logged for binary data: a model that finds nothing looked good."""
    target = np.array([1] * 5 + [0] * 95)
    nothing = np.zeros(100, int)
    assert sk.f1_score(target, nothing, average="weighted") > 0.9
    assert judge.f_beta(nothing, target) == 0
    assert judge.recall(nothing, target) == 0
    assert np.isnan(judge.precision(nothing, target))
    assert get_metric("f1_weighted")(nothing, target) == pytest.approx(
        sk.f1_score(target, nothing, average="weighted")
    )  # only for who asks for it by name


def test_an_absent_class_gets_no_invented_figure_tabpfn_1152():
    """A class that a tuning fold lacked got an arbitrary threshold: no metric may rank candidates on such a fold."""
    scores = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    target = np.array([0, 1, 0])  # class 2 is missing
    for name in (
        "roc_auc",
        "average_precision",
        "balanced_accuracy",
        "f1",
        "g_mean",
        "recall",
        "ece_classwise",
    ):
        assert np.isnan(get_metric(name)(scores, target)), name
        assert "class 2" in str(undefined_reason(name, scores, target))
    assert np.isnan(judge.recall_per_class(scores, target)).tolist() == [False, False, True]
    assert np.isnan(ConfusionStream(3).update(scores, target).value("balanced_accuracy"))


@pytest.mark.parametrize("name", sorted(judge.METRICS))
def test_an_empty_fold_is_no_result_sklearn_33085(name):
    """Grouped folds may come out empty: that is NaN with a reason, neither 0 nor an error that ends the run."""
    assert np.isnan(get_metric(name)(np.zeros(0), np.zeros(0, int)))
    assert "rows" in str(undefined_reason(name, np.zeros(0), np.zeros(0, int)))


def test_rare_classes_are_not_dropped_from_a_mean_autogluon_201():
    """Classes with few rows were removed before anything was judged: the macro mean has them all, or is NaN."""
    target = np.array([0] * 50 + [1] * 49 + [2])
    label = target.copy()
    label[-1] = 0  # the single row of class 2 is missed
    assert judge.recall(label, target, num_classes=3) == pytest.approx(2 / 3)
    assert judge.g_mean(label, target, num_classes=3) == 0
    assert np.isnan(judge.recall(label[:-1], target[:-1], num_classes=3))


def test_weights_count_in_every_term_imbalanced_learn():
    """imbalanced-learn's specificity leaves the weights out of one term; ours is that of repeated rows."""
    label, target, times = np.array([0, 1, 1, 2, 2]), np.array([0, 1, 0, 2, 1]), np.array([3, 1, 2, 1, 4])
    repeated = judge.specificity(np.repeat(label, times), np.repeat(target, times))
    assert judge.specificity(label, target, times) == pytest.approx(repeated)


def test_curves_keep_no_scores_torchmetrics_1461():
    """Exact curves kept every score until memory was full: the accumulator's size is that of its bins."""
    stream = ScoreStream(bins=1024)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        stream.update(rng.random(1000), rng.integers(0, 2, 1000))
    assert sum(np.asarray(v).nbytes for v in stream.state_dict().values()) < 20_000


def test_an_unreachable_constraint_is_said_torchmetrics_1678():
    """Where no threshold had the precision, recall 0 at a threshold of a million was returned."""
    assert np.isnan(get_metric("recall@precision>=0.9")([0.9, 0.8, 0.1], [0, 1, 0]))
    assert "the best is 0.5" in str(undefined_reason("recall@precision>=0.9", [0.9, 0.8, 0.1], [0, 1, 0]))
