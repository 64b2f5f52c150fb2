"""Resampled counts: every draw equals scikit-learn on the rows it stands for, and all have their distribution."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from metabalance.judge import bootstrap_interval, get_metric, paired_bootstrap
from metabalance.judge.gaps import GapReplicates, resampled
from metabalance.judge.replicates import RowReplicates, replicates

REFERENCE = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}
METRICS = sorted(REFERENCE)
tied = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=40)


def scored(seed, positives=30, negatives=200, decimals=2):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([1, 0], [positives, negatives]))
    return (rng.normal(size=len(y)) + y).round(decimals), y


def rows_of(columns, y, positives, negatives):
    """Rows that have these numbers of each joint kind, in the order in which the kinds are counted."""
    cells = []
    for s in columns:
        level = np.unique(s[y == 1])
        low = s[y == 0]
        cells.append(np.searchsorted(level, low) + np.searchsorted(level, low, side="right"))
    kinds = [
        (np.flatnonzero(y == 1), np.stack([s[y == 1] for s in columns], 1), positives),
        (np.flatnonzero(y == 0), np.stack(cells, 1), negatives),
    ]
    rows = []
    for index, keys, counts in kinds:
        _, group = np.unique(keys, axis=0, return_inverse=True)
        for g, count in enumerate(counts):
            # Any member of a kind will do; the last one shows it.
            rows += [index[np.flatnonzero(group == g)[-1]]] * int(count)
    return np.array(rows)


@pytest.mark.parametrize("kind", METRICS)
@given(rows=tied, seed=st.integers(0, 99), stratified=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_resample_equals_scikit_learn_on_its_rows(kind, rows, seed, stratified):
    a, b, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if not 0 < y.sum() < len(y):
        return
    fast = GapReplicates(kind, [a, b], y, stratified)
    assert fast.value == pytest.approx([REFERENCE[kind](y, a), REFERENCE[kind](y, b)], abs=1e-12)
    rng = np.random.default_rng(seed)
    m = np.array([fast.m if stratified else rng.binomial(len(y), fast.m / len(y))])
    p, n = resampled(fast.positives, m, rng), resampled(fast.negatives, len(y) - m, rng)
    found = fast._measure(p, n)[0]
    drawn = rows_of([a, b], y, p[0], n[0])
    if not 0 < m[0] < len(y):
        assert np.isnan(found).all()
    else:
        twin = [REFERENCE[kind](y[drawn], s[drawn]) for s in (a, b)]
        assert found == pytest.approx(twin, abs=1e-12)


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("kind", METRICS)
def test_resamples_have_the_distribution_of_drawn_rows(kind, stratified):
    s, y = scored(0)
    fast = GapReplicates(kind, [s], y, stratified).draw(4000, np.random.default_rng(0))[:, 0]
    rng, slow = np.random.default_rng(1), []
    while len(slow) < 2000:
        strata = [np.flatnonzero(y == c) for c in (0, 1)] if stratified else [np.arange(len(y))]
        rows = np.concatenate([rng.choice(members, len(members)) for members in strata])
        slow.append(get_metric(kind)(s[rows], y[rows]))
    assert stats.ks_2samp(fast, slow).pvalue > 0.01
    assert fast.mean() == pytest.approx(np.mean(slow), abs=4 * np.std(slow) / np.sqrt(1300))
    assert fast.std() == pytest.approx(np.std(slow), rel=0.07)


@pytest.mark.parametrize("total", ["many", "few"])
def test_both_ways_to_draw_are_the_multinomial(total):
    count = np.array([1.0, 2.0, 5.0]) if total == "few" else np.array([20.0, 40.0, 100.0])
    n = int(count.sum())
    drawn = resampled(count, np.full(20_000, n), np.random.default_rng(0))
    share = count / n
    assert (drawn.sum(1) == n).all()
    assert drawn.mean(0) == pytest.approx(count, rel=0.02)
    cov = n * (np.diag(share) - np.outer(share, share))
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.03 * cov.max())


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("stratified", [True, False])
def test_the_jackknife_equals_leaving_out_each_row(kind, stratified):
    a, y = scored(1, 8, 20, decimals=1)
    b = a[::-1].copy()
    fast = GapReplicates(kind, [a, b], y, stratified)
    strata = list(fast.leave_outs())
    assert len(strata) == (2 if stratified else 1)
    values = np.concatenate([np.repeat(v, count.astype(int), axis=0) for v, count in strata])
    naive = []
    for row in range(len(y)):
        keep = np.arange(len(y)) != row
        naive.append([REFERENCE[kind](y[keep], s[keep]) for s in (a, b)])
    np.testing.assert_allclose(np.sort(values, axis=0), np.sort(naive, axis=0), atol=1e-12)
    if stratified:
        ones = np.array(naive)[y == 1]
        v, count = strata[0]
        np.testing.assert_allclose(
            np.sort(np.repeat(v, count.astype(int), axis=0), axis=0), np.sort(ones, axis=0), atol=1e-12
        )


@pytest.mark.parametrize("kind", METRICS)
def test_the_bca_interval_is_that_of_drawn_rows(kind):
    s, y = scored(2, 60, 140)
    fast = bootstrap_interval(kind, s, y, n_boot=2500)
    # A function that hides which metric it is takes the general path, with a jackknife of the same rows.
    slow = bootstrap_interval(lambda *rows: get_metric(kind)(*rows), s, y, n_boot=2500, seed=1)
    assert [fast.low, fast.high] == pytest.approx([slow.low, slow.high], abs=0.015)


def test_two_models_meet_the_same_resamples():
    a, y = scored(3)
    same = GapReplicates("roc_auc", [a, a, -a], y, True).draw(50, np.random.default_rng(0))
    assert (same[:, 0] == same[:, 1]).all()
    assert same[:, 2] == pytest.approx(1 - same[:, 0])


def test_long_tables_take_little_memory():
    rng = np.random.default_rng(0)
    y = (np.arange(100_000) < 200).astype(int)
    s = rng.normal(size=len(y)) + 2 * y
    tracemalloc.start()
    result = paired_bootstrap("average_precision", s, s + rng.normal(size=len(y)), y, n_boot=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.interval.low > 0
    assert peak < 150e6


# ---------------------------------------------------------------------------- which way is taken


def kind_of(*arguments, **options):
    found = replicates(*arguments, **options)
    return type(found), len(getattr(found, "count", ()))


def test_the_cheapest_way_is_taken():
    s, y = scored(4)
    p = 1 / (1 + np.exp(-s))
    assert kind_of("roc_auc", [s], y)[0] is GapReplicates
    assert kind_of("ap", [np.stack([-s, s], 1)], y)[0] is GapReplicates
    assert kind_of("roc_auc", [s], y, np.ones(len(y)))[0] is GapReplicates
    assert kind_of("f1", [p], y) == (RowReplicates, 4)
    assert kind_of("f1", [p, p > 2], y) == (RowReplicates, 4)
    assert kind_of("brier", [p.round(1)], y)[1] < 30
    for metric, columns, options in (
        ("brier", [p], {}),
        ("roc_auc", [s], {"sample_weight": np.arange(len(y)) + 1.0}),
        ("f1", [p], {"groups": np.arange(len(y))}),
        (lambda scores, target, weight: 0.5, [s], {}),
        ("expected_cost", None, {}),
    ):
        if columns is None:
            metric, columns = (
                get_metric("expected_cost", cost=[[0, 1], [9, 0]]),
                [p + np.arange(len(y)) * 1e-9],
            )
        assert kind_of(metric, columns, y, **options) == (RowReplicates, len(y))


def test_expected_cost_decides_by_its_own_costs():
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.2).astype(int)
    p = np.clip(0.2 + 0.3 * y + 0.1 * rng.normal(size=300), 0, 1).round(2)
    metric = get_metric("expected_cost", cost=[[0, 1], [9, 0]])
    assert bootstrap_interval(metric, p, y, n_boot=50).value == metric(p, y)


@pytest.mark.parametrize("metric", ["f1", "precision", "balanced_accuracy", "mcc", "accuracy"])
@pytest.mark.parametrize("form", ["labels", "probabilities", "columns"])
def test_counted_cells_have_the_distribution_of_drawn_rows(metric, form):
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [40, 160])
    p = np.clip(0.3 + 0.35 * y + 0.2 * rng.normal(size=200), 0, 1)
    given = {"labels": (p > 0.5).astype(int), "probabilities": p, "columns": np.stack([1 - p, p], 1)}[form]
    fast = replicates(metric, [given], y)
    slow = replicates(metric, [given], y, groups=np.arange(200))
    assert len(fast.count) == 4
    assert fast.value == slow.value == [get_metric(metric)(given, y)]
    a, b = (r.draw(1500, np.random.default_rng(seed))[:, 0] for seed, r in enumerate((fast, slow)))
    assert a.mean() == pytest.approx(b.mean(), abs=5 * b.std() / np.sqrt(700))
    assert a.std() == pytest.approx(b.std(), rel=0.1)


def test_a_class_that_no_label_names_is_not_forgotten():
    # Three columns, but class 2 neither occurs nor wins: macro recall is undefined, not a mean over two.
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]] * 10)
    result = bootstrap_interval("recall", p, [0, 1] * 10, n_boot=10)
    assert np.isnan(result.value)
    many = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]] * 10)
    assert bootstrap_interval("recall", many, [0, 1, 2] * 10, n_boot=10).value == 1


@pytest.mark.parametrize("stratified", [True, False])
def test_the_jackknife_of_counted_cells_leaves_out_each_row(stratified):
    y = np.repeat([1, 0], [12, 30])
    labels = (np.arange(42) % 3 == 0).astype(int)
    source = replicates("f1", [labels], y, stratified=stratified)
    values = np.concatenate([np.repeat(v[:, 0], c.astype(int)) for v, c in source.leave_outs()])
    keep = [np.arange(42) != row for row in range(42)]
    assert np.sort(values) == pytest.approx(sorted(get_metric("f1")(labels[k], y[k]) for k in keep))


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=12),
    metric=st.sampled_from(["roc_auc", "average_precision", "f1", "precision", "mcc"]),
    stratified=st.booleans(),
    method=st.sampled_from(["bca", "percentile"]),
)
@settings(max_examples=150, deadline=None)
def test_nothing_degenerate_breaks_it(rows, metric, stratified, method):
    s, y = np.array([r[0] for r in rows], dtype=int), np.array([r[1] for r in rows], dtype=int)
    given_scores = (s > 1).astype(int) if metric in ("f1", "precision", "mcc") else s
    value = get_metric(metric)(given_scores, y)
    result = bootstrap_interval(metric, given_scores, y, n_boot=20, stratified=stratified, method=method)
    assert result.value == pytest.approx(value, nan_ok=True)
    if np.isnan(value):
        assert np.isnan([result.low, result.high]).all()
    if np.isnan(result.low):
        assert result.reason
    else:
        assert result.low <= result.high


@pytest.mark.parametrize("method", ["percentile", "BCa"])
@pytest.mark.parametrize("kind", METRICS)
def test_the_interval_is_scipys_of_two_samples(kind, method):
    s, y = scored(6, 25, 60)

    def statistic(positive, negative):
        rows = np.concatenate([positive, negative])
        return get_metric(kind)(rows, np.repeat([1, 0], [len(positive), len(negative)]))

    twin = stats.bootstrap(
        (s[y == 1], s[y == 0]), statistic, method=method, n_resamples=2000, vectorized=False, rng=0
    ).confidence_interval
    ours = bootstrap_interval(kind, s, y, n_boot=6000, method=method.lower())
    assert [ours.low, ours.high] == pytest.approx([twin.low, twin.high], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "least"), [("average_precision", 0.91), ("f1", 0.91)])
def test_drawing_rows_covers_where_fixed_shares_do_not_vary(metric, least):
    # 50 positives on average among 1000 rows; the truth is that of a sample as long as the population.
    def sample(rows, seed):
        rng = np.random.default_rng(seed)
        y = (rng.random(rows) < 0.05).astype(int)
        s = rng.normal(size=rows) + 2 * y
        return (s if metric == "average_precision" else (s > 2).astype(int)), y

    truth = get_metric(metric)(*sample(2_000_000, 10**6))
    ends = [bootstrap_interval(metric, *sample(1000, k), n_boot=300, stratified=False) for k in range(300)]
    covered = np.mean([e.low <= truth <= e.high for e in ends])
    assert least <= covered <= 0.985
