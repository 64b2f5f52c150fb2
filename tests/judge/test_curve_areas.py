"""Areas under curves: averages over classes, stated interpolations, partial areas, and the H measure."""

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.integrate import quad
from scipy.stats import beta

from metabalance import judge
from metabalance.judge import get_metric
from metabalance.judge.curves import binary_curve, corners

EXACT = {"rel": 1e-9, "abs": 1e-9}


def data(seed, n=150, ties=True):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.25).astype(int)
    y[:2] = 0, 1
    s = rng.normal(y * 1.2)
    return (s.round(1) if ties else s), y, rng.random(n) + 0.1


def many(seed, n=120, classes=4):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes) ** 2 // classes])
    s = rng.normal(size=(n, classes)).round(1)
    s[np.arange(n), y] += 1
    return s, y, rng.random(n) + 0.1


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
@pytest.mark.parametrize("weighted", [False, True])
def test_averages_equal_scikit_learn(average, weighted):
    s, y, w = many(0)
    w, hot = (w if weighted else None), np.eye(4)[y]
    twin = sk.roc_auc_score(hot, s, average=average, sample_weight=w)
    assert get_metric(f"roc_auc_{average}")(s, y, w) == pytest.approx(twin, **EXACT)
    twin = sk.average_precision_score(hot, s, average=average, sample_weight=w)
    assert judge.average_precision(s, y, w, average=average) == pytest.approx(twin, **EXACT)


def test_the_multi_class_mean_of_buda_is_macro_one_versus_rest():
    s, y, _ = many(1)
    each = [sk.roc_auc_score(y == c, s[:, c]) for c in range(4)]
    assert get_metric("buda_auc")(s, y) == pytest.approx(np.mean(each), **EXACT)


def test_weighted_averages_leave_absent_classes_out_and_macro_does_not():
    s, y, _ = many(2)
    rows = y != 2
    assert np.isfinite(judge.roc_auc(s[rows], y[rows], average="weighted"))
    assert np.isfinite(judge.roc_auc(s[rows], y[rows], average="micro"))
    assert np.isnan(judge.roc_auc(s[rows], y[rows]))
    with pytest.raises(ValueError, match="average='mean' is unknown"):
        judge.roc_auc(s, y, average="mean")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_interpolations_of_the_precision_recall_curve(seed, ties):
    s, y, w = data(seed, ties=ties)
    precision, recall, _ = sk.precision_recall_curve(y, s, sample_weight=w)
    assert get_metric("pr_auc_trapezoid")(s, y, w) == pytest.approx(sk.auc(recall, precision), **EXACT)
    assert judge.pr_auc(s, y, w) == judge.average_precision(s, y, w)
    above, true = binary_curve(s, y, w)
    area, before = 0.0, (0.0, 0.0)
    for here in zip(true, above):
        (t0, a0), (t1, a1) = before, here
        if t1 > t0:  # false alarms in proportion to true ones
            area += quad(
                lambda t, t0=t0, a0=a0, t1=t1, a1=a1: t / (a0 + (a1 - a0) * (t - t0) / (t1 - t0)), t0, t1
            )[0]
        before = here
    assert judge.pr_auc(s, y, w, interpolation="davis_goadrich") == pytest.approx(area / true[-1], rel=1e-7)


def test_interpolations_agree_on_a_perfect_ranking_and_differ_on_ties():
    y = np.array([1, 1, 0, 0, 0, 0])
    for interpolation in ("step", "trapezoid", "davis_goadrich"):
        assert judge.pr_auc(y, y, interpolation=interpolation) == pytest.approx(1)
    flat = np.zeros(6)
    assert judge.pr_auc(flat, y, interpolation="davis_goadrich") == pytest.approx(1 / 3)
    assert judge.pr_auc(flat, y, interpolation="trapezoid") == pytest.approx(2 / 3)  # the lines flatter
    with pytest.raises(ValueError, match="interpolation='line' is unknown"):
        judge.pr_auc(flat, y, interpolation="line")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_fpr", [0.01, 0.1, 0.5, 1.0])
def test_partial_area_equals_scikit_learn(seed, max_fpr):
    s, y, w = data(seed)
    twin = sk.roc_auc_score(y, s, sample_weight=w, max_fpr=max_fpr)
    assert judge.partial_auc(s, y, w, max_fpr=max_fpr) == pytest.approx(twin, **EXACT)


def test_partial_areas_add_up_and_a_useless_ranking_has_one_half():
    s, y, w = data(5)
    raw = [
        judge.partial_auc(s, y, w, min_fpr=a, max_fpr=b, standardised=False)
        for a, b in ((0, 0.2), (0.2, 0.7), (0.7, 1))
    ]
    assert sum(raw) == pytest.approx(judge.roc_auc(s, y, w), **EXACT)
    for low, high in ((0, 0.1), (0.3, 0.6)):
        assert judge.partial_auc(np.zeros(len(y)), y, min_fpr=low, max_fpr=high) == pytest.approx(0.5)
        assert judge.partial_auc(y, y, min_fpr=low, max_fpr=high) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"range 0\.5 to 0\.5"):
        judge.partial_auc(s, y, min_fpr=0.5, max_fpr=0.5)


def integrated(s, y, w, a, b):
    """The H measure by integrating the best threshold's loss over a fine grid of costs."""
    fpr, tpr, _ = sk.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
    positive = np.average(y, weights=w)
    c = np.linspace(0, 1, 20001)
    losses = c[:, None] * (1 - positive) * fpr + (1 - c[:, None]) * positive * (1 - tpr)
    density = beta(a, b).pdf(c)
    blind = np.minimum(c * (1 - positive), (1 - c) * positive)
    return 1 - np.trapezoid(losses.min(1) * density, c) / np.trapezoid(blind * density, c)


@pytest.mark.parametrize("seed", range(3))
def test_h_measure_equals_its_integral(seed):
    s, y, w = data(seed)
    positive = np.average(y, weights=w)
    assert judge.h_measure(s, y, w) == pytest.approx(
        integrated(s, y, w, 1 + positive, 2 - positive), abs=1e-5
    )
    assert get_metric("h_measure_beta22")(s, y, w) == pytest.approx(integrated(s, y, w, 2, 2), abs=1e-5)
    assert judge.h_measure(s, y, w, severity=0.2) == pytest.approx(integrated(s, y, w, 2, 6), abs=1e-5)


def test_h_measure_equals_the_published_package():
    # hmeasure 0.1.6 on these rows: severity_ratio=None, 0.2, 1 and -1 (its form of Beta(1 + p1, 1 + p0)).
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.1).astype(int)
    s = rng.normal(y * 1.2).round(2)
    odds = y.mean() / (1 - y.mean())
    told = {
        odds: 0.4248198487783118,
        0.2: 0.35863309516917874,
        1.0: 0.22334700849183764,
        None: 0.30119820971376565,
    }
    for severity, value in told.items():
        assert judge.h_measure(s, y, severity=severity) == pytest.approx(value, **EXACT)


def test_h_measure_ends_at_zero_and_one():
    y = np.array([1] * 5 + [0] * 45)
    for severity in (None, 1.0, 0.1):
        assert judge.h_measure(y, y, severity=severity) == pytest.approx(1)
        assert judge.h_measure(np.zeros(50), y, severity=severity) == pytest.approx(0, abs=1e-12)
        assert judge.h_measure(-y, y, severity=severity) == pytest.approx(0, abs=1e-12)  # nobody follows it
    with pytest.raises(ValueError, match="severity must be above 0"):
        judge.h_measure(y, y, severity=0)


@pytest.mark.parametrize("seed", range(5))
def test_corners_are_the_upper_hull(seed):
    s, y, w = data(seed, n=60)
    w = w * (np.arange(60) % 3 > 0)  # rows without weight change nothing
    above, true = binary_curve(s, y, w)
    false, hit = corners(above, true)
    assert (false[0], hit[0]) == (0, 0)
    assert (false[-1], hit[-1]) == pytest.approx((above[-1] - true[-1], true[-1]))
    slopes = np.diff(hit) / np.maximum(np.diff(false), 1e-300)
    assert (np.diff(slopes) < 0).all()
    assert (np.interp(above - true, false, hit) >= true - 1e-9).all()
