"""Counts and what follows from them: limits, scikit-learn's formula, and the figures of the papers."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.utils.class_weight import compute_class_weight

from metabalance.counts import (
    class_counts,
    class_priors,
    class_weights,
    effective_number,
    gini,
    imbalance_ratio,
    shot_groups,
)

COUNTS = st.lists(st.integers(1, 10_000), min_size=2, max_size=8)


class TestClassCounts:
    @given(st.lists(st.integers(0, 6), min_size=1))
    def test_twin(self, labels):
        twin = [sum(label == c for label in labels) for c in range(7)]
        assert class_counts(labels, num_classes=7).tolist() == twin
        assert class_counts(np.array(labels)).tolist() == twin[: max(labels) + 1]
        assert class_counts(torch.tensor(labels), 7).dtype == torch.float64

    def test_weights_add_up(self):
        assert class_counts([0, 1, 1], 3, sample_weight=[0.5, 2, 0.25]).tolist() == [0.5, 2.25, 0]

    def test_nothing(self):
        assert class_counts([], num_classes=2).tolist() == [0, 0]
        assert class_counts([]).tolist() == []

    def test_whole_floats_and_booleans_are_indices(self):
        assert class_counts([0.0, 1.0, 1.0]).tolist() == [1, 2]
        assert class_counts([True, False, True]).tolist() == [1, 2]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([-1, 0],), "start at 0, but -1"),
            (([0, 3], 3), "class index 3 does not fit num_classes=3"),
            (([0.5, 1.0],), "whole numbers"),
            (([float("nan")],), "whole numbers"),
            ((["a", "b"],), "whole numbers, not <U1; encode the labels first"),
            (([0, None],), "whole numbers, not object"),
            (([0, 1], 2, [1.0]), "2 class indices, but 1 sample weights"),
        ],
    )
    def test_bad_input(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            class_counts(*arguments)


class TestEffectiveNumber:
    @given(COUNTS, st.floats(0.01, 0.9999))
    def test_twin(self, counts, beta):
        """The number is a sum of a geometric series."""
        shown = [min(n, 200) for n in counts]
        twin = [sum(beta**k for k in range(n)) for n in shown]
        assert effective_number(shown, beta).tolist() == pytest.approx(twin, rel=1e-9)

    def test_limits(self):
        assert effective_number([0, 1, 50], 0.0).tolist() == [0, 1, 1]
        assert effective_number([0, 1, 50], 1.0).tolist() == [0, 1, 50]
        assert effective_number([0, 1, 50], 1e-300).tolist() == pytest.approx([0, 1, 1])
        assert effective_number([1, 5000], 1 - 1e-12).tolist() == pytest.approx([1, 5000], rel=1e-7)

    @pytest.mark.parametrize(("beta", "ratio"), [(0.99, 2.53), (0.999, 20.4), (0.9999, 78.9)])
    def test_published_ratios(self, beta, ratio):
        number = effective_number([5000, 50], beta)
        assert float(number[0] / number[1]) == pytest.approx(ratio, rel=5e-3)

    @pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
    def test_bad_beta(self, beta):
        with pytest.raises(ValueError, match="beta must lie between 0 and 1"):
            effective_number([1, 2], beta)


class TestClassWeights:
    @given(COUNTS)
    def test_balanced_is_scikit_learns(self, counts):
        y = np.repeat(np.arange(len(counts)), np.minimum(counts, 50))
        theirs = compute_class_weight("balanced", classes=np.unique(y), y=y)
        np.testing.assert_allclose(class_weights(class_counts(y), "balanced").numpy(), theirs)

    @given(COUNTS, st.sampled_from([None, "balanced", "sqrt", "effective"]))
    def test_the_average_example_weighs_one(self, counts, name):
        n = torch.tensor(counts, dtype=torch.float64)
        assert float((n * class_weights(counts, name)).sum()) == pytest.approx(sum(counts))

    @pytest.mark.parametrize("name", [None, "balanced", "sqrt", "effective"])
    def test_equal_counts_weigh_one(self, name):
        assert class_weights([7, 7, 7], name).tolist() == pytest.approx([1, 1, 1])

    def test_proportions(self):
        for name, ratio in [("balanced", 9), ("sqrt", 3)]:
            weight = class_weights([90, 10], name)
            assert float(weight[1] / weight[0]) == pytest.approx(ratio)
        weight = class_weights([5000, 50], "effective", beta=0.999)
        assert float(weight[1] / weight[0]) == pytest.approx(20.4, rel=5e-3)

    @pytest.mark.parametrize("name", ["balanced", "sqrt", "effective"])
    def test_an_absent_class_weighs_nothing(self, name):
        weight = class_weights([9, 0, 1], name)
        assert float(weight[1]) == 0
        assert weight[[0, 2]].tolist() == pytest.approx(class_weights([9, 1], name).tolist())

    def test_given_ones(self):
        assert class_weights([5, 5], {1: 3}).tolist() == [1, 3]
        assert class_weights([5, 5], {"b": 3}, classes=["a", "b"]).tolist() == [1, 3]
        assert class_weights([5, 5], [2, 0.5]).tolist() == [2, 0.5]
        assert class_weights([5, 5], torch.tensor([2.0, 0.5])).dtype == torch.float64

    @pytest.mark.parametrize(
        ("weight", "classes", "message"),
        [
            ("balance", None, "class_weight='balance' is unknown; use None, one of 'balanced', 'sqrt'"),
            ({2: 1.0}, None, r"names 2, which is not among the classes \[0, 1\]"),
            ({0: 1.0}, ["a"], "1 class labels were given for 2 counts"),
            ([1.0], None, "1 entries, but there are 2 classes"),
            ([1.0, -1.0], None, "finite and not negative"),
            ({0: float("inf")}, None, "finite and not negative"),
        ],
    )
    def test_bad_input(self, weight, classes, message):
        with pytest.raises(ValueError, match=message):
            class_weights([5, 5], weight, classes)


class TestSummaries:
    @given(COUNTS)
    def test_priors(self, counts):
        prior = class_priors(counts)
        assert float(prior.sum()) == pytest.approx(1)
        assert prior.tolist() == pytest.approx([n / sum(counts) for n in counts])

    def test_imbalance_ratio(self):
        assert imbalance_ratio([7, 7]) == 1
        assert imbalance_ratio([10, 0]) == float("inf")

    @given(COUNTS)
    def test_gini_twin(self, counts):
        """Half the mean difference between two classes, relative to the mean."""
        size, total = len(counts), sum(counts)
        twin = sum(abs(a - b) for a in counts for b in counts) / (2 * size * total)
        assert gini(counts) == pytest.approx(twin, abs=1e-12)

    def test_gini_when_one_class_has_everything(self):
        assert gini([100, 0, 0, 0]) == pytest.approx(0.75)  # 1 - 1/C

    def test_shot_groups_at_their_edges(self):
        groups = shot_groups([101, 100, 20, 19, 0])
        assert {name: index.tolist() for name, index in groups.items()} == {
            "many": [0],
            "medium": [1, 2],
            "few": [3, 4],
        }

    @pytest.mark.parametrize("counts", [[], [0, 0], [-1, 2], [float("nan"), 1], [float("inf"), 1]])
    @pytest.mark.parametrize("function", [class_priors, effective_number, imbalance_ratio, gini, shot_groups])
    def test_impossible_counts(self, function, counts):
        with pytest.raises(ValueError, match="class counts must be finite, not negative and not all 0"):
            function(counts)
