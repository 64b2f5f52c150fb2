"""The loop against a bare one, then each of its slots, events and promises."""

import copy
import math
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from metabalance.data.batches import BatchLoader
from metabalance.engine import History, Objective, evaluate, fit, plain_step
from metabalance.sample import ShuffleSampler


def data(rows=90, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=g, dtype=dtype)
    return x, (x[:, 0] + 0.3 * torch.randn(rows, generator=g, dtype=dtype) > 0.5).long()


def network(seed=0, dtype=torch.float32, dropout=0.0, norm=False):
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(8, 2)).to(dtype)


def cross_entropy():
    return Objective(nn.CrossEntropyLoss(reduction="none"))


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))


def run(model, x, y, optimizer=None, **options):
    options = {"objective": cross_entropy(), "epochs": 5} | options
    loader = options.pop("loader", BatchLoader((x, y), 16, ShuffleSampler(y)))
    return fit(model, loader, optimizer=optimizer or sgd(model), **options)


class TestObjective:
    def test_is_the_mean_loss(self):
        x, y = data()
        model = network()
        torch.testing.assert_close(cross_entropy()(model, (x, y)), F.cross_entropy(model(x), y))

    def test_weights_are_divided_by_rows_not_by_weights(self):
        x, y = data(6)
        model, weight = network(), torch.tensor([3.0, 0, 0, 0, 0, 0])
        expected = 3 * F.cross_entropy(model(x), y, reduction="none")[0] / 6
        torch.testing.assert_close(cross_entropy()(model, (x, y, weight)), expected)

    def test_whole_weights_are_copies_of_rows(self):
        x, y = data(4)
        model, copies = network(), torch.tensor([1, 3, 0, 2])
        weight = copies / copies.float().mean()
        rows = torch.arange(4).repeat_interleave(copies)
        weighted = cross_entropy()(model, (x, y, weight))
        torch.testing.assert_close(weighted, F.cross_entropy(model(x[rows]), y[rows]))

    def test_weights_need_single_losses(self):
        x, y = data()
        with pytest.raises(ValueError, match="reduction='none'"):
            Objective(nn.CrossEntropyLoss())(network(), (x, y, torch.ones(90)))

    def test_penalties_see_the_input_of_the_last_linear(self):
        class Penalty(nn.Module):
            def forward(self, features, target):
                return (features * target[:, None]).square().mean()

        x, y = data()
        model = network()
        features = model[:-1](x)
        expected = F.cross_entropy(model(x), y) + 0.7 * (features * y[:, None]).square().mean()
        objective = Objective(nn.CrossEntropyLoss(), [(Penalty(), 0.5), (Penalty(), 0.2)])
        value = objective(model, (x, y))
        torch.testing.assert_close(value, expected)
        got = torch.autograd.grad(value, list(model.parameters()))
        torch.testing.assert_close(got, torch.autograd.grad(expected, list(model.parameters())))
        assert not model[-1]._forward_pre_hooks  # the tap is gone again

    def test_a_function_over_other_parameters_will_do(self):
        x, y = data()
        model, other = network(0), network(1)

        def closure(inputs):
            return torch.func.functional_call(model, dict(other.named_parameters()), (inputs,))

        norm = nn.Flatten(0)  # any module; here the penalty is replaced by its forward
        norm.forward = lambda features, target: features.square().mean()
        objective = Objective(nn.CrossEntropyLoss(), [(norm, 1.0)])
        with pytest.raises(ValueError, match="as the attribute module"):
            objective(closure, (x, y))
        closure.module = model
        torch.testing.assert_close(objective(closure, (x, y)), objective(other, (x, y)))


class TestLoop:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("kind", ["ours", "torch"])
    def test_equals_the_bare_loop_bit_for_bit(self, dtype, kind):
        x, y = data(dtype=dtype)
        ours, bare = network(dtype=dtype, norm=True), network(dtype=dtype, norm=True)
        sampler = ShuffleSampler(y)
        if kind == "ours":
            loader = BatchLoader((x, y), 16, sampler)
        else:
            loader = DataLoader(TensorDataset(x, y), 16, sampler=sampler)
        run(ours, x, y, loader=loader)
        optimizer, twin = sgd(bare), ShuffleSampler(y)
        for epoch in range(5):
            twin.set_epoch(epoch)
            for rows in torch.tensor(list(twin)).split(16):
                optimizer.zero_grad()
                F.cross_entropy(bare(x[rows]), y[rows], reduction="none").mean().backward()
                optimizer.step()
        assert same(ours, bare)
        assert next(ours.parameters()).dtype == dtype

    def test_plain_step_returns_the_loss_before_the_step(self):
        x, y = data()
        model = network()
        before = F.cross_entropy(model(x), y).detach()
        loss = plain_step(model, (x, y), cross_entropy(), sgd(model))
        torch.testing.assert_close(loss, before)
        assert not loss.requires_grad
        assert float(F.cross_entropy(model(x), y).detach()) < float(before)

    def test_history(self):
        x, y = data()
        history = run(network(), x, y, epochs=3)
        assert isinstance(history, History)
        assert [row["epoch"] for row in history.epochs] == [0, 1, 2]
        assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]
        assert (history.stopped, history.best_epoch, history.best_value) == ("finished", None, None)
        assert history.seconds > 0

    def test_train_loss_is_the_mean_over_rows(self):
        x, y = data(20)  # batches of 16 and 4
        model = network()
        history = run(model, x, y, sgd(model, lr=0.0), epochs=1)
        assert history.epochs[0]["train_loss"] == pytest.approx(F.cross_entropy(model(x), y).item())

    def test_the_step_slot(self):
        x, y = data()
        model, seen = network(), []

        def step(model, batch, objective, optimizer):
            seen.append(len(batch[1]))
            return plain_step(model, batch, objective, optimizer)

        run(model, x, y, step=step, epochs=1)
        assert seen == [16] * 5 + [10]

    def test_weights_travel_with_the_batch(self):
        x, y = data()
        only_ones = y.float() / y.float().mean()
        model = network()
        run(model, x, y, loader=BatchLoader((x, y, only_ones), 16, ShuffleSampler(y)), epochs=20)
        assert evaluate(model, [(x, y)])["recall"].tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("norm", [0.01, 0.5])
    def test_clipping_acts_in_any_step_and_goes_again(self, norm):
        x, y = data()
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        lengths = []

        def step(model, batch, objective, optimizer):
            before = [p.detach().clone() for p in model.parameters()]
            loss = plain_step(model, batch, objective, optimizer)
            moved = [(a - b).square().sum() for a, b in zip(before, model.parameters())]
            lengths.append(float(sum(moved).sqrt().detach()))
            return loss

        run(model, x, y, optimizer, step=step, epochs=1, clip_norm=norm)
        assert max(lengths) <= norm * (1 + 1e-4)
        assert min(lengths) > 0
        assert not optimizer._optimizer_step_pre_hooks

    def test_no_clipping_leaves_the_optimizer_alone(self):
        hooks = []

        def step(model, batch, objective, optimizer):
            hooks.append(len(optimizer._optimizer_step_pre_hooks))
            return plain_step(model, batch, objective, optimizer)

        run(network(), *data(), step=step, epochs=1)
        assert set(hooks) == {0}

    @pytest.mark.parametrize(("interval", "steps"), [("epoch", 3), ("step", 18)])
    def test_scheduler(self, interval, steps):
        x, y = data()
        model = network()
        optimizer = sgd(model, lr=1.0)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.9**k)
        run(model, x, y, optimizer, scheduler=scheduler, scheduler_interval=interval, epochs=3)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.9**steps)

    def test_parts_hear_the_report(self):
        class Part:
            def __init__(self):
                self.heard = []

            def update(self, **report):
                self.heard.append(report)

        x, y = data()
        part, silent = Part(), object()
        run(network(), x, y, parts=(part, silent), epochs=2, validation=[(x, y)], monitor=lambda p, t: 0.5)
        keys = {"epoch", "train_loss", "loss", "recall", "support", "n", "monitor"}
        assert [set(report) for report in part.heard] == [keys, keys]
        assert part.heard[1]["recall"].shape == (2,)
        assert (part.heard[1]["epoch"], part.heard[1]["monitor"]) == (1, 0.5)
        part = Part()
        run(network(), x, y, parts=(part,), epochs=1)
        assert set(part.heard[0]) == {"epoch", "train_loss", "loss"}
        assert part.heard[0]["loss"] == part.heard[0]["train_loss"]

    def test_callback_and_progress(self, capsys, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")  # a bar is only drawn on a terminal
        x, y = data()
        rows = []
        history = run(network(), x, y, validation=[(x, y)], callback=rows.append, progress=True)
        assert rows == history.epochs
        assert set(rows[0]) == {"epoch", "train_loss", "loss", "monitor", "recall"}
        assert "epoch 4" in capsys.readouterr().err

    def test_deadline_stops_after_the_current_step(self):
        x, y = data()
        seen = []

        def step(*args):
            seen.append(1)
            return plain_step(*args)

        history = run(network(), x, y, step=step, deadline=time.monotonic() - 1)
        assert history.stopped == "deadline"
        assert len(seen) == 1
        assert history.epochs == []

    def test_mixed_precision_trains_float32_weights(self):
        x, y = data()
        model = network()
        kinds = set()

        class Loss(nn.CrossEntropyLoss):
            def forward(self, logits, target):
                kinds.add(logits.dtype)
                return super().forward(logits, target)

        run(model, x, y, objective=Objective(Loss()), precision="bf16-mixed", validation=[(x, y)], epochs=20)
        assert kinds == {torch.bfloat16}
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert evaluate(model, [(x, y)])["recall"].min() > 0.7

    def test_loss_that_is_not_finite(self):
        x, y = data()
        x[3] = float("inf")
        with pytest.raises(FloatingPointError, match="training loss became nan in epoch 0; lower"):
            run(network(), x, y)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"scheduler_interval": "batch"}, "scheduler_interval='batch' is unknown"),
            ({"monitor": "accuracy"}, "monitor='accuracy' is unknown"),
            ({"precision": "16-mixed"}, "precision='16-mixed' is not supported"),
            ({"checkpoint_every": 5}, "needs checkpoint"),
            ({"patience": 0}, "patience must be at least 1"),
            ({"clip_norm": 0.0}, "clip_norm must be above 0"),
            ({"clip_norm": -1.0}, "clip_norm must be above 0"),
            ({"loader": BatchLoader((torch.ones(3, 4), torch.ones(3)), 4, drop_last=True)}, "no batch"),
            ({"validation": []}, "validation loader gives no batch"),
        ],
    )
    def test_impossible_settings(self, options, message):
        x, y = data()
        with pytest.raises(ValueError, match=message):
            run(network(), x, y, **options)


class TestEvaluate:
    def test_twin(self):
        x, y = data()
        y[y == 1] = 2
        model = nn.Linear(4, 4)
        report = evaluate(model, BatchLoader((x, y), 7))
        guesses = [max(range(4), key=row.__getitem__) for row in model(x).tolist()]
        for c in range(4):
            rows = [g == c for g, t in zip(guesses, y.tolist()) if t == c]
            recall = report["recall"][c].item()
            assert recall == pytest.approx(sum(rows) / len(rows)) if rows else math.isnan(recall)
        assert report["loss"] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-5)
        assert report["support"].tolist() == [int((y == c).sum()) for c in range(4)]
        assert report["n"] == 90
        assert "monitor" not in report

    def test_weighted_loss(self):
        x, y = data(3)
        model, weight = nn.Linear(4, 2), torch.tensor([1.0, 0.0, 3.0])
        each = F.cross_entropy(model(x), y, reduction="none")
        expected = ((each[0] + 3 * each[2]) / 4).item()
        assert evaluate(model, [(x, y, weight)])["loss"] == pytest.approx(expected)

    def test_metric_gets_probabilities(self):
        x, y = data()
        model = network()

        def metric(probabilities, target):
            assert isinstance(probabilities, np.ndarray)
            np.testing.assert_allclose(probabilities, model(x).softmax(1).detach().numpy(), rtol=1e-5)
            np.testing.assert_array_equal(target, y.numpy())
            return 0.25

        assert evaluate(model, BatchLoader((x, y), 7), metric)["monitor"] == 0.25

    def test_every_module_gets_its_own_mode_back(self):
        x, y = data()
        model = network(dropout=0.5, norm=True)
        model[1].eval()  # frozen by the user
        statistics = model[1].running_mean.clone()
        modes = [m.training for m in model.modules()]
        first = evaluate(model, [(x, y)])["loss"]
        assert first == evaluate(model, [(x, y)])["loss"]  # no dropout
        assert [m.training for m in model.modules()] == modes
        with pytest.raises(RuntimeError):
            evaluate(model, [(x[:, :2], y)])
        assert [m.training for m in model.modules()] == modes
        assert torch.equal(model[1].running_mean, statistics)


class TestSelection:
    @staticmethod
    def figures(values):
        """A monitor that reports the given figures, one after the other."""
        values = iter(values)
        return lambda probabilities, target: next(values)

    @pytest.mark.parametrize(("greater", "best"), [(True, 2), (False, 1)])
    def test_the_best_epoch_is_left_in_the_model(self, greater, best):
        x, y = data()
        model, states = network(norm=True), []

        class Spy:
            def update(self, **report):
                states.append(copy.deepcopy(model))

        monitor = self.figures([0.5, 0.1, 0.9, 0.4, 0.9])
        history = run(
            model, x, y, parts=[Spy()], validation=[(x, y)], monitor=monitor, greater_is_better=greater
        )
        assert history.best_epoch == best
        assert history.best_value == [0.5, 0.1, 0.9][best]
        assert same(model, states[best])  # running statistics included
        assert not same(model, states[-1])

    def test_patience(self):
        x, y = data()
        monitor = self.figures([3, 2, 2.5, 2.0, 9, 9])
        history = run(network(), x, y, validation=[(x, y)], monitor=monitor, patience=2, epochs=50)
        assert history.stopped == "early"
        assert len(history.epochs) == 4
        assert history.best_epoch == 1

    def test_loss_is_monitored_downwards(self):
        x, y = data()
        history = run(network(), x, y, validation=[(x, y)], greater_is_better=True)
        losses = [row["loss"] for row in history.epochs]
        assert history.best_value == min(losses)
        assert [row["monitor"] for row in history.epochs] == losses

    def test_undefined_figures_are_never_the_best(self):
        x, y = data()
        nan = float("nan")
        history = run(network(), x, y, validation=[(x, y)], monitor=self.figures([nan, 2, nan, 1, nan]))
        assert history.best_epoch == 3
        history = run(network(), x, y, validation=[(x, y)], monitor=lambda p, t: nan, patience=1)
        assert history.best_epoch is None
        assert len(history.epochs) == 5

    def test_too_few_rows_of_a_class_select_nothing(self):
        x, y = data()
        model, plain = network(), network()
        held = x[:10], torch.tensor([0] * 8 + [1] * 2)
        history = run(model, x, y, validation=[held], min_positives=3, patience=1, monitor=lambda p, t: 0.0)
        run(plain, x, y)
        assert same(model, plain)
        assert history.best_epoch is None
        assert len(history.epochs) == 5
        assert "2 rows of its smallest class, and min_positives=3" in history.note
        assert run(network(), x, y, validation=[held], min_positives=2).best_epoch is not None


def test_losses_of_single_rows_know_neither_weights_nor_penalties():
    model, x, y = torch.nn.Linear(3, 2), torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])

    class Constant(torch.nn.Module):
        def forward(self, features, target):
            return features.new_tensor(7.0)

    objective = Objective(torch.nn.CrossEntropyLoss(reduction="none"), [(Constant(), 1.0)])
    expected = torch.nn.functional.cross_entropy(model(x), y, reduction="none")
    torch.testing.assert_close(objective.losses(model, (x, y, torch.rand(5))), expected)
    torch.testing.assert_close(objective(model, (x, y)), expected.mean() + 7)
    with pytest.raises(ValueError, match="losses of single rows are needed"):
        Objective(torch.nn.CrossEntropyLoss()).losses(model, (x, y))


def test_penalties_take_the_larger_part_of_a_mixed_label():
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, features, target):
            seen.append(target)
            return features.sum() * 0

    objective = Objective(torch.nn.CrossEntropyLoss(reduction="none"), [(Spy(), 1.0)])
    objective(torch.nn.Linear(3, 2), (torch.randn(2, 3), torch.tensor([[0.7, 0.3], [0.2, 0.8]])))
    assert seen[0].tolist() == [0, 1]
