"""Dice and Tversky losses: twins, the limits, the peak, hard negatives, and what they are not."""

import math

import pytest
import torch

from metabalance.loss import DiceLoss, SelfAdjustingDiceLoss, TverskyLoss, flatten_tokens
from metabalance.loss.dice import dice_losses, hardest, self_adjusted


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    return 2 * torch.randn(20, 3, generator=g, dtype=torch.float64), torch.randint(3, (20,), generator=g)


def probabilities(logits, alpha=0.0):
    rows = []
    for row in logits.tolist():
        e = [math.exp(z) for z in row]
        rows.append([(1 - v / sum(e)) ** alpha * v / sum(e) for v in e])
    return rows


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0, 2.0])
@pytest.mark.parametrize("smooth", [1e-4, 1.0])
def test_twin(data, square, alpha, smooth):
    logits, target = data
    power, twin, sums = 2 if square else 1, [], [[0.0] * 3 for _ in range(3)]
    for p, label in zip(probabilities(logits, alpha), target.tolist()):
        value = 0.0
        for c in range(3):
            y = float(c == label)
            value += 1 - (2 * p[c] * y + smooth) / (p[c] ** power + y**power + smooth)
            for total, part in zip(sums, (p[c] * y, p[c] ** power, y**power)):
                total[c] += part
        twin.append(value)
    settings = {"square": square, "alpha": alpha, "smooth": smooth, "reduction": "none"}
    torch.testing.assert_close(DiceLoss(**settings)(logits, target).tolist(), twin)
    over_batch = sum(1 - (2 * b + smooth) / (o + t + smooth) for b, o, t in zip(*sums))
    ours = DiceLoss("class", **settings)(logits, target)
    torch.testing.assert_close(ours.tolist(), [over_batch] * 20)
    torch.testing.assert_close(DiceLoss("class", **settings | {"reduction": "mean"})(logits, target), ours[0])


@pytest.mark.parametrize("level", ["example", "class"])
def test_tversky_twin(data, level):
    logits, target = data
    rows, sums = [], [[0.0] * 3 for _ in range(3)]
    for p, label in zip(probabilities(logits), target.tolist()):
        value = 0.0
        for c in range(3):
            y = float(c == label)
            parts = (p[c] * y, p[c] * (1 - y), (1 - p[c]) * y)
            value += 1 - (parts[0] + 1) / (parts[0] + 0.3 * parts[1] + 0.7 * parts[2] + 1)
            for total, part in zip(sums, parts):
                total[c] += part
        rows.append(value)
    if level == "class":
        rows = [sum(1 - (h + 1) / (h + 0.3 * a + 0.7 * m + 1) for h, a, m in zip(*sums))] * 20
    ours = TverskyLoss(0.3, 0.7, level, reduction="none")(logits, target)
    torch.testing.assert_close(ours.tolist(), rows)


def test_the_value_that_the_author_gives():
    """Probabilities .9, .03, .03, .03, the first true, alpha .01: 0.0079 (the authors' issue 2)."""
    logits = torch.tensor([[0.9, 0.03, 0.03, 0.03, 0.01]], dtype=torch.float64).log()
    loss = SelfAdjustingDiceLoss(0.01, classes=[0, 1, 2, 3])(logits, torch.tensor([0]))
    assert float(loss) == pytest.approx(0.007930, abs=5e-7)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("s", [1e-4, 1.0])
def test_closed_forms(p, s):
    value, one = torch.tensor([[p]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for y, square, expected in (
        (one, True, (1 - p) ** 2 / (1 + p**2 + s)),
        (0 * one, True, p**2 / (p**2 + s)),
        (one, False, (1 - p) / (1 + p + s)),
        (0 * one, False, p / (p + s)),
    ):
        assert dice_losses(value, y, s, square).item() == pytest.approx(expected)


def test_without_smoothing_a_negative_cannot_teach():
    for smooth, expected in ((1e-12, 1.0), (1e12, 0.0)):
        values = dice_losses(torch.tensor([[0.01], [0.9]], dtype=torch.float64), torch.zeros(2, 1), smooth)
        torch.testing.assert_close(values, torch.full((2, 1), expected, dtype=torch.float64))


def test_of_hard_predictions_it_is_one_minus_f1():
    from sklearn.metrics import f1_score

    g = torch.Generator().manual_seed(0)
    target, predicted = (torch.rand(200, generator=g) < 0.2).long(), torch.randint(2, (200,), generator=g)
    logits = torch.nn.functional.one_hot(predicted, 2) * 1e4
    for square in (True, False):
        loss = DiceLoss("class", square, smooth=1e-9, classes=[1])(logits, target)
        assert float(loss) == pytest.approx(1 - f1_score(target, predicted))


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 1.0])
def test_the_peak(alpha):
    """The self-adjusted probability is largest at p = 1/(1+alpha); there a positive's loss is least."""
    peak = 1 / (1 + alpha)

    def slope(p, label):
        z = torch.tensor([[math.log(p / (1 - p)), 0.0]], dtype=torch.float64, requires_grad=True)
        SelfAdjustingDiceLoss(alpha, classes=[0])(z, torch.tensor([label])).backward()
        return z.grad[0, 0].item()

    below, above = peak * 0.99, 1 - (1 - peak) * 0.9
    assert slope(below, label=0) < 0 < slope(above, label=0)
    assert slope(below, label=1) > 0 > slope(above, label=1)  # a surer false alarm is cheaper
    assert slope(peak, label=0) == pytest.approx(0, abs=1e-9)


def test_certainly_right_costs_as_much_as_certainly_wrong():
    sure = torch.tensor([[1e4, 0.0], [-1e4, 0.0]])
    loss = SelfAdjustingDiceLoss(1.0, classes=[0], reduction="none")(sure, torch.tensor([0, 0]))
    torch.testing.assert_close(loss, torch.tensor([0.5, 0.5]))  # 1/(1 + s)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.5])
def test_self_adjusted_probabilities_keep_value_and_gradient_when_p_rounds_to_one(alpha):
    for size in (17.0, 40.0, 90.0):
        z = torch.tensor([[size, 0.0]], requires_grad=True)
        p = self_adjusted(z, alpha)
        p[0, 0].backward()
        expected = math.exp(-alpha * size)  # (1 - p)^alpha, and alpha times as steep
        assert p[0, 0].item() == pytest.approx(expected, rel=1e-4)
        assert z.grad[0, 0].item() == pytest.approx(-alpha * expected, rel=1e-3)


def test_self_adjusted_probabilities_are_the_plain_formula(data):
    logits, _ = data
    for alpha in (0.0, 0.01, 1.0):
        torch.testing.assert_close(self_adjusted(logits, alpha).tolist(), probabilities(logits, alpha))
    tie = self_adjusted(torch.zeros(1, 2), 1.0)
    torch.testing.assert_close(tie, torch.tensor([[0.25, 0.25]]))


def test_tversky_of_equal_prices_is_dice(data):
    logits, target = data
    for level in ("example", "class"):
        torch.testing.assert_close(
            TverskyLoss(0.5, 0.5, level, smooth=0.5)(logits, target),
            DiceLoss(level, square=False, smooth=1.0)(logits, target),
        )


def test_tversky_of_hard_predictions_is_one_minus_jaccard():
    target, predicted = torch.tensor([1, 1, 1, 0, 0, 0]), torch.tensor([1, 0, 1, 1, 0, 0])
    logits = torch.nn.functional.one_hot(predicted, 2) * 1e4
    loss = TverskyLoss(1.0, 1.0, "class", smooth=1e-9, classes=[1])(logits, target)
    assert float(loss) == pytest.approx(1 - 2 / 4)


def test_dearer_misses_give_more_alarms():
    """One feature, two overlapping classes: the dearer a miss, the lower the threshold that is best."""
    g = torch.Generator().manual_seed(0)
    target = (torch.arange(400) < 100).long()
    x = torch.randn(400, generator=g, dtype=torch.float64) + 1.5 * target
    grid = torch.linspace(-2, 4, 121, dtype=torch.float64)
    best = []
    for beta in (0.1, 0.5, 0.9):
        loss = TverskyLoss(1 - beta, beta, "class", smooth=1e-9, classes=[1])
        values = [loss(torch.stack([0 * x, 100 * (x - t)], 1), target) for t in grid]
        best.append(grid[torch.stack(values).argmin()].item())
    assert best[0] > best[1] > best[2]


def test_dice_is_not_a_proper_scoring_rule():
    """A positive 3 times in 10: the expected loss is least at another probability than 0.3."""
    # where 0.7 p/(1 + p²)² = 0.3 (1 - p)(2 + p)/(2 + p²)²
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)[:, None]
    expected = 0.3 * dice_losses(grid, torch.ones_like(grid)) + 0.7 * dice_losses(
        grid, torch.zeros_like(grid)
    )
    assert grid[expected.argmin()].item() == pytest.approx(0.196, abs=1e-3)


@pytest.mark.parametrize("level", ["example", "class"])
def test_mixed_labels_are_best_met_by_their_own_shares(level):
    shares = torch.tensor([[0.3, 0.7, 0.0], [0.1, 0.2, 0.7]], dtype=torch.float64)
    loss = DiceLoss(level)
    best = loss(shares.clamp_min(1e-12).log(), shares)
    assert float(best) == pytest.approx(0, abs=1e-9)
    assert loss(torch.zeros(2, 3, dtype=torch.float64), shares) > 0.01


def test_hard_negatives_are_counted_right():
    p = torch.tensor([[0.9], [0.1], [0.5], [0.5], [0.3], [0.7]])
    y = torch.tensor([[1.0], [1.0], [0.0], [0.0], [0.0], [0.0]])
    for ratio, kept in (
        (0.5, [1, 1, 0, 0, 0, 1]),
        (1.0, [1, 1, 1, 0, 0, 1]),  # of two alike the first
        (1.5, [1, 1, 1, 1, 0, 1]),
        (9.0, [1] * 6),
        (0.4, [1] * 6),  # none to keep: nothing is mined
    ):
        assert hardest(p, y, ratio)[:, 0].int().tolist() == kept


def test_mining_leaves_the_losses_of_those_it_keeps(data):
    logits, _ = data
    rare = (torch.arange(20) < 3).long()
    plain = DiceLoss(classes=[1], reduction="none")(logits, rare)
    mined = DiceLoss(classes=[1], ohem_ratio=1.0, reduction="none")(logits, rare)
    score = logits.softmax(1)[:, 1].masked_fill(rare == 1, 2.0)
    kept = score.argsort(descending=True)[:6]
    torch.testing.assert_close(mined[kept], plain[kept])
    assert (mined != 0).sum() == 6


def test_mining_without_positives_uses_every_negative(data):
    logits, _ = data
    target = torch.zeros(20, dtype=torch.long)
    plain = DiceLoss(classes=[1])(logits, target)
    torch.testing.assert_close(DiceLoss(classes=[1], ohem_ratio=0.3)(logits, target), plain)


def test_tokens():
    g = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 4, 3, generator=g), torch.tensor([[0, 1, -100, -100], [2, 1, 0, -100]])
    flat = flatten_tokens(logits, target)
    by_hand = torch.stack([logits[0, 0], logits[0, 1], logits[1, 0], logits[1, 1], logits[1, 2]])
    torch.testing.assert_close(flat[0], by_hand)
    assert flat[1].tolist() == [0, 1, 2, 1, 0]
    padded = logits.clone()
    padded[target == -100] = 1e4  # what stands there does not matter
    torch.testing.assert_close(
        DiceLoss("class")(*flatten_tokens(padded, target)), DiceLoss("class")(*flat), rtol=0, atol=0
    )
    with pytest.raises(ValueError, match=r"tokens need logits \(B, T, C\)"):
        flatten_tokens(logits, target[:, :3])


@pytest.mark.parametrize("make", [DiceLoss, SelfAdjustingDiceLoss, TverskyLoss])
def test_refusals(make):
    with pytest.raises(ValueError, match="level='set' is unknown; use 'example' or 'class'"):
        make(level="set")
    with pytest.raises(ValueError, match="smooth must be above 0"):
        make(smooth=0.0)
    for classes in ([2], [-1], []):
        with pytest.raises(ValueError, match="does not fit logits of 2 classes"):
            make(classes=classes)(torch.zeros(1, 2), torch.tensor([0]))


def test_a_rare_positive_class_has_a_higher_f1_at_one_half_than_by_cross_entropy():
    """1 in 50, logistic regression: Dice over the batch wins F1 at 1/2, cross-entropy the log-loss."""
    from sklearn.metrics import f1_score, log_loss

    g = torch.Generator().manual_seed(0)
    target = (torch.arange(2000) % 50 == 0).long()
    inputs = torch.randn(2000, 2, generator=g) + 1.5 * target[:, None]
    found = {}
    for name, loss in (
        ("dice", DiceLoss("class", square=True, classes=[1])),
        ("ce", torch.nn.CrossEntropyLoss()),
    ):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()
        p = model(inputs).softmax(1)[:, 1].detach().double()
        found[name] = f1_score(target, p > 0.5), log_loss(target, p)
    assert found["dice"][0] > found["ce"][0]
    assert found["ce"][1] < found["dice"][1]
