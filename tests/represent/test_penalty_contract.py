"""What holds for every penalty on features that is exported."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from metabalance import represent

CLASSES, DIM = 3, 8
MAKE = {
    "SupConLoss": represent.SupConLoss,
    "SeparationLoss": represent.SeparationLoss,
    "BalancedSupConLoss": lambda: represent.BalancedSupConLoss(CLASSES, DIM),
    "VICRegLoss": represent.VICRegLoss,
    "NTXentLoss": represent.NTXentLoss,
    "Projected": lambda: represent.Projected(represent.SupConLoss(), represent.Projector(DIM, (6, 5))),
}
# Of a continuous target: see test_value_penalties.py and test_fds.py.
OF_VALUES = {"ConRLoss", "FeatureDistributionSmoothing", "RankSimLoss"}
NOT_PENALTIES = OF_VALUES | {"MoCoStep", "Projector", "RotationTransform", "pseudo_labels", "rotate_batch"}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def build(make):
    torch.manual_seed(0)
    return make()


def batch(rows=12, dtype=torch.float32, seed=0):
    """Two stacked views, which every penalty takes."""
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(2 * rows, DIM, generator=g, dtype=dtype)
    return features.requires_grad_(), torch.randint(CLASSES, (rows,), generator=g).repeat(2)


def test_every_exported_penalty_is_here():
    assert set(MAKE) | NOT_PENALTIES == set(represent.__all__)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_number_in_the_features_type(make, dtype):
    features, target = batch(dtype=dtype)
    value = build(make).to(dtype)(features, target)
    assert value.shape == ()
    assert value.dtype == dtype


@every
def test_half_precision_is_computed_in_float32(make):
    penalty = build(make)
    features, target = batch()
    with torch.autocast("cpu", torch.bfloat16):
        value = penalty(features, target)
    torch.testing.assert_close(value.float(), penalty(features, target), rtol=0.02, atol=0.02)
    low = features.detach().bfloat16()
    value = penalty.bfloat16()(low, target)
    assert torch.isfinite(value)


@every
def test_gradient_reaches_every_feature_and_parameter_and_descends(make):
    penalty = build(make).double()
    features, target = batch(dtype=torch.float64)
    value = penalty(features, target)
    value.backward()
    # Entry by entry, but for a projection's ReLUs, which may silence a row.
    silenced = isinstance(penalty, represent.Projected)
    assert ((features.grad != 0).any(0) if silenced else features.grad != 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in penalty.parameters())
    assert penalty(features.detach() - 1e-3 * features.grad, target) < value


@every
def test_gradcheck(make):
    penalty = build(make).double()
    features, target = batch(rows=3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: penalty(z, target), features)


@every
def test_order_of_the_rows_does_not_matter(make):
    features, target = batch()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    both = torch.cat([order, order + 12])
    penalty = build(make)
    torch.testing.assert_close(penalty(features[both], target[both]), penalty(features, target))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e4, -1e4, 1e-30, 0.0])
def test_extreme_features_stay_finite(make, dtype, scale):
    features, target = batch(dtype=dtype)
    features = (features.detach() * scale).requires_grad_()
    value = build(make).to(dtype)(features, target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


@every
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("target", [0, 2])
def test_a_batch_of_one_class_and_one_of_one_example(make, rows, target):
    features, _ = batch(rows)
    value = build(make)(features, torch.full((2 * rows,), target))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


@every
def test_state_dict_round_trip(make):
    features, target = batch()
    old, new = build(make), make()
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(features, target), old(features, target))


@every
def test_compiled_equals_eager(make):
    features, target = batch()
    penalty = build(make)
    compiled = torch.compile(penalty, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(features, target), penalty(features, target))


@every
def test_wrong_shapes_are_named(make):
    penalty = build(make)
    if not isinstance(penalty, represent.Projected):
        with pytest.raises(ValueError, match=r"features must be \(B, D\).*\(8,\)"):
            penalty(torch.zeros(8), torch.zeros(8, dtype=torch.long))
    with pytest.raises(ValueError, match=r"target must be \(4,\).*\(3,\)"):
        penalty(torch.zeros(4, DIM), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"target must be \(4,\).*\(4, 3\)"):
        penalty(torch.zeros(4, DIM), torch.zeros(4, 3))


@every
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(0.01, 100))
def test_finite_and_not_negative_for_any_features(make, seed, rows, scale):
    features, target = batch(rows, seed=seed)
    value = build(make)(features * scale, target)
    assert torch.isfinite(value)
    assert value >= -1e-5


def test_a_projection_is_in_front_and_trained():
    features, target = batch()
    projector = represent.Projector(DIM, (6, 5), batch_norm=True)
    assert [type(layer) for layer in projector] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [layer.out_features for layer in projector if isinstance(layer, nn.Linear)] == [6, 5]
    penalty = represent.Projected(represent.SupConLoss(), projector.eval())
    torch.testing.assert_close(penalty(features, target), represent.SupConLoss()(projector(features), target))
    single = represent.Projector(DIM, (4,))
    assert len(single) == 1
