"""What holds for every loss that is exported."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from metabalance import loss as losses

MAKE = {
    "WeightedCrossEntropy": lambda counts, **kw: losses.WeightedCrossEntropy(1 / counts.clamp_min(1), **kw),
    "FocalLoss": lambda counts, **kw: losses.FocalLoss(2.0, **kw),
    "FocalLoss of sigmoids": lambda counts, **kw: losses.FocalLoss(0.5, activation="sigmoid", **kw),
    "ClassBalancedLoss": lambda counts, **kw: losses.ClassBalancedLoss(counts, 0.999, gamma=0.5, **kw),
    "LogitAdjustedLoss": lambda counts, **kw: losses.LogitAdjustedLoss(counts, 1.5, **kw),
    "BalancedSoftmaxLoss": lambda counts, **kw: losses.BalancedSoftmaxLoss(counts, **kw),
    "LDAMLoss": lambda counts, **kw: losses.LDAMLoss(counts, scale=3.0, weight=1 / counts.clamp_min(1), **kw),
    "ARBLoss": lambda counts, **kw: losses.ARBLoss(counts, **kw),
    "ARBLoss of the batch": lambda counts, **kw: losses.ARBLoss(**kw),
    "CDBLoss": lambda counts, **kw: cdb(counts, **kw),
    "ClassSmoothingLoss": lambda counts, **kw: losses.ClassSmoothingLoss(counts, spread="inverse", **kw),
    "LabelAwareSmoothingLoss": lambda counts, **kw: losses.LabelAwareSmoothingLoss(counts, **kw),
    "DiceLoss": lambda counts, **kw: losses.DiceLoss(**kw),
    "DiceLoss of the batch": lambda counts, **kw: losses.DiceLoss(level="class", square=False, **kw),
    "SelfAdjustingDiceLoss": lambda counts, **kw: losses.SelfAdjustingDiceLoss(0.1, **kw),
    "TverskyLoss": lambda counts, **kw: losses.TverskyLoss(0.3, 0.7, **kw),
}
# The counts, or the Dice coefficient, of the batch: there is no loss of a row alone.
OF_THE_BATCH = {"ARBLoss of the batch", "DiceLoss of the batch"}
# They hold nothing per class.
ANY_NUMBER_OF_CLASSES = {
    "FocalLoss",
    "FocalLoss of sigmoids",
    "DiceLoss",
    "SelfAdjustingDiceLoss",
    "TverskyLoss",
    *OF_THE_BATCH,
}
# Mixed labels enter the coefficient as they are.
NOT_LINEAR_IN_LABELS = {"DiceLoss", "SelfAdjustingDiceLoss", "TverskyLoss", *OF_THE_BATCH}
# Of a continuous target: see test_regression_losses.py.
OF_VALUES = {
    "BMCLoss",
    "BetaNLLLoss",
    "BNILoss",
    "FocalRLoss",
    "GAILoss",
    "PinballLoss",
    "binned_prior",
    "gaussian_prior",
}
NOT_A_LOSS = {"CosineLinear", "attraction_repulsion", "flatten_tokens"} | OF_VALUES
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def cdb(counts, **kw):
    loss = losses.CDBLoss(len(counts), gamma=0.5, **kw)
    loss.update(recall=(counts + 1) / (counts.max() + 2))
    return loss


def counts(classes):
    return torch.arange(classes, 0, -1, dtype=torch.float64) * 10


def batch(classes, rows=32, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=g, dtype=dtype)
    return logits.requires_grad_(), torch.randint(classes, (rows,), generator=g)


def test_every_exported_loss_is_here():
    assert {name.split()[0] for name in MAKE} == set(losses.__all__) - NOT_A_LOSS


@every
@pytest.mark.parametrize("classes", [2, 5, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_reductions_and_dtype(make, classes, dtype):
    logits, target = batch(classes, dtype=dtype)
    each = make(counts(classes), reduction="none")(logits, target)
    assert each.shape == (32,)
    assert each.dtype == dtype
    torch.testing.assert_close(make(counts(classes), reduction="sum")(logits, target), each.sum())
    # over the rows, never over the weights
    torch.testing.assert_close(make(counts(classes))(logits, target), each.sum() / 32)


@pytest.mark.parametrize("name", sorted(set(MAKE) - OF_THE_BATCH))
def test_losses_of_one_row_do_not_depend_on_the_others(name):
    logits, target = batch(4)
    loss = MAKE[name](counts(4), reduction="none")
    torch.testing.assert_close(loss(logits, target)[:3], loss(logits[:3], target[:3]))


@every
def test_a_batch_of_one_class_keeps_its_weight(make):
    logits, _ = batch(4)
    target = torch.full((32,), 3)
    each = make(counts(4), reduction="none")(logits, target)
    torch.testing.assert_close(make(counts(4))(logits, target), each.mean())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(make, dtype, size):
    logits = (torch.eye(3, dtype=dtype) * size).requires_grad_()
    target = torch.tensor([0, 1, 0])
    value = make(counts(3))(logits, target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@every
def test_an_absent_class_is_harmless(make):
    loss = make(torch.tensor([10.0, 0.0, 5.0]), reduction="none")
    logits, _ = batch(3, rows=6)
    target = torch.tensor([0, 1, 2, 0, 1, 2])  # absent in training, yet it may turn up later
    value = loss(logits, target)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(logits.grad).all()


@every
def test_gradient_reaches_every_logit_and_descends(make):
    logits, target = batch(4, dtype=torch.float64)
    loss = make(counts(4))
    value = loss(logits, target)
    value.backward()
    assert (logits.grad != 0).all()
    assert loss(logits.detach() - 0.01 * logits.grad, target) < value
    assert torch.autograd.gradcheck(lambda z: loss(z, target[:4]), logits.detach()[:4].requires_grad_())


@every
def test_state_dict_round_trip(make):
    logits, target = batch(3)
    old, new = make(counts(3)), make(torch.ones(3))
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(logits, target), old(logits, target))


@every
def test_shares_of_one_class_are_that_class(make):
    logits, target = batch(4)
    shares = F.one_hot(target, 4).float()
    loss = make(counts(4), reduction="none")
    torch.testing.assert_close(loss(logits, shares), loss(logits, target))


@every
def test_mixed_labels_have_finite_gradients_at_extreme_logits(make):
    logits = (torch.eye(3) * 1e4).requires_grad_()
    shares = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])  # the last class is absent
    value = make(counts(3))(logits, shares)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@every
def test_vmap_over_batches_equals_a_loop(make):
    logits, target = batch(3, rows=12)
    loss = make(counts(3))
    many = torch.func.vmap(loss)(logits.view(4, 3, 3), target.view(4, 3))
    loop = torch.stack([loss(a, b) for a, b in zip(logits.view(4, 3, 3), target.view(4, 3))])
    torch.testing.assert_close(many, loop)


@every
def test_wrong_shapes_are_named(make):
    loss = make(counts(3))
    with pytest.raises(ValueError, match=r"logits must be \(B, C\).*\(3,\)"):
        loss(torch.zeros(3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="C at least 2"):
        loss(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"target must be \(3,\).*\(2,\)"):
        loss(torch.zeros(3, 3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="reduction='avg' is unknown"):
        make(counts(3), reduction="avg")


@pytest.mark.parametrize("name", sorted(set(MAKE) - ANY_NUMBER_OF_CLASSES))
def test_wrong_number_of_classes_is_named(name):
    with pytest.raises(ValueError, match="built for 3 classes, but the logits have 4"):
        MAKE[name](counts(3))(torch.zeros(2, 4), torch.zeros(2, dtype=torch.long))


OF_COUNTS = (
    "ClassBalancedLoss",
    "LogitAdjustedLoss",
    "BalancedSoftmaxLoss",
    "LDAMLoss",
    "ARBLoss",
    "ClassSmoothingLoss",
    "LabelAwareSmoothingLoss",
)


@pytest.mark.parametrize("name", OF_COUNTS)
@pytest.mark.parametrize("bad", [[], [0, 0], [-1, 2], [float("nan"), 1]])
def test_impossible_counts_are_refused(name, bad):
    with pytest.raises(ValueError, match="class counts must be finite"):
        getattr(losses, name)(bad)


@every
def test_compiled_it_is_the_same(make):
    logits, target = batch(3)
    loss = make(counts(3))
    torch.testing.assert_close(torch.compile(loss, backend="eager")(logits, target), loss(logits, target))


@every
def test_bfloat16_is_near_float32(make):
    logits, target = batch(3, rows=400)  # more than bfloat16 can count
    logits = logits.detach().bfloat16()
    loss = make(counts(3))
    torch.testing.assert_close(
        loss(logits, target).float(), loss(logits.float(), target), rtol=0.01, atol=0.01
    )


@every
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 6), st.floats(0.01, 100))
def test_finite_and_not_negative_for_any_logits(make, seed, rows, classes, scale):
    logits, target = batch(classes, rows, seed=seed)
    value = make(counts(classes), reduction="none")(logits * scale, target)
    assert torch.isfinite(value).all()
    assert (value >= -1e-6).all()


@pytest.mark.parametrize(
    "loss",
    [
        losses.WeightedCrossEntropy(),
        losses.WeightedCrossEntropy([1.0, 1.0, 1.0]),
        losses.FocalLoss(0.0),
        losses.ClassBalancedLoss([7, 7, 7]),
        losses.ClassBalancedLoss([9, 5, 1], beta=0.0),
        losses.LogitAdjustedLoss([7, 7, 7]),
        losses.LogitAdjustedLoss([9, 5, 1], tau=0.0),
        losses.BalancedSoftmaxLoss([7, 7, 7]),
        losses.ARBLoss([7, 7, 7]),
        losses.LDAMLoss([9, 5, 1], max_margin=0.0, scale=1.0),
        losses.CDBLoss(3),
        losses.ClassSmoothingLoss([9, 5, 1], head=0.0, tail=0.0),
        losses.ClassSmoothingLoss([7, 7, 7], head=0.0, tail=0.5),
        losses.LabelAwareSmoothingLoss([9, 5, 1], head=0.0, tail=0.0),
    ],
    ids=repr,
)
def test_balanced_counts_or_a_knob_at_zero_give_cross_entropy(loss):
    logits, target = batch(3)
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target))


@pytest.mark.parametrize("name", sorted(set(MAKE) - NOT_LINEAR_IN_LABELS))
def test_mixed_labels_are_averages_over_their_classes(name):
    logits, target = batch(5, dtype=torch.float64)
    other = target.roll(1)
    share = torch.rand(32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, two = F.one_hot(target, 5).double(), F.one_hot(other, 5).double()
    mixed = share[:, None] * one + (1 - share[:, None]) * two
    loss = MAKE[name](counts(5), reduction="none")
    expected = share * loss(logits, target) + (1 - share) * loss(logits, other)
    torch.testing.assert_close(loss(logits, mixed), expected)
    torch.testing.assert_close(loss(logits, one), loss(logits, target))
    spread = torch.full((32, 5), 0.2, dtype=torch.float64)
    all_classes = [loss(logits, torch.full((32,), c)) for c in range(5)]
    torch.testing.assert_close(loss(logits, spread), torch.stack(all_classes).mean(0))
