"""CDB loss: weights from difficulty, both dynamic exponents, and recalls that are not there."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import CDBLoss
from metabalance.loss.cdb import dynamic_tau

NAN = float("nan")


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    return torch.randn(20, 3, generator=g, dtype=torch.float64), torch.randint(3, (20,), generator=g)


def weights(recall, tau, **settings):
    loss = CDBLoss(len(recall), tau, **settings)
    loss.update(recall=torch.tensor(recall))
    return loss.weight


@pytest.mark.parametrize("tau", [0.5, 1.5, "dynamic", "dynamic_coded"])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_twin(data, tau, gamma):
    logits, target = data
    recall = [0.9, 0.6, 0.2]
    power = tau
    if tau == "dynamic":
        power = 2 / (1 + math.exp(-(0.9 / 0.21 - 1)))
    elif tau == "dynamic_coded":
        power = 1 / (1 + math.exp(-0.9 / 0.21))
    w = [(1 - a) ** power for a in recall]
    w = [3 * v / sum(w) for v in w]
    twin = []
    for row, y in zip(logits.tolist(), target.tolist()):
        p = math.exp(row[y]) / sum(map(math.exp, row))
        twin.append(-w[y] * (1 - p) ** gamma * math.log(p))
    loss = CDBLoss(3, tau, gamma, reduction="none")
    loss.update(recall=recall, epoch=4, loss=1.0)
    ours = loss(logits, target)
    torch.testing.assert_close(ours, torch.tensor(twin, dtype=torch.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("recall", "intended", "coded"),
    [
        ([0.9, 0.1], 1.998, 0.9997),
        ([0.8, 0.4], 1.443, 0.876),
        ([0.5, 0.5], 0.990, 0.727),
        ([0.0, 0.0], 0.538, 0.5),  # the lower ends of the two ranges
        ([0.05, 0.05], 0.917, 0.697),
    ],
)
def test_dynamic_tau_of_the_cards(recall, intended, coded):
    recall = torch.tensor(recall)
    assert dynamic_tau(recall) == pytest.approx(intended, abs=5e-4)
    assert dynamic_tau(recall, coded=True) == pytest.approx(coded, abs=5e-4)


def test_dynamic_tau_grows_with_the_spread_up_to_two():
    taus = [dynamic_tau(torch.tensor([0.9, a])) for a in (0.9, 0.6, 0.3, 0.1, 0.0)]
    assert taus == sorted(taus)
    assert taus[-1] == pytest.approx(2.0)


@pytest.mark.parametrize("loss", [CDBLoss(3, 0.0), CDBLoss(3, "dynamic"), CDBLoss(3, 5.0)])
@pytest.mark.parametrize("recall", [None, [0.4, 0.4, 0.4], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_fresh_or_equally_hard_classes_are_cross_entropy(data, loss, recall):
    logits, target = data
    loss.update(recall=recall)
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target))


def test_tau_zero_is_cross_entropy(data):
    logits, target = data
    loss = CDBLoss(3, 0.0)
    loss.update(recall=[0.9, 0.5, 0.1])
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target))


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0, "dynamic"])
def test_weights_sum_to_the_classes_and_rise_with_difficulty(tau):
    w = weights([0.9, 0.5, 0.3, 0.1], tau)
    assert float(w.sum()) == pytest.approx(4)
    assert (w.diff() > 0).all()
    torch.testing.assert_close(weights([0.1, 0.5, 0.9, 0.3], tau), w[[3, 1, 0, 2]])


def test_ratio_of_weights_and_sharpening():
    w = weights([0.75, 0.25], 2.0)
    assert float(w[1] / w[0]) == pytest.approx(9)
    torch.testing.assert_close(weights([0.75, 0.25], 2.0, normalize=False), torch.tensor([0.0625, 0.5625]))


def test_a_perfect_class_teaches_nothing_until_it_fails_again(data):
    logits, target = data
    logits.requires_grad_()
    loss = CDBLoss(3, 1.0)
    loss.update(recall=[1.0, 0.5, 0.0])
    loss(logits, target).backward()
    assert (logits.grad[target == 0] == 0).all()
    assert (logits.grad[target != 0] != 0).all()
    loss.update(recall=[0.5, 0.5, 0.5])
    assert loss.weight.tolist() == [1, 1, 1]


def test_a_class_without_held_out_rows_keeps_its_difficulty():
    loss = CDBLoss(3, 1.0)
    loss.update(recall=[0.5, NAN, 0.9])
    torch.testing.assert_close(loss.difficulty, torch.tensor([0.5, 1.0, 0.1]))  # as if always missed
    loss.update(recall=[0.5, 0.2, 0.9])
    loss.update(recall=[0.5, NAN, 0.7])
    torch.testing.assert_close(loss.difficulty, torch.tensor([0.5, 0.8, 0.3]))
    torch.testing.assert_close(loss.weight, torch.tensor([0.5, 0.8, 0.3]) * 3 / 1.6)
    before = loss.weight.clone()
    loss.update(recall=[NAN] * 3)
    loss.update(epoch=3, loss=0.1)  # a run without validation
    assert torch.equal(loss.weight, before)


def test_a_class_without_held_out_rows_has_no_part_in_tau():
    w = weights([0.8, NAN, 0.4], "dynamic")
    tau = dynamic_tau(torch.tensor([0.8, 0.4]))
    expected = torch.tensor([0.2, 1.0, 0.6]) ** tau
    torch.testing.assert_close(w, expected * 3 / expected.sum())


def test_difficulties_survive_a_checkpoint():
    old, new = CDBLoss(3, 1.0), CDBLoss(3, 1.0)
    old.update(recall=[0.5, NAN, 0.9])
    new.load_state_dict(old.state_dict())
    for loss in (old, new):
        loss.update(recall=[NAN, 0.2, NAN])
    assert torch.equal(new.weight, old.weight)


def test_two_classes_of_one_size_may_weigh_differently():
    """What weights by frequency cannot do: the recalls alone decide."""
    w = weights([0.9, 0.5], "dynamic")
    assert w[1] > w[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": "dynamik"}, "tau='dynamik' is unknown"),
        ({"tau": -1.0}, r"tau=-1\.0 is unknown"),
        ({"tau": NAN}, "tau=nan is unknown"),
        ({"gamma": -1.0}, "gamma must be at least 0"),
        ({"eps": 0.0}, "eps must be above 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CDBLoss(3, **settings)


@pytest.mark.parametrize("recall", [[0.5, 0.5], [0.5, 0.5, 1.1], [-0.1, 0.5, 0.5], [[0.5, 0.5, 0.5]]])
def test_impossible_recalls(recall):
    with pytest.raises(ValueError, match="recall must be 3 numbers between 0 and 1"):
        CDBLoss(3).update(recall=recall)


def test_it_raises_the_worst_recall_where_classes_differ_in_difficulty_alone():
    """Three Gaussians in a row, as many of each: the middle one is hard, and weights by class size are all 1.

    With tau 0.5: a larger one overshoots here, from one validation to the next.
    """
    g = torch.Generator().manual_seed(0)
    target = torch.arange(3000) % 3
    inputs = torch.randn(3000, 1, generator=g) + 1.5 * (target[:, None] - 1)
    train, held_out, test = (slice(1000 * k, 1000 * k + 1000) for k in range(3))

    def recall(model, rows):
        right = model(inputs[rows]).argmax(1) == target[rows]
        return torch.stack([right[target[rows] == c].float().mean() for c in range(3)])

    found = {}
    for name, loss in (("ce", torch.nn.CrossEntropyLoss()), ("cdb", CDBLoss(3, tau=0.5))):
        torch.manual_seed(0)
        model = torch.nn.Linear(1, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for step in range(200):
            optimizer.zero_grad()
            loss(model(inputs[train]), target[train]).backward()
            optimizer.step()
            if name == "cdb" and step % 10 == 9:
                loss.update(recall=recall(model, held_out))
        found[name] = recall(model, test)
    assert found["ce"].argmin() == 1
    assert found["cdb"].min() > found["ce"].min() + 0.05
