"""The look-ahead gradient against its definition, worked out with copies, loops and an explicit Hessian."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from metabalance.bilevel import (
    Functional,
    Hypergradient,
    add,
    average_over_ranks,
    batch_norm_statistics,
    check_settings,
    hypergradient,
    looking_ahead,
    trainable,
    unwrap,
    why_not_stackable,
)

ETA = 0.3


def cross_entropy(model, batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


class Tied(nn.Module):
    """One weight under two names, one frozen layer, one that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.frozen = nn.Linear(4, 3).requires_grad_(False)
        self.unused = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x.reshape(len(x), 2, 2))[0][:, -1]


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Conv2d(3, 3, 2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
    "conv and batch norm": conv_net,
    "dropout": lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 3)),
    "tied, frozen and unused": Tied,
    "recurrent": Recurrent,
}


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> nn.Module:
    return build(request.param)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[name]().double()


def batch(seed: int, rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (rows,), generator=generator)


def flat(grads, params) -> Tensor:
    parts = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, params)]
    return torch.cat([g.detach().reshape(-1) for g in parts])


def naive(model: nn.Module, inner, outer: list, eta: float, order: int, leak: float = 0.0) -> Tensor:
    """From the paper: a copy takes the step; (I - eta H) is built row by row. Zero where unused."""
    here = copy.deepcopy(model)
    params = [p for p in here.parameters() if p.requires_grad]
    slope = torch.autograd.grad(cross_entropy(here, inner), params, create_graph=True, allow_unused=True)
    there = copy.deepcopy(model)
    ahead = [p for p in there.parameters() if p.requires_grad]
    for p, g in zip(ahead, slope):
        if g is not None:
            p.data = p.data - eta * g.detach()
    total = torch.zeros(sum(p.numel() for p in params), dtype=torch.float64)
    for one in outer:
        total += flat(torch.autograd.grad(cross_entropy(there, one), ahead, allow_unused=True), ahead) / len(
            outer
        )
    slopes = flat(slope, params)
    if order == 2:
        rows = []
        for g, p in zip(slope, params):
            for i in range(p.numel()):
                if g is None:
                    rows.append(torch.zeros_like(total))
                else:
                    row = torch.autograd.grad(g.reshape(-1)[i], params, retain_graph=True, allow_unused=True)
                    rows.append(flat(row, params))
        total = (torch.eye(len(total), dtype=torch.float64) - eta * torch.stack(rows)) @ total
    return total + leak * slopes


def ours(model: nn.Module, *args, **settings) -> Tensor:
    return flat(hypergradient(model, cross_entropy, *args, **settings).grads, trainable(model).values())


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_equals_the_naive_twin(model: nn.Module, order: int, groups: int) -> None:
    inner, outer = batch(0), [batch(1 + i, rows=5 + i) for i in range(groups)]
    before = copy.deepcopy(list(model.parameters()))
    torch.manual_seed(7)  # the same dropout masks
    expected = naive(model, inner, outer, ETA, order, leak=0.2)
    torch.manual_seed(7)
    actual = ours(model, inner, outer, inner_lr=ETA, order=order, leak=0.2)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    assert actual.abs().max() > 1e-3
    for p, q in zip(model.parameters(), before):
        assert torch.equal(p, q)
        assert p.grad is None


@pytest.mark.parametrize("name", ["mlp", "conv and batch norm"])
def test_order_two_is_the_derivative_of_the_composition(name: str) -> None:
    model, inner, outer = build(name), batch(0), batch(1)

    def composed(params: dict) -> Tensor:
        def loss(params: dict, one) -> Tensor:
            return F.cross_entropy(functional_call(model, params, (one[0],)), one[1])

        slope = torch.autograd.grad(loss(params, inner), list(params.values()), create_graph=True)
        return loss({n: p - ETA * g for (n, p), g in zip(params.items(), slope)}, outer)

    params = trainable(model)
    with batch_norm_statistics(model, update=False):
        expected = torch.autograd.grad(composed(dict(params)), list(params.values()))
    actual = ours(model, inner, [outer], inner_lr=ETA, order=2)
    torch.testing.assert_close(actual, flat(expected, params.values()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_expansion_in_the_inner_step(order: int) -> None:
    """FO = g_out - eta H_out g_in + O(eta²); SO subtracts eta H_in g_out as well."""
    model, inner, outer = build("mlp"), batch(0), batch(1)
    params = list(model.parameters())

    def slope_and_product(one, vector=None):
        slope = torch.autograd.grad(cross_entropy(model, one), params, create_graph=True)
        product = None if vector is None else torch.autograd.grad(slope, params, vector)
        return [g.detach() for g in slope], product

    g_in, g_out = slope_and_product(inner)[0], slope_and_product(outer)[0]
    first = flat(slope_and_product(outer, g_in)[1], params)
    if order == 2:
        first = first + flat(slope_and_product(inner, g_out)[1], params)

    def remainder(eta: float) -> float:
        exact = ours(model, inner, [outer], inner_lr=eta, order=order)
        return float((exact - (flat(g_out, params) - eta * first)).norm())

    assert remainder(0.01) < 1e-4
    assert 3.5 < remainder(0.02) / remainder(0.01) < 4.5


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ["mlp", "tied, frozen and unused"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_stacked_is_the_mean_of_one_by_one(
    name: str, order: int, dtype: torch.dtype, tolerance: float
) -> None:
    model = build(name).to(dtype)
    pairs = [
        ((batch(i)[0].to(dtype), batch(i)[1]), (batch(9 + i)[0].to(dtype), batch(9 + i)[1])) for i in range(3)
    ]
    settings = {"inner_lr": ETA, "order": order, "leak": 0.1}
    single = [hypergradient(model, cross_entropy, a, [b], **settings) for a, b in pairs]
    inner, outer = (
        tuple(torch.stack(part) for part in zip(*[pair[side] for pair in pairs])) for side in (0, 1)
    )
    together = hypergradient(model, cross_entropy, inner, [outer], stacked=True, **settings)
    params = trainable(model).values()
    expected = torch.stack([flat(h.grads, params) for h in single]).mean(0)
    torch.testing.assert_close(flat(together.grads, params), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(together.outer_loss, sum(h.outer_loss for h in single) / 3)
    assert [g is None for g in together.grads] == [g is None for g in single[0].grads]


def test_a_loss_linear_in_the_weights_has_no_curvature() -> None:
    model = nn.Linear(3, 1, bias=False).double()

    def linear(model, one) -> Tensor:
        return model(one).sum()

    x, z = torch.ones(2, 3, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)[None]
    (grad,) = hypergradient(model, linear, x, [z], inner_lr=ETA, order=2).grads
    torch.testing.assert_close(grad, z)


def test_reported_losses_are_those_before_and_after_the_look_ahead() -> None:
    model, inner, outer = build("mlp"), batch(0), batch(1)
    report = hypergradient(model, cross_entropy, inner, [outer, outer], inner_lr=ETA, outer_reduction="sum")
    assert report.inner_loss.item() == cross_entropy(model, inner).item()
    params = list(model.parameters())
    with looking_ahead(params, list(torch.autograd.grad(cross_entropy(model, inner), params)), ETA):
        expected = 2 * cross_entropy(model, outer).item()
    assert report.outer_loss.item() == pytest.approx(expected, abs=1e-15)
    assert not report.outer_loss.requires_grad
    assert isinstance(report, Hypergradient)
    grads, *losses = report
    assert [g.shape for g in grads] == [p.shape for p in trainable(model).values()]
    assert losses == [report.inner_loss, report.outer_loss]


def test_an_outer_objective_of_its_own() -> None:
    model, inner, outer = build("mlp"), batch(0), batch(1)
    doubled = hypergradient(
        model,
        cross_entropy,
        inner,
        [outer],
        inner_lr=ETA,
        outer_objective=lambda m, b: 2 * cross_entropy(m, b),
    )
    plain = hypergradient(model, cross_entropy, inner, [outer], inner_lr=ETA)
    torch.testing.assert_close(doubled.grads, [2 * g for g in plain.grads])


@pytest.mark.parametrize("order", [1, 2])
def test_a_non_finite_loss_is_an_error_that_changes_nothing(order: int) -> None:
    model, (x, y) = build("mlp"), batch(0)
    before = copy.deepcopy(model.state_dict())
    for pair in (((x / 0, y), (x, y)), ((x, y), (x / 0, y))):
        with pytest.raises(FloatingPointError, match="left as they were"):
            hypergradient(model, cross_entropy, pair[0], [pair[1]], inner_lr=ETA, order=order)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values()))


def test_looking_ahead_restores_the_bits_after_an_error() -> None:
    p = nn.Parameter(torch.randn(1000))
    before = p.detach().clone()

    def fail_within() -> None:
        with looking_ahead([p], [torch.randn(1000)], lr=0.1):
            assert not torch.equal(p, before)
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    assert torch.equal(p, before)


def test_a_backward_pass_after_the_look_ahead_raises_instead_of_mixing_weights() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Conv1d(2, 1, 2))
    params = list(model.parameters())
    with looking_ahead(params, [torch.ones_like(p) for p in params], lr=0.1):
        loss = model(torch.ones(1, 1, 5)).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_batch_norm_statistics_can_be_left_alone() -> None:
    layer = nn.BatchNorm1d(4)
    x = torch.randn(8, 4) + 3
    with batch_norm_statistics(layer, update=False):
        normalised = layer(x)
    assert layer.running_mean.eq(0).all()
    assert layer.num_batches_tracked == 0
    torch.testing.assert_close(normalised, layer(x))  # both by the batch
    assert layer.num_batches_tracked == 1
    layer.eval()
    expected = layer(x)
    with batch_norm_statistics(layer, update=False):
        assert torch.equal(layer(x), expected)  # evaluation keeps using them


def test_functional_calls_with_other_parameters_and_is_otherwise_the_model() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    other = Functional(model, {"0.weight": torch.eye(2)})
    assert other(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
    assert list(other.modules()) == list(model.modules())
    assert other.module is model
    assert copy.copy(other).module is model
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = other.no_such_thing


def test_unwrap() -> None:
    fabric = pytest.importorskip("lightning_fabric")
    model = nn.Linear(1, 1)
    assert unwrap(model) is model
    assert unwrap(nn.DataParallel(model)) is model
    assert unwrap(torch.compile(model)) is model
    assert unwrap(fabric.Fabric(accelerator="cpu", devices=1).setup(model)) is model


def test_why_not_stackable() -> None:
    assert why_not_stackable(nn.Linear(1, 1)) is None
    assert "batch statistics" in str(why_not_stackable(conv_net()))
    assert why_not_stackable(conv_net().eval()) is None
    assert "random" in str(why_not_stackable(nn.MultiheadAttention(4, 2, dropout=0.1)))
    assert why_not_stackable(nn.Sequential(nn.Dropout(0.0))) is None


def test_add_treats_none_as_zero() -> None:
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    assert add([one, None, one, None], [two, two, None, None], 0.5) == [2.0, 1.0, 1.0, None]


def test_one_process_averages_nothing() -> None:
    grads = [torch.ones(2), None]
    assert average_over_ranks(grads, [torch.ones(2), torch.ones(1)]) is grads


@pytest.mark.parametrize(
    "setting", [{"order": 3}, {"order": True}, {"outer_reduction": "max"}, {"bn_stats": "none"}]
)
def test_unknown_settings_are_named(setting: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))}=.* is unknown; use one of"):
        hypergradient(build("mlp"), cross_entropy, batch(0), [batch(1)], inner_lr=ETA, **setting)
    known = {"order": 2, "outer_reduction": "sum", "bn_stats": "frozen"}
    check_settings(**known)
    with pytest.raises(ValueError, match=f"{next(iter(setting))}=.* is unknown; use one of"):
        check_settings(**known | setting)


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_pass_and_two_stages_give_the_same_second_order(monkeypatch, leak, reduction):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()
    model[0].bias.requires_grad_(False)

    def objective(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    batches = [(torch.randn(6, 4).double(), torch.randint(3, (6,))) for _ in range(3)]
    found = []
    for small in (10**9, 0):
        monkeypatch.setattr("metabalance.bilevel.SMALL", small)
        twin = copy.deepcopy(model)
        h = hypergradient(
            twin,
            objective,
            batches[0],
            batches[1:],
            inner_lr=0.3,
            order=2,
            leak=leak,
            outer_reduction=reduction,
        )
        found.append((h, twin[1].running_mean))
    for a, b in zip(found[0][0].grads, found[1][0].grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found[0][0].outer_loss, found[1][0].outer_loss)
    torch.testing.assert_close(found[0][1], found[1][1])
