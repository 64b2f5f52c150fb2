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
    Stream,
    add,
    alone,
    average_over_ranks,
    batch_norm_statistics,
    check_settings,
    hypergradient,
    looking_ahead,
    to_device,
    trainable,
    unwrap,
    why_not_stackable,
)
from metabalance.example_gradients import WeightGradient, alignments, weight_gradient

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


# ---------------------------------------------------------------------------------- gradients of example weights


def each_loss(model, batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


class Attention(nn.Module):
    """Fused attention has no forward-mode rule, its plain form has."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), 2, 2)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Cube(torch.autograd.Function):
    """Without a forward-mode rule."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return 3 * ctx.saved_tensors[0] ** 2 * grad


class Cubed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Cube.apply(x)


class Noisy(nn.Module):
    """A buffer that every forward changes in place, and random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * torch.rand(x.shape[1], dtype=x.dtype)


WEIGHED = MODELS | {
    "in place": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 3, 2, padding=1),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(3),
        nn.LeakyReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(27, 3),
        nn.Tanh(),
        nn.Linear(3, 3),
    ),
    "batch norm without an affine map": lambda: nn.Sequential(
        nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 3)
    ),
    "frozen first half": lambda: nn.Sequential(
        nn.Linear(4, 5).requires_grad_(False),
        nn.BatchNorm1d(5).requires_grad_(False),
        nn.Tanh(),
        nn.Linear(5, 3),
    ),
    "frozen weights, free biases": lambda: nn.Sequential(
        FrozenWeight(4, 5), nn.BatchNorm1d(5), nn.Tanh(), FrozenWeight(5, 3)
    ),
    "groups and one dimension": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 2)),
        nn.Conv1d(2, 4, 3, groups=2, padding="same"),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "attention": Attention,
    "no forward-mode rule": lambda: nn.Sequential(nn.Linear(4, 5), Cubed(), nn.Linear(5, 3)),
    "noise and a counter": lambda: nn.Sequential(
        nn.Linear(4, 5), Noisy(), nn.BatchNorm1d(5), nn.Linear(5, 3)
    ),
    "feature dropout": lambda: nn.Sequential(
        nn.Linear(4, 5), nn.AlphaDropout(0.3), nn.RReLU(), nn.Linear(5, 3)
    ),
}


class FrozenWeight(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.weight.requires_grad_(False)


def weighed(name: str) -> nn.Module:
    torch.manual_seed(0)
    return WEIGHED[name]().double()


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def by_double_backward(model, one, coefficients: Tensor, meta, eta: float = ETA) -> Tensor:
    """From the definition: the look-ahead keeps its graph, and autograd differentiates through it."""
    c = coefficients.clone().requires_grad_()
    params = trainable(model)
    with batch_norm_statistics(model, update=False):
        slope = torch.autograd.grad(
            c @ each_loss(model, one), list(params.values()), create_graph=True, allow_unused=True
        )
        ahead = {n: p if g is None else p - eta * g for (n, p), g in zip(params.items(), slope)}
        return torch.autograd.grad(each_loss(Functional(model, ahead), meta).mean(), c)[0]


@pytest.mark.parametrize("mode", ["auto", "auto, small", "double"])
@pytest.mark.parametrize("name", WEIGHED)
def test_weight_gradient_equals_double_backward(name: str, mode: str, monkeypatch) -> None:
    if mode == "auto":
        monkeypatch.setattr("metabalance.bilevel.SMALL", 0)
    mode = mode.split(",")[0]
    model, one, meta = weighed(name), batch(0), batch(1, rows=5)
    before, c = state(model), torch.rand(6, dtype=torch.float64)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        torch.manual_seed(7)  # the same dropout masks
        expected = by_double_backward(copy.deepcopy(model), one, c, meta)
        torch.manual_seed(7)
        h = weight_gradient(model, each_loss, one, lambda _: c, cross_entropy, meta, inner_lr=ETA, mode=mode)
    torch.testing.assert_close(h.grad, expected, rtol=0, atol=1e-12)
    assert expected.abs().max() > 1e-4
    assert h.coefficients is c
    for key, value in state(model).items():
        if not any(part in key for part in ("running", "tracked", "calls")):
            assert torch.equal(value, before[key]), key
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("mode", ["forward", "double"])
def test_the_graph_of_the_losses_serves_the_real_step(mode: str) -> None:
    """The same dropout mask, batch statistics updated once, and gradients as of one ordinary pass."""
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(inplace=True), nn.Linear(8, 3)
    )
    twin, one, c = copy.deepcopy(model.double()), batch(0), torch.rand(6, dtype=torch.float64)
    torch.manual_seed(3)
    h = weight_gradient(model, each_loss, one, lambda _: c, cross_entropy, batch(1), inner_lr=ETA, mode=mode)
    (c @ h.losses).backward()
    after = torch.get_rng_state()
    torch.manual_seed(3)
    expected = each_loss(twin, one)
    (c @ expected).backward()
    assert torch.equal(h.losses, expected)
    for p, q in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-14)
    for p, q in zip(model.buffers(), twin.buffers()):
        assert torch.equal(p, q)
    twin(batch(1)[0])  # the outer batch has a mask of its own; the pass with tangents draws nothing further
    assert torch.equal(after, torch.get_rng_state())


@pytest.mark.parametrize("mode", ["forward", "double"])
@pytest.mark.parametrize(
    "name", ["mlp", "conv and batch norm", "tied, frozen and unused", "in place", "attention"]
)
def test_alignments_are_products_of_the_gradients_of_each_loss(name: str, mode: str) -> None:
    model, one = weighed(name), batch(0)
    params = list(trainable(model).values())
    direction = [None if i == 1 else torch.randn_like(p) for i, p in enumerate(params)]
    before = state(model)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        actual = alignments(model, each_loss, one, direction, mode=mode)
    assert all(torch.equal(a, b) for a, b in zip(state(model).values(), before.values()))
    expected = []
    for i in range(6):
        grads = torch.autograd.grad(each_loss(model, one)[i], params, allow_unused=True)
        expected.append(
            sum((g * v).sum() for g, v in zip(grads, direction) if g is not None and v is not None)
        )
    torch.testing.assert_close(actual, torch.stack(expected), rtol=0, atol=1e-12)
    assert not actual.requires_grad


def test_alignments_by_finite_differences() -> None:
    model, one, step = weighed("conv and batch norm"), batch(0), 1e-5
    params = list(model.parameters())
    direction = [torch.randn_like(p) for p in params]
    with batch_norm_statistics(model, update=False), torch.no_grad():
        ends = []
        for lr in (-step, step):
            with looking_ahead(params, direction, lr):
                ends.append(each_loss(model, one))
    expected = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(alignments(model, each_loss, one, direction), expected, rtol=1e-7, atol=1e-8)


def test_an_operation_without_a_forward_rule() -> None:
    model, one = weighed("no forward-mode rule"), batch(0)
    direction = [torch.randn_like(p) for p in model.parameters()]
    with pytest.raises(NotImplementedError):
        alignments(model, each_loss, one, direction, mode="forward")
    assert torch.equal(
        alignments(model, each_loss, one, direction),
        alignments(model, each_loss, one, direction, mode="double"),
    )
    with pytest.raises(ValueError, match="mode='fast' is unknown; use 'auto', 'forward' or 'double'"):
        alignments(model, each_loss, one, direction, mode="fast")


@pytest.mark.parametrize("mode", ["auto", "forward", "double"])
def test_without_coefficients_the_outer_gradient_is_taken_at_the_parameters_themselves(mode: str) -> None:
    """The identity of learning to reweight: -dL/dc_i at c = 0 is η <∇ℓ_i, ∇L_out>."""
    model, one, meta = weighed("mlp"), batch(0), batch(1)
    h = weight_gradient(model, each_loss, one, None, cross_entropy, meta, inner_lr=ETA, mode=mode)
    zeros = torch.zeros(6, dtype=torch.float64)
    torch.testing.assert_close(h.grad, by_double_backward(model, one, zeros, meta), rtol=0, atol=1e-14)
    direction = list(torch.autograd.grad(cross_entropy(model, meta), list(model.parameters())))
    torch.testing.assert_close(h.grad, -ETA * alignments(model, each_loss, one, direction))
    assert torch.equal(h.coefficients, zeros)
    assert h.outer_loss.item() == pytest.approx(cross_entropy(model, meta).item())
    assert isinstance(h, WeightGradient)


def test_weight_gradient_in_single_and_mixed_precision(monkeypatch) -> None:
    monkeypatch.setattr("metabalance.bilevel.SMALL", 0)
    torch.manual_seed(0)
    model = conv_net()
    one, meta = ((x.float(), y) for x, y in (batch(0, 32), batch(1, 32)))
    c = torch.rand(32) / 32

    def found(model):
        return weight_gradient(model, each_loss, one, lambda _: c, cross_entropy, meta, inner_lr=ETA)

    single = found(model).grad
    exact = by_double_backward(
        copy.deepcopy(model).double(), (one[0].double(), one[1]), c.double(), (meta[0].double(), meta[1])
    )
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-6 * float(exact.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        half = found(model)
    assert torch.cosine_similarity(half.grad.double(), exact, dim=0) > 0.99


def test_weight_gradient_of_something_not_finite() -> None:
    model, (x, y) = weighed("mlp"), batch(0)
    with pytest.raises(FloatingPointError, match="left as they were"):
        weight_gradient(model, each_loss, (x / 0, y), None, cross_entropy, (x, y), inner_lr=ETA)


def test_a_stream_goes_on_where_it_was() -> None:
    old, new = Stream([1, 2, 3]), Stream([1, 2, 3])
    assert [old.draw() for _ in range(5)] == [1, 2, 3, 1, 2]
    new.load_state_dict(old.state_dict())
    assert (new.draw(), new.epoch) == (3, 1)
    with pytest.raises(ValueError, match="second stream gives no batch"):
        Stream([]).draw()
    moved = to_device(([torch.ones(1)], "name"), torch.device("meta"))
    assert moved[0][0].is_meta
    assert moved[1] == "name"


def test_a_single_process_is_alone() -> None:
    assert alone()
