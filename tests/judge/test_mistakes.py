"""Two areas as expectations, mistakes one by one, whose are repaired, and what to look at."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from metabalance.judge import (
    Drift,
    Mistakes,
    Subpopulation,
    SubpopulationBias,
    atomic_mistakes,
    auprc_expectation,
    auroc_expectation,
    average_precision,
    delong_interval,
    drift_by_chance,
    fix_mistakes,
    get_metric,
    log_roc_area,
    roc_auc,
    scores_at_auroc,
    subpopulation_bias,
    two_populations,
    which_metric,
)
from metabalance.judge.which_metric import QUESTIONS, Advice


def draw(seed, n=None, ties=True):
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(3, 16))
    y = rng.permutation(np.arange(n) % 2)
    return (rng.integers(0, 6, n) / 5 if ties else rng.random(n)), y


def naive_expectations(s, y):
    """Straight from the theorem, positive by positive."""
    positives, negatives = s[y == 1], s[y == 0]
    fpr = [np.mean(negatives >= p) / 2 + np.mean(negatives > p) / 2 for p in positives]
    ratio = [np.mean(negatives >= p) / np.mean(s >= p) for p in positives]
    return 1 - np.mean(fpr), 1 - np.mean(y == 0) * np.mean(ratio)


# -------------------------------------------------------------------------------------------- expectations


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_expectations_are_the_areas(seed, ties):
    s, y = draw(seed, ties=ties)
    w = np.random.default_rng(seed).integers(1, 4, len(y))
    naive = naive_expectations(s, y)
    assert auroc_expectation(s, y) == pytest.approx(naive[0], abs=1e-12)
    assert auprc_expectation(s, y) == pytest.approx(naive[1], abs=1e-12)
    for expectation, area in ((auroc_expectation, roc_auc), (auprc_expectation, average_precision)):
        assert expectation(s, y) == pytest.approx(area(s, y), abs=1e-12)
        assert expectation(s, y, w) == pytest.approx(area(s, y, w), abs=1e-12)
        copies = np.repeat(np.arange(len(y)), w)
        assert expectation(s, y, w) == pytest.approx(expectation(s[copies], y[copies]), abs=1e-12)


def test_rows_of_weight_zero_at_the_top_do_not_count():
    s, y, w = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 1, 0]), np.array([0, 1, 1, 1])
    assert auprc_expectation(s, y, w) == auprc_expectation(s[1:], y[1:]) == 0.5
    assert log_roc_area(s, y, w) == log_roc_area(s[1:], y[1:])


def test_without_a_class_there_is_no_expectation():
    for expectation in (auroc_expectation, auprc_expectation, log_roc_area):
        assert np.isnan(expectation([0.1, 0.2], [0, 0]))
        assert np.isnan(expectation([0.1, 0.2], [1, 1]))
    with pytest.raises(ValueError, match="two classes, but the scores have 3 columns"):
        auroc_expectation(np.eye(3), [0, 1, 2])


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.01, 0.001])
def test_the_cards_normal_scores(prevalence):
    """N(0, 1) against N(1.5, 1): an area of .855 at any prevalence, and average precisions that fall with it."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    s = np.concatenate([norm.ppf(grid), norm.ppf(grid) + 1.5])
    y = np.repeat([0, 1], len(grid))
    w = np.where(y == 1, prevalence, 1 - prevalence)

    def precision_there(t):
        found, alarms = prevalence * norm.sf(t - 1.5), (1 - prevalence) * norm.sf(t)
        return norm.pdf(t - 1.5) * found / (found + alarms)

    assert auroc_expectation(s, y, w) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=1e-4)
    assert auprc_expectation(s, y, w) == pytest.approx(quad(precision_there, -8, 10)[0], abs=2e-3)
    drawn = {0.5: 0.854, 0.1: 0.482, 0.01: 0.123, 0.001: 0.016}  # on the card, from one sample each
    assert auprc_expectation(s, y, w) == pytest.approx(drawn[prevalence], abs=8e-3)


def test_near_prevalence_one_average_precision_is_the_area_under_the_log_roc_curve():
    s, y = draw(3, n=2000, ties=False)
    s = s + 0.4 * y
    errors = []
    for share in (0.9, 0.99, 0.999):
        w = np.where(y == 1, share, 1 - share) / np.where(y == 1, y.mean(), 1 - y.mean())
        limit = 1 + (1 - share) / share * log_roc_area(s, y)
        errors.append(abs(average_precision(s, y, w) - limit))
    assert errors[0] < 0.01
    assert errors[1] < errors[0] / 50  # of second order
    assert errors[2] < errors[1] / 50
    assert log_roc_area(s, y, w) == pytest.approx(log_roc_area(s, y))  # free of the prevalence


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_the_gain_of_a_mistake_is_what_exchanging_two_scores_does(seed, ties):
    s, y = draw(seed, ties=ties)
    found = atomic_mistakes(s, y)
    assert isinstance(found, Mistakes)
    for i in range(len(found)):
        low, high = found.positive[i], found.negative[i]
        assert y[low] == 1
        assert y[high] == 0
        assert s[high] > s[low]
        assert not ((s > s[low]) & (s < s[high])).any()
        assert found.rank[i] == (s >= s[high]).sum()
        assert found.positives_above[i] == (y[s > s[high]]).sum()
        assert found.pairs[i] == ((s == s[high]) & (y == 0)).sum() * ((s == s[low]) & (y == 1)).sum()
        fixed = s.copy()
        fixed[[low, high]] = fixed[[high, low]]
        for metric, gains in (
            (roc_auc, found.gain_roc_auc),
            (average_precision, found.gain_average_precision),
        ):
            assert metric(fixed, y) - metric(s, y) == pytest.approx(gains[i], abs=1e-12)


def test_every_adjacent_mistake_is_listed():
    s, y = draw(5, n=200, ties=False)
    order = np.argsort(-s)
    expected = [(order[i], order[i + 1]) for i in range(199) if y[order[i]] == 0 and y[order[i + 1]] == 1]
    found = atomic_mistakes(s, y)
    assert list(zip(found.negative, found.positive)) == expected
    assert len(found) == len(expected)


def test_without_ties_the_gains_are_the_cards_formulas():
    s, y = draw(6, n=60, ties=False)
    found, n_pos, n_neg = atomic_mistakes(s, y), int(y.sum()), int((1 - y).sum())
    np.testing.assert_allclose(found.gain_roc_auc, 1 / (n_pos * n_neg), rtol=1e-12)
    formula = (found.positives_above + 1) / (n_pos * found.rank * (found.rank + 1))
    np.testing.assert_allclose(found.gain_average_precision, formula, rtol=1e-12)


def test_the_cards_counter_example_a_lower_mistake_may_be_worth_more():
    y = np.array([0] * 10 + [1] * 10 + [0, 1])
    found = atomic_mistakes(-np.arange(22.0), y)
    assert found.rank.tolist() == [10, 21]
    np.testing.assert_allclose(found.gain_average_precision, [0.000826, 0.002165], atol=5e-7)
    assert found.as_records(1) == [
        {
            "negative": 9, "positive": 10, "rank": 10, "positives_above": 0, "pairs": 1,
            "gain_roc_auc": 1 / 121, "gain_average_precision": pytest.approx(1 / 1210),
        }
    ]  # fmt: skip


def test_a_positive_that_joins_a_crowd_of_negatives_loses():
    found = atomic_mistakes([2, 2, *[1] * 10], [0, 0, *[1] * 10])
    assert found.gain_average_precision[0] < 0 < found.gain_roc_auc[0]
    assert found.pairs.tolist() == [20]


def test_repairing_everything_adds_what_is_missing_from_one():
    """As many repairs as there are inversions, each worth the same: bubble sort."""
    s, y = draw(7, n=30, ties=False)
    inversions = round((1 - roc_auc(s, y)) * y.sum() * (1 - y).sum())
    for order in ("random", "top", "best"):
        drift = fix_mistakes(s, y, order=order, steps=inversions)
        np.testing.assert_allclose(np.diff(drift.roc_auc[:, 0]), 1 / (y.sum() * (1 - y).sum()))
        assert drift.roc_auc[-1, 0] == drift.average_precision[-1, 0] == 1
        assert drift.fixed[-1, 0] == inversions
    assert len(atomic_mistakes(drift.scores, y)) == 0


def test_average_precision_favours_high_mistakes_by_and_large():
    rng = np.random.default_rng(0)
    correlations = []
    for _ in range(20):
        y = (np.arange(400) < 40).astype(int)
        found = atomic_mistakes(rng.normal(size=400) + 1.2 * y, y)
        correlations.append(spearmanr(found.gain_average_precision, 1 / found.rank).statistic)
    assert np.mean(correlations) > 0.95
    assert min(correlations) < 1  # not strictly


def test_one_class_or_no_rows_have_no_mistakes():
    for s, y in (([0.1, 0.2], [0, 0]), ([0.1, 0.2], [1, 1]), ([], [])):
        assert len(atomic_mistakes(s, y)) == 0
        assert atomic_mistakes(s, y).as_records() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=30))
def test_any_ranking_keeps_the_identities(rows):
    s, y = np.array([r[0] for r in rows]), np.array([int(r[1]) for r in rows])
    for expectation, area in ((auroc_expectation, roc_auc), (auprc_expectation, average_precision)):
        assert expectation(s, y) == pytest.approx(area(s, y), abs=1e-12, nan_ok=True)
    found = atomic_mistakes(s, y)
    assert (found.gain_roc_auc > 0).all()
    assert np.isfinite(found.gain_average_precision).all()


# --------------------------------------------------------------------------------------------- experiments


@pytest.mark.parametrize("auroc", [0.3, 0.65, 0.85])
def test_scores_have_the_area_that_is_wanted(auroc):
    areas = [roc_auc(*scores_at_auroc(200, auroc, 0.1, seed)) for seed in range(60)]
    assert np.mean(areas) == pytest.approx(auroc, abs=0.02)  # below one half too
    assert scores_at_auroc(200, auroc, 0.001)[1].sum() == 1


def test_two_populations_are_scaled_to_their_prevalence():
    s, y, g = two_populations(0.85, (0.1, 0.02), n=400, seed=4)
    assert [y[g == k].mean() for k in (0, 1)] == [0.1, 0.02]
    assert [s[g == k].mean() for k in (0, 1)] == pytest.approx([0.1, 0.02])


def gap_after(order, seeds=12):
    gaps = []
    for seed in range(seeds):
        drift = fix_mistakes(*two_populations(seed=seed), order=order, seed=seed)
        gaps.append(np.diff(drift.roc_auc[[0, -1]] @ [1.0, -1.0])[0])
    return np.mean(gaps)


def test_repairing_the_highest_mistakes_serves_the_group_with_more_positives():
    assert gap_after("top") > 0.015
    assert gap_after("best") > 0.015
    assert gap_after("random") < 0.005


@pytest.mark.parametrize("change", ["permute", "perturb"])
def test_choosing_by_average_precision_widens_the_gap_by_chance_too(change):
    gap = {}
    for metric in ("roc_auc", "average_precision"):
        runs = [
            drift_by_chance(
                *two_populations(seed=seed, n=100),
                optimize=metric,
                change=change,
                tries=20,
                steps=20,
                seed=seed,
            )
            for seed in range(8)
        ]
        assert isinstance(runs[0], Drift)
        gap[metric] = np.mean([np.diff(run.roc_auc[[0, -1]] @ [1.0, -1.0])[0] for run in runs])
    assert gap["average_precision"] > gap["roc_auc"] + 0.01


def test_a_permutation_moves_no_row_by_more_than_three_ranks_and_changes_from_step_to_step():
    s = np.arange(50.0)
    y = np.repeat([0, 1], 25)
    one = drift_by_chance(s, y, optimize="roc_auc", steps=1, tries=1, seed=3).scores
    two = drift_by_chance(s, y, optimize="roc_auc", steps=2, tries=1, seed=3).scores
    assert sorted(one) == s.tolist()
    assert 0 < abs(one - s).max() <= 3
    assert np.any(two - one != one - s)
    assert abs(two - one).max() <= 6


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="order='up' is unknown"):
        fix_mistakes([0.1, 0.2], [0, 1], order="up")
    with pytest.raises(ValueError, match="use 'roc_auc' or"):
        drift_by_chance([0.1, 0.2], [0, 1], optimize="f1")
    with pytest.raises(ValueError, match="it takes two rows"):
        scores_at_auroc(1, 0.5, 0.5)
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        fix_mistakes([0.1, 0.2], [0, 1], groups=[1])


# ------------------------------------------------------------------------------------------------- groups


def calibrated_groups(shares, n=4000, seed=0):
    """Scores that are the true probabilities, so calibrated within each group."""
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.beta(2 * share, 2 * (1 - share), n) for share in shares])
    return p, (rng.uniform(size=len(p)) < p).astype(int), np.repeat(np.arange(len(shares)), n)


def test_the_best_repair_lies_in_the_group_with_more_positives():
    """The disparity theorem: with probability to 1 as the other group's prevalence falls."""
    shares = []
    for rare in (0.05, 0.01, 0.002):
        hits = []
        for seed in range(20):
            s, y, g = calibrated_groups((0.1, rare), 400, seed)
            found = atomic_mistakes(s, y)
            hits.append(g[found.positive[found.gain_average_precision.argmax()]] == 0)
        shares.append(np.mean(hits))
    assert shares[-1] >= 0.95
    assert shares[0] < shares[-1]


def test_bias_says_whom_average_precision_prefers():
    s, y, g = calibrated_groups((0.02, 0.2))
    bias = subpopulation_bias(s, y, g, n_boot=50)
    assert isinstance(bias, SubpopulationBias)
    assert [part.group for part in bias.groups] == [1, 0]  # by prevalence
    most, least = bias.groups
    assert isinstance(most, Subpopulation)
    assert most.preference > 1 > least.preference
    assert most.share_of_mistakes + least.share_of_mistakes == pytest.approx(1)
    assert most.share_of_gain + least.share_of_gain == pytest.approx(1)
    for part in bias.groups:
        rows = g == part.group
        assert part.roc_auc == delong_interval(s[rows], y[rows])
        assert part.average_precision.value == pytest.approx(average_precision(s[rows], y[rows]))
        assert part.average_precision.low < part.average_precision.value < part.average_precision.high
    assert bias.roc_auc == roc_auc(s, y)
    assert bias.mistakes == len(atomic_mistakes(s, y))
    assert any("is drawn to group 1" in sentence for sentence in bias.says)
    assert json.loads(json.dumps(bias.as_dict()))["groups"][0]["rows"] == 4000


def test_a_preference_is_told_only_where_there_is_one():
    # Four hundred positives of both groups, then a mistake at every other rank, the groups taking turns.
    y = np.concatenate([np.ones(400, int), np.tile([0, 1], 400), np.zeros(1200, int)])
    g = np.concatenate([np.tile(["a", "b"], 200), np.where(np.arange(800) // 2 % 2, "a", "b"), ["b"] * 1200])
    bias = subpopulation_bias(-np.arange(2400.0), y, g)
    assert all(0.95 < part.preference < 1.05 for part in bias.groups)
    assert "no clear preference" in bias.says[-1]
    turned = np.where(np.arange(800) < 400, "b", "a")  # the rarer group makes the higher mistakes
    bias = subpopulation_bias(-np.arange(2400.0), y, np.concatenate([g[:400], turned, g[1200:]]))
    assert "drawn to group 'b' here, not to the one with most" in bias.says[-1]
    perfect = subpopulation_bias(-np.arange(2400.0), np.sort(y)[::-1], g)
    assert perfect.mistakes == 0
    assert "no mistake to repair" in perfect.says[-1]
    assert perfect.as_dict()["groups"][0]["preference"] is None


def test_shares_are_those_of_a_loop_over_all_pairs():
    rng = np.random.default_rng(2)
    s, y, g = rng.integers(0, 8, 60) / 8, rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    kept, gained = np.zeros(3), np.zeros(3)
    before = average_precision(s, y)
    levels = np.unique(s)
    for high, low in zip(levels[1:], levels[:-1]):
        for i in np.flatnonzero((s == high) & (y == 0)):
            for j in np.flatnonzero((s == low) & (y == 1)):
                fixed = s.copy()
                fixed[[i, j]] = fixed[[j, i]]
                kept[g[j]] += 1
                gained[g[j]] += average_precision(fixed, y) - before
    bias = subpopulation_bias(s, y, g)
    for part in bias.groups:
        assert part.share_of_mistakes == pytest.approx(kept[part.group] / kept.sum())
        assert part.share_of_gain == pytest.approx(gained[part.group] / gained.sum())


def test_at_the_common_prevalence_equal_rankings_score_alike():
    s, y = draw(11, n=2000, ties=False)
    s = s + 0.5 * y
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[::10]])
    both = subpopulation_bias(
        np.concatenate([s, s[rare]]), np.concatenate([y, y[rare]]), ["all"] * 2000 + ["rare"] * len(rare)
    )
    plain = [part.average_precision.value for part in both.groups]
    common = [part.average_precision_at_common_prevalence for part in both.groups]
    assert plain[0] - plain[1] > 0.1
    assert common[0] == pytest.approx(common[1], abs=0.03)


def test_groups_alike_and_groups_without_positives_are_told():
    s, y, _ = calibrated_groups((0.2,), 900)
    alike = subpopulation_bias(s, y, np.arange(900) % 2)
    assert "has little to prefer" in alike.says[-1]
    g = np.where(y == 1, "a", np.where(np.arange(900) % 3 == 0, "b", "a"))
    lone = subpopulation_bias(s, y, g)
    assert "Group 'b' has no positives" in lone.says[0]
    assert "no two groups" in lone.says[-1]
    assert lone.as_dict()["groups"][-1]["roc_auc"]["value"] is None
    with pytest.raises(ValueError, match="one label a row"):
        subpopulation_bias(s, y, g[:-1])


# -------------------------------------------------------------------------------------------------- advice


@pytest.mark.parametrize(
    ("settings", "metric"),
    [
        ({"question": "rank"}, "roc_auc"),
        ({"question": "decide"}, "f1"),
        ({"question": "retrieve"}, "average_precision"),
        ({"question": "retrieve", "group_prevalences": (0.01, 0.001)}, "roc_auc"),
        ({"question": "retrieve", "group_prevalences": (0.01, 0.009)}, "average_precision"),
        ({"question": "probability"}, "log_loss"),
        ({"question": "retrieve", "budget": 50}, "precision@50"),
        ({"question": "rank", "costs": True, "budget": 50}, "expected_cost"),
    ],
)
def test_the_metric_follows_from_the_question(settings, metric):
    advice = which_metric(**settings, prevalence=0.005)
    assert isinstance(advice, Advice)
    assert advice.metric == metric
    assert not {metric, *advice.beside} & set(advice.avoid)
    assert "accuracy" in advice.avoid
    assert str(advice).startswith(f"{metric}: ")
    assert json.loads(json.dumps(advice.as_dict()))["metric"] == metric
    for name in (advice.metric, *advice.beside, *advice.avoid):  # every name is one that can be computed
        assert get_metric(name, cost=[[0, 1], [1, 0]])


def test_advice_at_even_shares_lets_accuracy_stand_and_names_what_survives_noise():
    assert which_metric("rank", prevalence=0.5).avoid == ()
    assert "mcc" in which_metric("rank", prevalence=0.5, noisy_labels=True).beside
    assert set(QUESTIONS) == {"decide", "rank", "retrieve", "probability"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"question": "what", "prevalence": 0.1}, "the question 'what' is unknown"),
        ({"prevalence": 0.0}, "shares of positives must lie between 0 and 1"),
        ({"prevalence": 0.1, "budget": 0}, "a budget is at least one row"),
    ],
)
def test_questions_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        which_metric(**settings)
