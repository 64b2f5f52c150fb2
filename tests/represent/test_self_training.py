"""Pseudo-labels, and the two theorems of Yang & Xu (2020) as exact toys."""

import numpy as np
import pytest
import torch
from torch import nn

from metabalance.represent import pseudo_labels


class Recorder(nn.Module):
    """Notes the mode and the size of every batch."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.inner = nn.Dropout()

    def forward(self, inputs):
        self.seen.append((self.training, self.inner.training, len(inputs)))
        return inputs


def test_hard_labels_in_evaluation_mode_batch_by_batch():
    model = Recorder().train()
    model.inner.eval()
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    labels, kept = pseudo_labels(model, logits, batch_size=4)
    assert torch.equal(labels, logits.argmax(1))
    assert kept.all()
    assert model.seen == [(False, False, 4), (False, False, 4), (False, False, 2)]
    assert model.training
    assert not model.inner.training


def test_modes_are_put_back_after_an_error():
    class Broken(nn.Module):
        def forward(self, inputs):
            raise RuntimeError

    model = Broken().train()
    with pytest.raises(RuntimeError):
        pseudo_labels(model, torch.zeros(2, 2))
    assert model.training


def test_threshold():
    probabilities = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.95, 0.05]])
    for threshold, expected in ((0.0, [1, 1, 1]), (0.75, [0, 1, 1]), (0.9, [0, 0, 1]), (1.0, [0, 0, 0])):
        _, kept = pseudo_labels(nn.Identity(), probabilities.log(), threshold=threshold)
        assert kept.tolist() == [bool(e) for e in expected]
    with pytest.raises(ValueError, match="threshold is a probability, from 0 to 1, but"):
        pseudo_labels(nn.Identity(), probabilities, threshold=1.5)


def estimate(rng, mu, sigma, accuracy, sizes):
    """Half the sum of the means of pseudo-positives and pseudo-negatives, as in the paper's theorem 1.

    The paper conditions on the pseudo-label: of those that say + a share p comes from +, and of those that say -
    a share q from -.
    """
    (plus, minus), (p, q), (n_plus, n_minus) = mu, accuracy, sizes
    true_plus = rng.random(n_plus) < p
    true_minus = rng.random(n_minus) < q
    positives = rng.normal(np.where(true_plus, plus, minus), sigma)
    negatives = rng.normal(np.where(true_minus, minus, plus), sigma)
    return (positives.mean() + negatives.mean()) / 2


@pytest.mark.parametrize(("p", "q", "bias"), [(0.8, 0.8, 0.0), (0.9, 0.55, 0.35), (0.55, 0.9, -0.35)])
def test_the_pseudo_label_estimator_is_biased_by_the_difference_of_the_accuracies(p, q, bias):
    rng, mu, sigma = np.random.default_rng(0), (1.0, -1.0), 1.0
    values = np.array([estimate(rng, mu, sigma, (p, q), (200, 200)) for _ in range(4000)])
    expected = sum(mu) / 2 + (p - q) * (mu[0] - mu[1]) / 2
    assert expected == pytest.approx(bias)
    assert values.mean() == pytest.approx(expected, abs=5 * values.std() / 4000**0.5)
    assert 5 * values.std() / 4000**0.5 < 0.01  # narrow enough to tell the cases apart


def test_the_estimator_varies_least_when_the_unlabelled_rows_are_balanced():
    rng = np.random.default_rng(0)
    spread = {}
    for sizes in ((100, 100), (180, 20)):
        values = [estimate(rng, (1.0, -1.0), 1.0, (1.0, 1.0), sizes) for _ in range(4000)]
        spread[sizes] = np.var(values)
        assert spread[sizes] == pytest.approx((1 / sizes[0] + 1 / sizes[1]) / 4, rel=0.1)
    assert spread[180, 20] > 2 * spread[100, 100]


def test_the_self_supervision_theorem():
    """Classes that differ in spread alone: no linear rule does well, one on the squared norm is perfect."""
    rng, d, beta = np.random.default_rng(0), 200, 4.0

    def draw(positives, negatives):
        rows = rng.normal(size=(positives + negatives, d))
        rows[positives:] *= beta**0.5
        return rows, np.repeat([1, 0], [positives, negatives])

    x, y = draw(100, 1900)  # 5 % positives
    test, truth = draw(1000, 1000)
    feature = (x**2).sum(1) / d
    threshold = (feature[y == 1].mean() + feature[y == 0].mean()) / 2
    assert ((((test**2).sum(1) / d) < threshold) == truth).mean() == 1.0
    best = 0.0
    for _ in range(200):
        w, b = rng.normal(size=d), abs(rng.normal())
        best = max(best, ((test @ w + b > 0) == truth).mean())
    assert best <= 0.75  # the theorem: an error of at least 1/4
