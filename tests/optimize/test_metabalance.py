"""MetaBalance: identities, limits and fixed points of the published algorithm, and exact resuming."""

import copy
import io
import runpy
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from metabalance.bilevel import hypergradient
from metabalance.optimize import PRESETS, MetaBalance, MetaBalanceStep, Preset, hold_out_meta_set


def cross_entropy(model, batch) -> Tensor:
    """With the weights of the batch, where it has some."""
    losses = F.cross_entropy(model(batch[0]), batch[1], reduction="none")
    return (losses * batch[2]).mean() if len(batch) > 2 else losses.mean()


def mlp(*extra: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), *extra, nn.Linear(6, 3)).double()


def batch(seed: int, rows: int = 6, weighted: bool = False) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (rows,), generator=generator)
    return (x, y, torch.rand(rows, generator=generator, dtype=torch.float64)) if weighted else (x, y)


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)


def make(model: nn.Module | None = None, **settings) -> MetaBalance:
    model = mlp() if model is None else model
    return MetaBalance(model, settings.pop("objective", cross_entropy), sgd(model), **settings)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def slope_of(model: nn.Module, one) -> tuple[Tensor, ...]:
    twin = copy.deepcopy(model)
    return torch.autograd.grad(cross_entropy(twin, one), list(twin.parameters()))


def run(trainer: MetaBalance, pairs) -> Tensor:
    for inner, outer in pairs:
        trainer.step(inner, outer)
    return weights(trainer.model)


# ------------------------------------------------------------------------------------- identities and limits


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("vectorize", [True, False])
def test_without_an_inner_step_it_is_training_on_the_outer_stream_with_big_batches(order, vectorize) -> None:
    trainer = make(inner_lr=0.0, order=order, accumulate=4, vectorize=vectorize)
    actual = run(trainer, [(batch(100 + i), batch(i)) for i in range(12)])
    twin = mlp()
    optimizer = sgd(twin)
    for start in (0, 4, 8):
        big = tuple(torch.cat(part) for part in zip(*[batch(start + i) for i in range(4)]))
        optimizer.zero_grad()
        cross_entropy(twin, big).backward()
        optimizer.step()
    torch.testing.assert_close(actual, weights(twin), rtol=0, atol=1e-12)


def test_one_stream_and_a_vanishing_inner_step_is_ordinary_sgd() -> None:
    data = [batch(i) for i in range(5)]
    twin = mlp()
    optimizer = sgd(twin)
    for one in data:
        optimizer.zero_grad()
        cross_entropy(twin, one).backward()
        optimizer.step()

    def distance(inner_lr: float) -> float:
        return float((run(make(inner_lr=inner_lr), [(one, one) for one in data]) - weights(twin)).norm())

    assert distance(1e-6) < 1e-6
    assert 8 < distance(1e-2) / distance(1e-3) < 12  # linear in the inner step


@pytest.mark.parametrize("order", [1, 2])
def test_the_leak_alone_is_training_on_the_inner_stream(order: int) -> None:
    nothing = {"outer_objective": lambda model, one: 0 * model(one[0]).sum(), "leak": 1.0, "order": order}
    trainer = make(inner_lr=0.3, **nothing)
    twin = mlp()
    optimizer = sgd(twin)
    for i in range(5):
        trainer.step(batch(i), batch(50 + i))
        optimizer.zero_grad()
        cross_entropy(twin, batch(i)).backward()
        optimizer.step()
    torch.testing.assert_close(weights(trainer.model), weights(twin), rtol=0, atol=1e-12)


class Point(nn.Module):
    """A model that is its parameter, for L = |θ - a|²/2."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, _) -> Tensor:
        return self.theta


def half_squared_distance(model, one) -> Tensor:
    return (model(None) - one[0]).square().sum() / 2


A = torch.tensor([1.0, -2.0], dtype=torch.float64)
B = torch.tensor([3.0, 0.5], dtype=torch.float64)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_fixed_points_of_the_quadratic(order: int, leak: float) -> None:
    eta = 0.2
    model = Point()
    trainer = MetaBalance(
        model,
        half_squared_distance,
        torch.optim.SGD(model.parameters(), 0.5),
        inner_lr=eta,
        order=order,
        leak=leak,
    )
    for _ in range(200):
        trainer.step((A,), (B,))
    if order == 1:
        expected = (B - eta * A + leak * A) / (1 - eta + leak)
    else:
        expected = ((1 - eta) * (B - eta * A) + leak * A) / ((1 - eta) ** 2 + leak)
    torch.testing.assert_close(model.theta.data, expected, rtol=0, atol=1e-12)
    if leak == 0:  # it is θ' that fits the outer data, not θ: the over-compensation that the leak tames
        with trainer.adapted((A,)):
            torch.testing.assert_close(model.theta.data, B, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("order", "expected"), [(1, 0.15), (2, 0.075)])
def test_pinned_update(order: int, expected: float) -> None:
    """θ = 0, η = 1/2, L_in = (θ-1)²/2, L_out = (θ-2)²/2: θ' = 1/2, so G = -3/2, or half of it exactly."""
    model = Point()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = MetaBalance(model, half_squared_distance, optimizer, inner_lr=0.5, order=order)
    one = torch.ones(2, dtype=torch.float64)
    trainer.step((one,), (2 * one,))
    torch.testing.assert_close(model.theta.data, expected * one)


@pytest.mark.parametrize("order", [1, 2])
def test_the_update_is_the_mean_of_m_look_aheads_from_one_point(order: int) -> None:
    pairs = [(batch(i), batch(10 + i)) for i in range(3)]
    model = mlp()
    each = [hypergradient(model, cross_entropy, a, [b], inner_lr=0.3, order=order).grads for a, b in pairs]
    mean = [sum(grads) / 3 for grads in zip(*each)]
    trainer = make(model, inner_lr=0.3, order=order, accumulate=3)
    stepped = [trainer.step(*pair)["stepped"] for pair in pairs]
    assert stepped == [False, False, True]
    torch.testing.assert_close([p.grad for p in model.parameters()], mean, rtol=0, atol=1e-12)


def test_the_inner_step_has_no_weight_decay_and_no_momentum() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5)
    trainer = MetaBalance(model, cross_entropy, optimizer, inner_lr=0.3)
    for i in range(3):
        twin = copy.deepcopy(model)
        for p, g in zip(twin.parameters(), slope_of(model, batch(i))):
            p.data -= 0.3 * g
        report = trainer.step(batch(i), batch(9))
        assert report["outer_loss"].item() == pytest.approx(cross_entropy(twin, batch(9)).item(), abs=1e-14)


# --------------------------------------------------------------------------------------------- outer groups


@pytest.mark.parametrize("vectorize", [True, False])
def test_groups_are_summed_or_averaged(vectorize: bool) -> None:
    def gradient(reduction: str, groups: list) -> Tensor:
        trainer = make(inner_lr=0.3, accumulate=2, vectorize=vectorize, outer_reduction=reduction)
        for i in range(2):
            trainer.step(list(batch(i)), groups)  # a DataLoader's batches are lists
        return torch.cat([p.grad.reshape(-1) for p in trainer.model.parameters()])

    women, men = batch(10, rows=4), batch(11, rows=5)
    alone = [gradient("mean", [group]) for group in (women, men)]
    torch.testing.assert_close(gradient("sum", [women, men]), alone[0] + alone[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient("mean", [women, men]), (alone[0] + alone[1]) / 2, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient("sum", women), alone[0], rtol=0, atol=0)


# ------------------------------------------------------------------------------ together or one after another


@pytest.mark.parametrize("order", [1, 2])
def test_together_equals_one_after_another(order: int) -> None:
    """Also with sample weights, several chunks, and a short batch in the middle."""
    pairs = [
        (batch(i, rows=4 if i == 5 else 6, weighted=True), batch(50 + i, weighted=True)) for i in range(14)
    ]
    settings = {"inner_lr": 0.3, "order": order, "leak": 0.1, "accumulate": 7}
    alone = run(make(vectorize=False, **settings), pairs)
    for chunk_size in (1, 3, 32):
        together = run(make(vectorize=True, chunk_size=chunk_size, **settings), pairs)
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(run(make(**settings), pairs), alone, rtol=0, atol=1e-12)


def test_stacked_look_aheads_wait_for_each_other() -> None:
    seen = []

    def spy(model, one) -> Tensor:
        seen.append(one[0].shape)
        return cross_entropy(model, one)

    trainer = make(objective=spy, accumulate=10, chunk_size=4)
    calls = []
    for i in range(10):
        trainer.step(batch(i), batch(20 + i))
        calls.append(len(seen))
    assert calls == [2, 2, 2, 2, 4, 4, 4, 4, 6, 8]  # the first one alone, chunks of four, the rest


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(6)])
def test_models_that_cannot_be_stacked_run_one_after_another(layer: nn.Module) -> None:
    pairs = [(batch(i), batch(20 + i)) for i in range(4)]
    results = []
    for vectorize in ("auto", False):
        model = mlp(copy.deepcopy(layer))
        torch.manual_seed(1)
        results.append(run(make(model, accumulate=2, vectorize=vectorize), pairs))
    assert torch.equal(*results)
    with pytest.raises(ValueError, match=r"impossible here: layer '2' \((Dropout|BatchNorm1d)\)"):
        make(mlp(layer), accumulate=2, vectorize=True).step(*pairs[0])


def test_objectives_that_cannot_be_stacked_run_one_after_another() -> None:
    def peeking(model, one) -> Tensor:
        loss = cross_entropy(model, one)
        return loss if loss.item() > 0 else loss * 2

    pairs = [(batch(i), batch(20 + i)) for i in range(6)]
    expected = run(make(accumulate=3), pairs)
    torch.testing.assert_close(
        run(make(objective=peeking, accumulate=3), pairs), expected, rtol=0, atol=1e-12
    )
    with pytest.raises(ValueError, match="vectorize=True is impossible here"):
        run(make(objective=peeking, accumulate=3, vectorize=True), pairs)


def test_batches_of_other_things_than_tensors_run_one_after_another() -> None:
    def ignoring_ids(model, one) -> Tensor:
        return cross_entropy(model, one[:2])

    pairs = [((*batch(i), "id"), (*batch(20 + i), "id")) for i in range(2)]
    expected = run(make(accumulate=2, vectorize=False), [(a[:2], b[:2]) for a, b in pairs])
    assert torch.equal(run(make(objective=ignoring_ids, accumulate=2), pairs), expected)
    with pytest.raises(ValueError, match="something other than tensors"):
        make(objective=ignoring_ids, accumulate=2, vectorize=True).step(*pairs[0])


# ------------------------------------------------------------------------------------------------ batch norm


@pytest.mark.parametrize("policy", ["both", "inner", "outer", "frozen"])
@pytest.mark.parametrize("order", [1, 2])
def test_batch_norm_policies(policy: str, order: int) -> None:
    model = mlp(nn.BatchNorm1d(6))
    twin = copy.deepcopy(model)
    if policy in ("both", "inner"):
        twin[:3](batch(0)[0])
    ahead = copy.deepcopy(twin)
    for p, g in zip(ahead.parameters(), slope_of(twin, batch(0))):
        p.data -= 0.3 * g
    if policy in ("both", "outer"):
        ahead[:3](batch(1)[0])
    norm = ahead[2]
    make(model, inner_lr=0.3, order=order, bn_stats=policy).step(batch(0), batch(1))
    assert model[2].num_batches_tracked == norm.num_batches_tracked == {"both": 2, "frozen": 0}.get(policy, 1)
    torch.testing.assert_close(model[2].running_mean, norm.running_mean, rtol=0, atol=1e-14)
    torch.testing.assert_close(model[2].running_var, norm.running_var, rtol=0, atol=1e-14)
    assert model[2].track_running_stats


# -------------------------------------------------------------------------------------------------- adapted


def test_adapted_holds_the_look_ahead_and_restores_the_bits() -> None:
    model = mlp(nn.BatchNorm1d(6))
    trainer = make(model, inner_lr=0.3)
    before = copy.deepcopy(model.state_dict())
    params = list(model.parameters())
    with torch.no_grad(), trainer.adapted(batch(0)) as there:
        assert there is model
        ahead = weights(model)
    slope = slope_of(model, batch(0))
    expected = torch.cat([(p - 0.3 * g).reshape(-1) for p, g in zip(params, slope)])
    torch.testing.assert_close(ahead, expected, rtol=0, atol=1e-15)

    def fail_within() -> None:
        with trainer.adapted(batch(0)):
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values()))


# ---------------------------------------------------------------------------------- left-overs and resuming


def test_left_overs_are_carried_over_or_flushed() -> None:
    trainer = make(accumulate=4)
    start = weights(trainer.model)
    assert not trainer.flush()
    for i in range(3):
        trainer.step(batch(i), batch(20 + i))
    assert torch.equal(weights(trainer.model), start)
    assert trainer.flush()
    expected = run(make(accumulate=3), [(batch(i), batch(20 + i)) for i in range(3)])
    torch.testing.assert_close(weights(trainer.model), expected, rtol=0, atol=1e-12)
    assert not trainer.flush()


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("stop", [1, 6, 8])
def test_resumes_to_the_same_bits(vectorize: bool, stop: int) -> None:
    pairs = [(batch(i), [batch(20 + i)]) for i in range(15)]
    settings = {"accumulate": 5, "inner_lr": 0.3, "vectorize": vectorize, "chunk_size": 3}
    expected = run(make(**settings), pairs)
    first = make(**settings)
    run(first, pairs[:stop])
    file = io.BytesIO()
    parts = {"trainer": first, "model": first.model, "optimizer": first.optimizer}
    torch.save({name: part.state_dict() for name, part in parts.items()}, file)
    run(first, pairs[stop:])  # what was saved is not touched by going on
    file.seek(0)
    state = torch.load(file, weights_only=True)
    second = make(**settings)
    second.model.load_state_dict(state["model"])
    second.optimizer.load_state_dict(state["optimizer"])
    second.load_state_dict(state["trainer"])
    assert torch.equal(run(second, pairs[stop:]), expected)
    assert torch.equal(weights(first.model), expected)


def test_a_state_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="other trainable parameters"):
        make().load_state_dict(make(mlp(nn.Linear(6, 6))).state_dict())


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_bad_batch_changes_nothing_and_training_can_go_on(vectorize: bool) -> None:
    good = [(batch(i), batch(20 + i)) for i in range(3)]
    trainer = make(accumulate=3, vectorize=vectorize, chunk_size=2)
    trainer.step(*good[0])
    before = weights(trainer.model)
    bad = (good[1][0][0] / 0, good[1][0][1])
    with pytest.raises(FloatingPointError):
        run(trainer, [(bad, good[1][1])] * 2)
    assert torch.equal(weights(trainer.model), before)
    run(trainer, good[1:])
    torch.testing.assert_close(weights(trainer.model), run(make(accumulate=3), good), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------ parameters and settings


def test_frozen_and_unused_parameters_do_not_move() -> None:
    model = mlp(nn.Linear(6, 6).requires_grad_(False))
    model[1].spare = nn.Linear(2, 2).double()  # Tanh makes no use of it
    before = copy.deepcopy(model.state_dict())
    make(model).step(batch(0), batch(1))  # with weight decay, which would move a zero gradient
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith(("2.", "1.spare."))


def test_parameters_that_would_never_learn_are_refused() -> None:
    model, head = mlp(), nn.Linear(3, 3)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.1)
    with pytest.raises(ValueError, match="never get a gradient"):
        MetaBalance(model, cross_entropy, optimizer)
    with pytest.raises(ValueError, match="no trainable parameter"):
        MetaBalance(model.requires_grad_(False), cross_entropy, optimizer)


WORDS = st.sampled_from(["", "Mean", "all", "auto ", "1"])
SETTINGS = {
    "order": st.one_of(st.integers().filter(lambda i: i not in (1, 2)), st.booleans(), WORDS),
    "outer_reduction": WORDS,
    "bn_stats": st.one_of(st.none(), WORDS),
    "vectorize": st.one_of(st.none(), st.integers(), WORDS),
    "inner_lr": st.one_of(st.floats(max_value=-1e-300), st.sampled_from([float("nan"), float("inf")])),
    "leak": st.floats(max_value=-1e-300),
    "accumulate": st.integers(max_value=0),
    "chunk_size": st.integers(max_value=0),
}


@given(st.data())
def test_bad_settings_are_named(data) -> None:
    name = data.draw(st.sampled_from(sorted(SETTINGS)))
    with pytest.raises(ValueError, match=name):
        make(nn.Linear(1, 1), **{name: data.draw(SETTINGS[name])})


# ----------------------------------------------------------------------------------------- the engine's face


class Loader:
    """Batches whose content depends on the epoch alone; it knows where it is."""

    def __init__(self, offset: int, length: int = 3) -> None:
        self.offset, self.length, self.epoch, self.position = offset, length, 0, 0
        self.epochs: list[int] = []

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        self.epoch, self.position = epoch, 0
        self.epochs.append(epoch)

    def __iter__(self) -> Iterator:
        while self.position < self.length:
            self.position += 1
            yield batch(self.offset + 10 * self.epoch + self.position)

    def state_dict(self) -> dict:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


def drive(step: MetaBalanceStep, model: nn.Module, optimizer, batches) -> Tensor:
    for one in batches:
        assert step(model, one, cross_entropy, optimizer).shape == ()
    return weights(model)


MAIN = [batch(i) for i in range(8)]


@pytest.mark.parametrize("role", ["inner_loader", "outer_loader"])
def test_the_step_cycles_its_own_stream_and_takes_the_other_from_the_engine(role: str) -> None:
    loader = Loader(500)
    model = mlp()
    actual = drive(MetaBalanceStep(**{role: loader}, inner_lr=0.3, accumulate=2), model, sgd(model), MAIN)
    own = [batch(500 + 10 * (i // 3) + 1 + i % 3) for i in range(8)]
    pairs = zip(own, MAIN) if role == "inner_loader" else zip(MAIN, own)
    assert torch.equal(actual, run(make(inner_lr=0.3, accumulate=2), pairs))
    assert loader.epochs == [0, 1, 2]


def test_the_step_takes_one_loader_per_group() -> None:
    model = mlp()
    settings = {"inner_lr": 0.3, "outer_reduction": "sum"}
    step = MetaBalanceStep(outer_loader=[Loader(500), Loader(600)], **settings)
    actual = drive(step, model, sgd(model), MAIN[:3])
    pairs = [(MAIN[i], [batch(501 + i), batch(601 + i)]) for i in range(3)]
    assert torch.equal(actual, run(make(**settings), pairs))


@pytest.mark.parametrize("own", [lambda: Loader(500), lambda: [batch(500 + i) for i in range(3)]])
@pytest.mark.parametrize("stop", [0, 3, 5])
def test_the_step_resumes_to_the_same_bits(own, stop: int) -> None:
    settings = {"inner_lr": 0.3, "accumulate": 3}
    model = mlp()
    optimizer = sgd(model)
    step = MetaBalanceStep(inner_loader=own(), **settings)
    drive(step, model, optimizer, MAIN[:stop])
    state = copy.deepcopy([part.state_dict() for part in (step, model, optimizer)])
    expected = drive(step, model, optimizer, MAIN[stop:])
    model = mlp()
    optimizer = sgd(model)
    fresh = MetaBalanceStep(inner_loader=own(), **settings)
    for part, saved in zip((fresh, model, optimizer), state):
        part.load_state_dict(saved)
    assert torch.equal(drive(fresh, model, optimizer, MAIN[stop:]), expected)


def test_the_step_tells_a_data_loaders_sampler_its_epoch() -> None:
    epochs = []

    class Sampler(torch.utils.data.SequentialSampler):
        def set_epoch(self, epoch: int) -> None:
            epochs.append(epoch)

    x, y = batch(0, rows=4)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=2, sampler=Sampler(data))
    model = mlp()
    drive(MetaBalanceStep(outer_loader=loader), model, sgd(model), MAIN[:5])
    assert epochs == [0, 1, 2]


def test_the_step_refuses_what_it_cannot_do() -> None:
    for loaders in ({}, {"inner_loader": Loader(0), "outer_loader": Loader(0)}):
        with pytest.raises(ValueError, match="exactly one"):
            MetaBalanceStep(**loaders)
    for empty in (Loader(0, length=0), []):
        with pytest.raises(ValueError, match="no batch"):
            MetaBalanceStep(inner_loader=empty)(model := mlp(), MAIN[0], cross_entropy, sgd(model))
    step, model = MetaBalanceStep(inner_loader=Loader(0)), mlp()
    step(model, MAIN[0], cross_entropy, sgd(model))
    with pytest.raises(ValueError, match="make a new one"):
        step(mlp(), MAIN[0], cross_entropy, sgd(model))


# ------------------------------------------------------------------------------------- presets and meta sets


def test_presets_hold_the_published_settings() -> None:
    assert {name: preset.accumulate for name, preset in PRESETS.items()} == {
        "cifar": 81,
        "credit_card": 81,
        "loan_default": 81,
        "faces": 9,
    }
    assert all(preset.inner_lr == 0.01 and preset.weight_decay == 5e-4 for preset in PRESETS.values())
    assert (PRESETS["credit_card"].inner, PRESETS["credit_card"].outer) == ("random_under", "all_knn")
    assert [PRESETS[name].leak for name in PRESETS] == [0.0, 0.01, 0.01, 0.0]
    assert PRESETS["faces"] == Preset(
        inner="natural",
        outer="one batch per group",
        inner_batch=32,
        outer_batch=16,
        lr=0.1,
        epochs=200,
        schedule="divided by 10 at epochs 50, 100 and 150",
        note=PRESETS["faces"].note,
        inner_lr=0.01,
        accumulate=9,
        leak=0.0,
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        outer_reduction="sum",
        epoch_of="inner",
        warmup_epochs=8,
    )
    with pytest.raises(FrozenInstanceError):
        PRESETS["cifar"].lr = 1.0  # type: ignore[misc]


@given(
    counts=st.lists(st.integers(2, 40), min_size=1, max_size=5),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 2**31),
)
def test_a_meta_set_is_balanced_and_leaves_every_class_something(counts, fraction, seed) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    train, meta = hold_out_meta_set(torch.as_tensor(y), fraction, seed)
    assert sorted([*train, *meta]) == list(range(len(y)))
    assert set(np.bincount(y[meta], minlength=len(counts))) == {max(1, int(fraction * min(counts)))}
    assert set(y[train]) == set(y)
    assert np.array_equal(meta, hold_out_meta_set(y, fraction, seed)[1])


def test_meta_set_errors_and_seeds() -> None:
    y = [0] * 50 + [1] * 30
    assert not np.array_equal(hold_out_meta_set(y, 0.2, seed=0)[1], hold_out_meta_set(y, 0.2, seed=1)[1])
    for fraction in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="fraction must lie between"):
            hold_out_meta_set(y, fraction)
    for target in ([0, 0, 1], []):
        with pytest.raises(ValueError, match="two rows of every class"):
            hold_out_meta_set(target, 0.5)


# ---------------------------------------------------------------------------------------------- on real data


@pytest.mark.slow
def test_with_a_leak_it_beats_over_sampling_on_one_shot_digits() -> None:
    """Ten digits, 110 images of one and 1 of each other; and the price of a large η without the leak."""
    benchmark = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "digits_few_shot.py"))

    def mean(**settings) -> float:
        return float(np.mean([benchmark["balanced_accuracy"](1, seed, **settings) for seed in range(4)]))

    erm, over = mean(outer="natural", inner_lr=0.0), mean(inner_lr=0.0)
    meta = mean(inner_lr=0.1, leak=0.005, order=2)
    assert erm + 0.1 < over <= meta
    assert mean(inner_lr=0.1, leak=0.0, order=1) < over  # over-compensation
