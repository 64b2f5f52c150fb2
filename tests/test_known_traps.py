"""What other tools got wrong outside of metrics, one test for each public report; for metrics see judge/test_metric_traps."""

import numpy as np
import pytest
import torch

from metabalance import MetaBalanceClassifier
from metabalance.adjust import shift_prior
from metabalance.counts import class_weights
from metabalance.data.batches import BatchLoader
from metabalance.loss import FocalLoss
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

rng = np.random.default_rng(0)
Y = (np.arange(200) % 10 == 0).astype(int)
X = (rng.normal(size=(200, 4)) + 1.5 * Y[:, None]).astype(np.float32)


def test_balancing_raises_the_rare_class_and_correcting_lowers_it_tabpfn_122():
    """Balancing multiplied where it had to divide: the frequent class became more frequent still."""
    assert class_weights([90, 10], "balanced").tolist() == pytest.approx([100 / 180, 5])
    balanced, source = [0.5, 0.5], [0.9, 0.1]
    even = np.array([[0.5, 0.5]])
    np.testing.assert_allclose(shift_prior(even, balanced, source), [source])
    np.testing.assert_allclose(shift_prior(np.array([source]), source, balanced), even)


def test_the_epoch_after_a_resume_has_its_own_shuffle_lightning_21938():
    """The first epoch after a resume replayed the shuffle of epoch 0."""

    def loader() -> BatchLoader:
        return BatchLoader((torch.arange(40),), 8, ShuffleSampler(torch.zeros(40, dtype=torch.long), seed=0))

    def epoch(one: BatchLoader, number: int) -> list[int]:
        one.set_epoch(number)
        return torch.cat([batch[0] for batch in one]).tolist()

    whole = loader()
    epochs = [epoch(whole, number) for number in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    before = loader()
    epoch(before, 0)
    epoch(before, 1)
    after = loader()
    after.load_state_dict(before.state_dict())
    assert epoch(after, 2) == epochs[2]


@pytest.mark.parametrize("recipe", ["erm", "oversample", "focal", "metabalance"])
def test_unit_weights_change_nothing_skorch_630(recipe):
    """With weights of 1 the loss was averaged otherwise, and results changed."""
    fitted = [
        MetaBalanceClassifier(recipe, epochs=3, batch_size=32, hidden=(8,), random_state=0, min_positives=1)
        .fit(X, Y, sample_weight=weight)
        .predict_proba(X)
        for weight in (None, np.ones(len(Y)))
    ]
    np.testing.assert_allclose(fitted[0], fitted[1], atol=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_hardest_positive_is_not_free_balanced_loss(activation):
    """The focal factor overflowed below a logit of -88.7 in float32: no loss, and a gradient of NaN."""
    logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
    value = FocalLoss(activation=activation)(logits, torch.tensor([1]))
    value.backward()
    assert value > 90
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] < -0.5


def test_labels_in_any_order_are_balanced_torchsampler():
    """With unsorted labels the weights were sorted and the rows were not: others than the rare ones were repeated."""
    order = np.random.default_rng(1).permutation(len(Y))
    for target in (Y, Y[order], np.sort(Y), np.sort(Y)[::-1].copy()):
        drawn = torch.tensor(list(ClassBalancedSampler(torch.tensor(target), seed=0)))
        assert np.bincount(target[drawn.numpy()]).tolist() == [180, 180]
        assert set(drawn.tolist()) == set(range(len(Y))), "every row is seen"
