"""Accumulators: merging is one pass, bounds hold, storing loses nothing, and memory does not grow."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance import judge
from metabalance.judge import METRICS, Bounded, ConfusionStream, ScoreStream, get_metric
from metabalance.judge.binned import RANKINGS, binned_value

RANKING = sorted(n for n, m in METRICS.items() if m.function in RANKINGS) + ["precision@37", "lift@10%"]


def data(seed, n=2000, share=0.1):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    y[:2] = 0, 1
    p = 1 / (1 + np.exp(-rng.normal(2 * y - 3)))
    return p, y, rng.integers(0, 3, n) * 1.0 + (np.arange(n) < 2)


def many(seed, n=1500, classes=3):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=[0.8, 0.15, 0.05])
    z = rng.normal(size=(n, classes))
    z[np.arange(n), y] += 1.5
    return np.exp(z) / np.exp(z).sum(1, keepdims=True), y, rng.random(n)


# ------------------------------------------------------------------------------------------ confusion


def test_every_decision_metric_follows_from_the_table():
    p, y, w = many(0)
    stream = ConfusionStream(3)
    for part in np.array_split(np.arange(len(y)), 7):
        stream.update(p[part], y[part], w[part])
    cost = 1 - np.eye(3)
    for name in [n for n, m in METRICS.items() if m.kind == "decision"]:
        assert stream.value(name) == pytest.approx(METRICS[name](p, y, w), rel=1e-9)
    priced = get_metric("expected_cost", cost=cost)
    assert stream.value(priced) == pytest.approx(priced(p.argmax(1), y, w))
    assert np.isnan(ConfusionStream(2).value("recall"))
    with pytest.raises(ValueError, match="roc_auc needs scores"):
        stream.value("roc_auc")
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        ConfusionStream(1)


def test_tables_merge_and_are_stored():
    label, y, w = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 2]), np.array([1.0, 2, 3, 4])
    whole = ConfusionStream(3).update(label, y, w)
    parts = (
        ConfusionStream(3)
        .update(label[:1], y[:1], w[:1])
        .merge(ConfusionStream(3).update(label[1:], y[1:], w[1:]))
    )
    np.testing.assert_array_equal(parts.table, whole.table)
    np.testing.assert_array_equal(
        ConfusionStream.load(whole.state_dict()).table, judge.confusion(label, y, w)
    )
    with pytest.raises(ValueError, match="same num_classes"):
        whole.merge(ConfusionStream(2))


# --------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("bins", [4, 64, 2**16])
@pytest.mark.parametrize("name", RANKING)
def test_the_metric_of_the_rows_lies_within_the_bounds(name, bins):
    for seed in range(2):
        p, y, w = data(seed)
        found = ScoreStream(bins=bins).update(p, y, w).value(name)
        exact = get_metric(name)(p, y, w)
        if np.isnan(exact):
            assert np.isnan(found.value)  # coarser thresholds reach no more
        elif not np.isnan(found.value):
            assert found.low - 1e-9 <= exact <= found.high + 1e-9
            assert abs(found.value - exact) <= found.error + 1e-9
    if bins == 2**16:
        assert found.error < 0.01


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=14),
    st.sampled_from([2, 4, 8]),
)
@settings(max_examples=100, deadline=None)
def test_bounds_hold_on_any_small_data(rows, bins):
    p, y, w = (np.array([r[i] for r in rows], float) for i in range(3))
    stream = ScoreStream(bins=bins, scale="linear", limits=(0, 16)).update(p, y.astype(int), w)
    for name in ("roc_auc", "average_precision", "precision@3", "partial_auc", "h_measure", "recall_at_fpr"):
        found, exact = stream.value(name), get_metric(name)(p, y.astype(int), w)
        assert np.isnan(found.value) == np.isnan(exact) == bool(found.reason)
        if not np.isnan(exact):
            assert found.low - 1e-9 <= exact <= found.high + 1e-9


def test_the_bound_of_the_auc_is_half_the_pairs_within_bins():
    p, y, w = data(4)
    stream = ScoreStream(bins=64).update(p, y, w)
    negatives, positives = stream.counts[0]
    within = negatives @ positives / (negatives.sum() * positives.sum())
    assert stream.value("roc_auc").error == pytest.approx(within / 2)


def test_the_lowest_average_precision_is_reached_by_many_small_positives():
    counts = np.array([[[5.0, 3.0], [2.0, 4.0]]])  # low bin, high bin
    found = binned_value(METRICS["average_precision"], counts)
    small = 1000
    scores = np.concatenate(
        [np.repeat([4.0, 1.0], [3, 5]), 3 - np.arange(4 * small) / 1e6, -np.arange(2 * small) / 1e6]
    )
    target = np.repeat([0, 1], [8, 6 * small])
    weight = np.repeat([1, 1 / small], [8, 6 * small])
    worst = judge.average_precision(scores, target, weight)
    assert found.low == pytest.approx(worst, abs=1e-3)
    assert found.low <= worst


@pytest.mark.parametrize("bins", [16, 2**16])
def test_losses_are_exact_whatever_the_bins(bins):
    for p, y, w in (data(5), many(5)):
        stream = ScoreStream(2 if p.ndim == 1 else 3, bins=bins).update(p, y, w)
        for name in ("brier", "log_loss", "ece"):
            found = stream.value(name)
            assert found.value == pytest.approx(METRICS[name](p, y, w), rel=1e-9)
            assert found.error == 0


def test_one_against_the_rest():
    p, y, w = many(6)
    stream = ScoreStream(3).update(p, y, w)
    for name in ("roc_auc", "average_precision"):
        found = stream.value(name)
        assert found.low - 1e-9 <= METRICS[name](p, y, w) <= found.high + 1e-9
        assert found.error < 0.01
    with pytest.raises(ValueError, match="a threshold is for two classes"):
        stream.confusion(0.5)


def test_tables_at_thresholds_are_exact_at_the_edge_that_is_told():
    p, y, w = data(7)
    stream = ScoreStream().update(p, y, w)
    for threshold in (0.001, 0.3, 0.5, 0.9):
        table, edge = stream.confusion(threshold)
        assert edge == pytest.approx(threshold, rel=1e-3)
        np.testing.assert_allclose(table, judge.confusion((p > edge).astype(int), y, w))
    assert stream.confusion(0.5)[1] == 0.5
    on_it = ScoreStream().update([0.5, 0.5 + 1e-3], [0, 1])
    np.testing.assert_array_equal(on_it.confusion(0.5)[0], np.eye(2))  # one half itself is not positive


def test_scores_in_any_unit_on_a_linear_scale():
    p, y, w = data(8)
    z = np.log(p / (1 - p))
    stream = ScoreStream(scale="linear", limits=(-5.0, 3.0)).update(z, y, w)  # some lie outside
    found = stream.value("roc_auc")
    assert found.low <= judge.roc_auc(z, y, w) <= found.high
    with pytest.raises(ValueError, match="brier needs probabilities"):
        stream.value("brier")


# ------------------------------------------------------------------------- merging, storing, refusing


def test_merged_parts_are_one_pass_in_any_order():
    p, y, w = data(9)
    whole = ScoreStream(bins=256).update(p, y, w)
    parts = [ScoreStream(bins=256).update(p[i::3], y[i::3], w[i::3]) for i in range(3)]
    merged = ScoreStream(bins=256).merge(parts[2]).merge(parts[0]).merge(parts[1])
    np.testing.assert_array_equal(merged.counts, whole.counts)  # whole weights: exact sums
    for name in ("roc_auc", "average_precision", "brier", "log_loss", "ece"):
        assert merged.value(name).value == pytest.approx(whole.value(name).value, rel=1e-12)


def test_long_input_is_taken_in_blocks(monkeypatch):
    p, y, w = data(10)
    whole = ScoreStream().update(p, y, w)
    monkeypatch.setattr("metabalance.judge.streaming.BLOCK", 300)
    blocks = ScoreStream().update(p, y, w)
    np.testing.assert_array_equal(blocks.counts, whole.counts)
    before = blocks.counts.copy()
    with pytest.raises(ValueError, match="NaN"):
        blocks.update(np.append(p, np.nan), np.append(y, 0))
    np.testing.assert_array_equal(blocks.counts, before)  # nothing of it was counted


def test_a_stored_stream_goes_on():
    p, y, _ = data(11)
    stream = ScoreStream(bins=128, ece_bins=7).update(p[:900], y[:900])
    file = io.BytesIO()
    np.savez(file, **stream.state_dict())
    file.seek(0)
    again = ScoreStream.load(np.load(file, allow_pickle=False)).update(p[900:], y[900:])
    np.testing.assert_array_equal(again.counts, ScoreStream(bins=128).update(p, y).counts)
    with pytest.raises(ValueError, match="state's gaps"):
        ScoreStream.load(stream.state_dict() | {"gaps": np.zeros(3)})


def test_memory_does_not_grow_with_the_rows():
    p, y, _ = data(12, n=50_000)
    stream = ScoreStream().update(p, y)
    tracemalloc.start()
    for _ in range(40):
        stream.update(p, y)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000
    assert peak < 30 * p.nbytes  # what one piece needs, not forty
    assert stream.counts.nbytes == 2**20


@pytest.mark.parametrize("scores", [np.zeros(0), np.full(3, 0.2)])
def test_undefined_is_nan_with_a_reason(scores):
    stream = ScoreStream().update(scores, np.zeros(len(scores), int))
    found = stream.value("roc_auc")
    assert isinstance(found, Bounded)
    assert np.isnan(found.value)
    assert found.reason
    assert np.isnan(ScoreStream().value("brier").value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ScoreStream(bins=3), "bins even"),
        (lambda: ScoreStream(scale="rank"), "scale must be"),
        (lambda: ScoreStream(scale="linear", limits=(1, 0)), "limits"),
        (lambda: ScoreStream().update([2.0], [0]), "probabilities"),
        (lambda: ScoreStream().update([[0.2, 0.3, 0.5]], [0]), "for 2 classes"),
        (lambda: ScoreStream().update([0.2], [2]), "for 2 classes"),
        (lambda: ScoreStream().merge(ScoreStream(bins=4)), "same settings"),
        (lambda: ScoreStream().value("roc_auc_ovo"), "does not follow from histograms"),
        (lambda: ScoreStream().value("roc_auc_micro"), "does not follow from histograms"),
        (lambda: ScoreStream().value("f1"), "ConfusionStream"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
