"""What learned example weights cost, next to a plain step, to double backward and to other libraries, as ratios.

Prints the tables of docs/results/speed-learned-weights.md:
``OMP_NUM_THREADS=1 python benchmarks/learned_weights.py``. Contestants take turns within every repeat, so that
a busy machine slows all of them; figures are medians of the process's own time on one thread. Betty, TorchOpt and
higher are compared where they can be imported.
"""

import argparse
import copy
import importlib
import logging
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from bilevel_step import INNER_LR, batch_of, mlp, plain, race, resnet32, sgd, table
from torch import Tensor, nn
from torch.func import functional_call

from metabalance.engine import Objective
from metabalance.example_gradients import weight_gradient
from metabalance.weigh import LearnedWeights, LearningToReweight, MetaWeightNet

Batch = tuple[Tensor, Tensor]
OBJECTIVE = Objective(nn.CrossEntropyLoss(reduction="none"))


def losses(model: Callable, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def mean(model: Callable, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def adam(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)


# ------------------------------------------------------------------- the gradient of the weights of a batch


def ours(model: nn.Module, batch: Batch, meta: Batch, mode: str = "forward") -> Tensor:
    c = torch.full((len(batch[1]),), 1 / len(batch[1]), dtype=batch[0].dtype)
    return weight_gradient(model, losses, batch, lambda _: c, mean, meta, inner_lr=INNER_LR, mode=mode).grad


def double_backward(model: nn.Module, batch: Batch, meta: Batch, everywhere: bool = False) -> Tensor:
    """With ``everywhere``, as published code has it: ``backward()``, which fills in all leaves' gradients."""
    c = torch.full((len(batch[1]),), 1 / len(batch[1]), dtype=batch[0].dtype, requires_grad=True)
    params = dict(model.named_parameters())
    slope = torch.autograd.grad((c * losses(model, batch)).sum(), list(params.values()), create_graph=True)
    ahead = {name: p - INNER_LR * g for (name, p), g in zip(params.items(), slope)}
    judged = F.cross_entropy(functional_call(model, ahead, (meta[0],)), meta[1])
    if not everywhere:
        return torch.autograd.grad(judged, c)[0]
    judged.backward()
    model.zero_grad()
    assert c.grad is not None
    return c.grad


# ------------------------------------------------- a whole step: look-ahead, judgement, weigher, network


class Step:
    """Meta-Weight-Net's iteration; a subclass says how the weigher gets its gradient."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.optimizer = model, sgd(model)
        torch.manual_seed(0)
        self.net = MetaWeightNet().to(next(model.parameters()).dtype)
        self.own = adam(self.net)

    def look_ahead(self, batch: Batch, meta: Batch) -> None:
        """Leaves the gradient in the weigher's parameters."""
        raise NotImplementedError

    def __call__(self, batch: Batch, meta: Batch) -> None:
        self.own.zero_grad()
        self.look_ahead(batch, meta)
        self.own.step()
        self.optimizer.zero_grad()
        each = losses(self.model, batch)
        with torch.no_grad():
            weights = self.net(each)
        (weights * each).mean().backward()
        self.optimizer.step()

    def weighted(self, model: Callable, batch: Batch) -> Tensor:
        each = losses(model, batch)
        return (self.net(each.detach()) * each).mean()


class DoubleBackward(Step):
    def look_ahead(self, batch: Batch, meta: Batch) -> None:
        params = dict(self.model.named_parameters())
        loss = self.weighted(self.model, batch)
        slope = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        ahead = {name: p - INNER_LR * g for (name, p), g in zip(params.items(), slope)}
        judged = F.cross_entropy(functional_call(self.model, ahead, (meta[0],)), meta[1])
        take(self.net, judged)


class Higher(Step):
    def look_ahead(self, batch: Batch, meta: Batch) -> None:
        import higher

        inner = torch.optim.SGD(self.model.parameters(), lr=INNER_LR)
        with higher.innerloop_ctx(self.model, inner) as (copied, differentiable):
            differentiable.step(self.weighted(copied, batch))
            take(self.net, mean(copied, meta))


class TorchOpt(Step):
    def look_ahead(self, batch: Batch, meta: Batch) -> None:
        import torchopt

        inner = torchopt.MetaSGD(self.model, lr=INNER_LR)
        saved = [torchopt.extract_state_dict(part, by="reference") for part in (self.model, inner)]
        inner.step(self.weighted(self.model, batch))
        take(self.net, mean(self.model, meta))
        for part, state in zip((self.model, inner), saved):
            torchopt.recover_state_dict(part, state)


class Metabalance:
    def __init__(self, model: nn.Module) -> None:
        self.model, self.optimizer = model, sgd(model)
        torch.manual_seed(0)
        self.net = MetaWeightNet().to(next(model.parameters()).dtype)
        self.metas: list[Batch] = []
        self.step = LearnedWeights(
            self.net, self.metas, inner_lr=INNER_LR, optimizer=lambda _: adam(self.net)
        )

    def __call__(self, batch: Batch, meta: Batch) -> None:
        self.metas[:] = [meta]
        self.step(self.model, batch, OBJECTIVE, self.optimizer)


class Betty:
    """Betty's two levels, its gradient a finite difference.

    Without ``roll_back`` its look-ahead is its real step: a forward and a backward pass less, and the network
    never sees the new weights. With it the alternation is Meta-Weight-Net's.
    """

    def __init__(self, model: nn.Module, roll_back: bool = True) -> None:
        from betty.configs import Config, EngineConfig
        from betty.engine import Engine
        from betty.problems import ImplicitProblem

        torch.manual_seed(0)
        self.model, self.net = model, MetaWeightNet().to(next(model.parameters()).dtype)
        self.batches: list[Batch] = [(torch.empty(0), torch.empty(0))] * 2
        outer_self = self

        class Loader:
            def __init__(self, which: int) -> None:
                self.which = which

            def __iter__(self) -> Any:
                while True:
                    yield outer_self.batches[self.which]

        class Weigher(ImplicitProblem):
            def training_step(self, batch: Batch) -> Tensor:
                return F.cross_entropy(self.classifier(batch[0]), batch[1])

        class Classifier(ImplicitProblem):
            def training_step(self, batch: Batch) -> Tensor:
                each = F.cross_entropy(self.forward(batch[0]), batch[1], reduction="none")
                return (self.weigher(each.detach()) * each).mean()

        upper = Weigher(
            "weigher", Config(), self.net, adam(self.net), train_data_loader=Loader(1), device="cpu"
        )
        lower = Classifier(
            "classifier",
            Config(type="darts", unroll_steps=1),
            model,
            sgd(model),
            train_data_loader=Loader(0),
            device="cpu",
        )
        self.engine = Engine(
            [upper, lower],
            EngineConfig(roll_back=roll_back),
            {"u2l": {upper: [lower]}, "l2u": {lower: [upper]}},
        )

    def __call__(self, batch: Batch, meta: Batch) -> None:
        self.batches[:] = [batch, meta]
        self.engine.global_step = getattr(self.engine, "global_step", 0) + 1
        self.engine.train_step()


def take(net: nn.Module, judged: Tensor) -> None:
    params = list(net.parameters())
    for p, g in zip(params, torch.autograd.grad(judged, params)):
        p.grad = g


def reweighting(model: nn.Module) -> Callable[[Batch, Batch], None]:
    metas: list[Batch] = []
    step, optimizer = LearningToReweight(metas), sgd(model)

    def run(batch: Batch, meta: Batch) -> None:
        metas[:] = [meta]
        step(model, batch, OBJECTIVE, optimizer)

    return run


PEERS = {"higher": Higher, "TorchOpt": TorchOpt, "Betty": Betty}
SETTINGS = {
    "MLP 30-64-64-2, batch 64": (lambda: mlp(30, 64, 64, 2), (64, 30), 2, 30),
    "CIFAR ResNet-32, batch 32": (resnet32, (32, 3, 32, 32), 10, 1),
}


def present() -> tuple[dict[str, Callable], list[str]]:
    found: dict[str, Callable] = {}
    absent = []
    for name, make in PEERS.items():
        try:
            importlib.import_module(name.lower())
            found[name] = make
            if make is Betty:
                found["Betty without roll_back"] = partial(Betty, roll_back=False)
        except ImportError as error:
            absent.append(f"{name} ({error})")
    return found, absent


def gradients(title: str, repeats: int) -> None:
    make, shape, classes, calls = SETTINGS[title]
    model = make()
    batch, meta = batch_of(*shape, classes=classes), batch_of(*shape, classes=classes)
    contestants: dict[str, Callable[[], object]] = {
        "plain SGD step": partial(plain, model, sgd(model), batch),
        "double backward, of all leaves": partial(double_backward, make(), batch, meta, everywhere=True),
        "double backward": partial(double_backward, make(), batch, meta),
        "forward mode": partial(ours, make(), batch, meta),
        "forward mode's fall-back": partial(ours, make(), batch, meta, "double"),
    }
    timed = race(contestants, repeats, calls, time.process_time)
    ratios = [timed["forward mode"] / timed[f"double backward{how}"] for how in (", of all leaves", "")]
    fresh = make()
    double = copy.deepcopy(fresh).double()
    exact = [tuple(part.double() if part.is_floating_point() else part for part in b) for b in (batch, meta)]
    reference = double_backward(double, *exact)
    apart = {
        "forward mode in float64": ours(double, *exact),
        "forward mode in float32": ours(copy.deepcopy(fresh), batch, meta).double(),
        "double backward in float32": double_backward(copy.deepcopy(fresh), batch, meta).double(),
    }
    differences = [
        f"{name} {float((value - reference).abs().max() / reference.abs().max()):.1e}"
        for name, value in apart.items()
    ]
    table(
        f"The gradient of every weight of a batch, {title}",
        timed,
        f"Forward mode takes {ratios[0]:.2f} of the time of a double backward to all leaves, {ratios[1]:.2f} of one to "
        f"the weights alone. Largest relative difference to double "
        f"backward in float64: {'; '.join(differences)}.",
    )


def whole_steps(title: str, repeats: int, peers: dict[str, Callable]) -> None:
    make, shape, classes, calls = SETTINGS[title]
    batch, meta = batch_of(*shape, classes=classes), batch_of(*shape, classes=classes)
    model = make()
    contestants: dict[str, Callable[[], object]] = {
        "plain SGD step": partial(plain, model, sgd(model), batch),
        "metabalance: Meta-Weight-Net": partial(Metabalance(make()), batch, meta),
        "metabalance: Learning to Reweight": partial(reweighting(make()), batch, meta),
        "double backward": partial(DoubleBackward(make()), batch, meta),
    }
    contestants |= {name: partial(peer(make()), batch, meta) for name, peer in peers.items()}
    timed = race(contestants, repeats, calls, time.process_time)
    torch.manual_seed(1)
    start = make().double()
    exact = [tuple(part.double() if part.is_floating_point() else part for part in b) for b in (batch, meta)]
    grads = {}
    for name, maker in {"metabalance": Metabalance, "double backward": DoubleBackward, **peers}.items():
        runner = maker(copy.deepcopy(start))
        seen: list[Tensor] = []
        # what the weigher's optimizer is given; Betty clears the gradients after its step
        optimizer = getattr(runner, "own", None) or getattr(getattr(runner, "step", None), "optimizer", None)
        if optimizer is None:
            optimizer = runner.engine.problems[0].optimizer
        handle = optimizer.register_step_pre_hook(
            lambda opt, *_, seen=seen: seen.append(
                torch.cat([p.grad.flatten() for group in opt.param_groups for p in group["params"]]).clone()
            )
        )
        runner(*exact)
        handle.remove()
        grads[name] = seen[0]
    first = grads.pop("metabalance")
    apart = []
    for name, g in grads.items():
        cosine = float(torch.cosine_similarity(g, first, dim=0))
        apart.append(f"{name} {float((g - first).abs().max() / first.abs().max()):.1e} (cosine {cosine:.4f})")
    table(
        f"A whole step, {title}",
        timed,
        "Largest relative difference of the weight network's gradient to metabalance's, float64: "
        f"{'; '.join(apart)}.",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peers, absent = present()
    for title in arguments.settings:
        gradients(title, arguments.repeats)
        whole_steps(title, arguments.repeats, peers)
    if absent:
        print(f"\nNot compared, because they cannot be imported: {'; '.join(absent)}.")
