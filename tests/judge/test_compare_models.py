"""Models side by side: the table follows from the tests it is made of, and says what it cannot tell."""

import numpy as np
import pytest

from metabalance.judge import (
    ModelComparison,
    ModelDifference,
    compare_models,
    delong_difference,
    get_metric,
    holm,
    paired_bootstrap,
    positives_to_tell,
)


def models(seed=0, positives=60, negatives=900):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([1, 0], [positives, negatives]))
    shared = rng.normal(size=len(y)) + 2 * y
    return {
        "old": shared,
        "twin": shared + 0.2 * rng.normal(size=len(y)),
        "blind": rng.normal(size=len(y)),
        "good": shared + 1.5 * y,
    }, y


def test_the_area_is_compared_by_delong():
    scores, y = models()
    table = compare_models(scores, y, "roc_auc")
    assert isinstance(table, ModelComparison)
    assert (table.baseline, table.method, table.positives) == ("old", "delong", 60)
    assert table.value == get_metric("roc_auc")(scores["old"], y)
    expected = [delong_difference(scores[row.model], scores["old"], y) for row in table.rows]
    for row, twin in zip(table.rows, expected, strict=True):
        assert isinstance(row, ModelDifference)
        assert row.difference.interval.low == pytest.approx(twin.interval.low)
        assert row.difference.p_value == pytest.approx(twin.p_value)
    assert [row.p_holm for row in table.rows] == pytest.approx(holm([t.p_value for t in expected]))
    assert [row.verdict for row in table.rows] == ["not distinguishable", "worse", "better"]


def test_all_else_is_compared_by_a_paired_bootstrap():
    scores, y = models(1)
    table = compare_models(scores, y, baseline="twin")
    assert table.method == "bootstrap"
    assert [row.model for row in table.rows] == ["old", "blind", "good"]
    for row in table.rows:
        twin = paired_bootstrap(
            "average_precision", scores[row.model], scores["twin"], y, n_boot=2000, stratified=False, seed=5
        )
        assert row.difference.interval.value == pytest.approx(twin.interval.value)
        assert row.difference.interval.low == pytest.approx(twin.interval.low, abs=0.02)
    assert [row.verdict for row in table.rows] == ["not distinguishable", "worse", "better"]


def test_less_is_better_for_an_error():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.2).astype(int)
    good, bad = np.clip(0.2 + 0.5 * y, 0, 1), np.full(2000, 0.5)
    assert compare_models({"bad": bad, "good": good}, y, "brier", n_boot=200).rows[0].verdict == "better"
    assert compare_models({"good": good, "bad": bad}, y, "brier", n_boot=200).rows[0].verdict == "worse"


def test_the_sentence_says_how_many_positives_it_would_take():
    scores, y = models()
    row = compare_models({k: scores[k] for k in ("old", "twin")}, y, "roc_auc").rows[0]
    spread = (row.difference.interval.high - row.difference.interval.value) / 1.959964
    assert row.positives_to_tell == pytest.approx(
        positives_to_tell(row.difference.interval.value, spread, 60), abs=2
    )
    assert "not distinguishable from old" in row.sentence
    assert "positives to tell a difference of this size, and there are 60." in row.sentence
    assert str(compare_models(scores, y, "roc_auc")).count("\n") == 3


def test_the_promise_is_kept_where_it_can_be_checked():
    # Two AUCs that differ by about 0.02 with a standard error known from 100 positives: with as many positives
    # as it asks for, DeLong's test finds the difference in about four of five samples.
    def sample(positives, seed):
        rng = np.random.default_rng(seed)
        y = np.repeat([1, 0], [positives, 5 * positives])
        shared = rng.normal(size=len(y))
        return shared + 1.2 * y, shared + 0.7 * rng.normal(size=len(y)) + 1.2 * y, y

    big_a, big_b, y = sample(20_000, 0)
    d = delong_difference(big_a, big_b, y).interval
    needed = int(positives_to_tell(d.value, (d.high - d.value) / 1.959964, 20_000))
    found = [delong_difference(*sample(needed, seed)).p_value < 0.05 for seed in range(1, 301)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


def test_equal_models_have_no_difference_to_tell():
    scores, y = models()
    for metric in ("roc_auc", "average_precision"):
        row = compare_models({"a": scores["old"], "b": scores["old"]}, y, metric, n_boot=50).rows[0]
        assert (row.p_holm, row.verdict) == (1.0, "not distinguishable")
        assert "no difference to tell" in row.sentence


def test_without_a_test_it_says_why():
    for metric in ("roc_auc", "average_precision"):
        row = compare_models({"a": [0.1, 0.2, 0.4], "b": [0.3, 0.2, 0.1]}, [0, 0, 0], metric, n_boot=10).rows[
            0
        ]
        assert (row.verdict, np.isnan(row.p_holm), np.isnan(row.positives_to_tell)) == ("no test", True, True)
        assert row.sentence.startswith("b: no test against a (")


def test_many_classes_count_the_rarest():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [100, 50, 7])
    p = rng.dirichlet(np.ones(3), 157)
    table = compare_models({"p": p, "q": p + 0.1 * rng.random(p.shape)}, y, "roc_auc", n_boot=50)
    assert (table.positives, table.method) == (7, "bootstrap")
    assert "rows of the rarest class" in table.rows[0].sentence


@pytest.mark.parametrize(
    ("scores", "baseline"), [({}, None), ({"a": [0.1]}, None), ({"a": [0.1], "b": [0.2]}, "c")]
)
def test_it_takes_two_models_and_a_baseline(scores, baseline):
    with pytest.raises(ValueError, match="two models and a baseline"):
        compare_models(scores, [1], baseline=baseline)
