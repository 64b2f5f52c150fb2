"""Recipes whose idea is what a mistake costs: what they put into the slots."""

import numpy as np
import pytest
import torch

from metabalance import MetaBalanceClassifier
from metabalance.engine import fit
from metabalance.heads import last_linear
from metabalance.loss import CDBLoss, ClassBalancedLoss, CosineLinear, LDAMLoss
from metabalance.networks import MLP
from metabalance.recipes import RECIPES, Task
from metabalance.recipes.costing import arb, cdb, class_smoothing, dice, label_aware_smoothing, ldam, ldam_drw

N, MINORITY = 200, 20
TARGET = torch.tensor([0] * (N - MINORITY) + [1] * MINORITY)
INPUTS = torch.randn(N, 4, generator=torch.Generator().manual_seed(0)) + 1.5 * TARGET[:, None]
NEW = ("arb", "cdb", "class_smoothing", "dice", "label_aware_smoothing", "ldam", "ldam_drw")


def task(**changes):
    return Task(**{"inputs": INPUTS, "target": TARGET, "num_classes": 2, "batch_size": 64} | changes)


def test_ldam_puts_a_cosine_head_that_gives_logits():
    plan, model = ldam(task()), MLP(4, 2, hidden=(8,))
    plan.prepare(model)
    head = last_linear(model)
    assert isinstance(head, CosineLinear)
    assert (head.in_features, head.out_features, head.scale) == (8, 2, 30.0)
    logits = model(INPUTS)
    assert logits.abs().max() <= 30
    # the paper's loss of the bare cosines
    expected = LDAMLoss([N - MINORITY, MINORITY])(logits / 30, TARGET)
    torch.testing.assert_close(plan.objective(model, (INPUTS, TARGET)), expected)


def test_ldam_keeps_the_dtype_of_the_head():
    model = MLP(4, 2, hidden=(8,)).double()
    ldam(task()).prepare(model)
    assert last_linear(model).weight.dtype == torch.float64


def test_ldam_drw_is_ldam_until_the_weights_are_switched_on():
    plain, deferred = ldam(task(epochs=10)), ldam_drw(task(epochs=10), start=0.8, beta=0.99)
    model = MLP(4, 2, hidden=(8,))
    deferred.prepare(model)
    batch = INPUTS, TARGET
    assert isinstance(last_linear(model), CosineLinear)
    assert (deferred.select_from, plain.select_from) == (0.8, 0.0)
    (part,) = deferred.parts
    for epoch in range(8):
        assert torch.equal(deferred.objective(model, batch), plain.objective(model, batch))
        part.update(epoch=epoch)
    weight = ClassBalancedLoss([N - MINORITY, MINORITY], beta=0.99).weight
    expected = LDAMLoss([N - MINORITY, MINORITY], weight=weight)(model(INPUTS) / 30, TARGET)
    torch.testing.assert_close(deferred.objective(model, batch), expected)
    assert deferred.training_prior[1] > plain.training_prior[1]
    with pytest.raises(ValueError, match="start must be at least 0 and below 1"):
        ldam_drw(task(), start=1.0)


def test_cdb_learns_its_weights_from_the_validation():
    plan = cdb(task(), tau=1.0)
    (loss,) = plan.parts
    assert isinstance(loss, CDBLoss)
    torch.manual_seed(0)
    model = MLP(4, 2, hidden=(8,))
    fit(
        model,
        plan.loader,
        objective=plan.objective,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        parts=plan.parts,
        validation=[(INPUTS, TARGET)],
        epochs=1,
    )
    recall = [(model(INPUTS).argmax(1) == TARGET)[c == TARGET].float().mean() for c in (0, 1)]
    torch.testing.assert_close(loss.difficulty, 1 - torch.stack(recall))
    assert loss.weight[0] < loss.weight[1]
    assert plan.objective.loss is loss


def test_arb_counts_the_batch_or_everything():
    batch = INPUTS[-40:], TARGET[-40:]  # half and half
    model = MLP(4, 2, hidden=(8,))
    plain = torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
    torch.testing.assert_close(arb(task()).objective(model, batch), plain)
    n = torch.tensor([N - MINORITY, MINORITY])
    adjusted = torch.nn.functional.cross_entropy(model(batch[0]) + n.log(), batch[1])
    torch.testing.assert_close(arb(task(), counts="global").objective(model, batch), adjusted)
    with pytest.raises(ValueError, match="counts='epoch' is unknown; use 'batch' or 'global'"):
        arb(task(), counts="epoch")


def test_arb_of_the_batch_leaves_row_weights_in_the_prior():
    weight = torch.where(TARGET == 1, 3.0, 1.0)
    one = task(weight=weight / weight.mean())
    np.testing.assert_allclose(arb(one).training_prior, [0.25, 0.75])
    np.testing.assert_allclose(arb(one, counts="global").training_prior, [0.5, 0.5])


def test_priors_of_smoothed_labels():
    np.testing.assert_allclose(
        class_smoothing(task(), head=0.0, tail=0.5).training_prior, [0.9 + 0.1 * 0.25, 0.1 * 0.75], atol=1e-7
    )
    prior = label_aware_smoothing(task(), head=0.5, tail=0.0).training_prior
    np.testing.assert_allclose(prior, [0.9 * 0.75, 0.1 + 0.9 * 0.25], atol=1e-7)


def test_dice_carries_its_options():
    loss = dice(task(), alpha=0.1, square=False, smooth=2.0).objective.loss
    assert (loss.alpha, loss.square, loss.smooth, loss.level) == (0.1, False, 2.0, "example")


@pytest.mark.parametrize("name", NEW)
def test_on_images(name):
    g = torch.Generator().manual_seed(0)
    target = torch.tensor([0] * 48 + [1] * 16)
    images = (0.3 * torch.rand(64, 1, 8, 8, generator=g) + 0.5 * target[:, None, None, None]).numpy()
    assert name in RECIPES
    model = MetaBalanceClassifier(name, epochs=5, random_state=0, lr=0.01).fit(images, target.numpy())
    assert (model.predict(images) == target.numpy()).mean() > 0.9
