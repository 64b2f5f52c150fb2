"""What a MetaBalance update costs, next to a plain step and to TorchOpt and higher, as ratios.

Prints the tables of docs/results/speed-bilevel.md: ``OMP_NUM_THREADS=1 python benchmarks/bilevel_step.py``.
Contestants take turns within every repeat, so that a busy machine slows all of them; figures are medians.
TorchOpt and higher are compared where they are installed.
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.bilevel import hypergradient
from metabalance.optimize import MetaBalance

INNER_LR = 0.1


def mlp(*sizes: int) -> nn.Sequential:
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut without parameters (He et al., CVPR 2016, option A)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.stride = c_out // c_in
        self.conv1 = nn.Conv2d(c_in, c_out, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        short = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return F.relu(out + short)


def resnet32() -> nn.Sequential:
    blocks = [
        Block(a, b) for c_in, c in ((16, 16), (16, 32), (32, 64)) for a, b in ((c_in, c), *[(c, c)] * 4)
    ]
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def objective(model: Callable, batch: tuple) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)


def plain(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple) -> None:
    optimizer.zero_grad()
    objective(model, batch).backward()
    optimizer.step()


def with_torchopt(model: nn.Module) -> Callable[[tuple, tuple], tuple[Tensor, ...]]:
    import torchopt

    optimizer = torchopt.MetaSGD(model, lr=INNER_LR)

    def gradient(inner: tuple, outer: tuple) -> tuple[Tensor, ...]:
        base = tuple(model.parameters())
        saved = [torchopt.extract_state_dict(part, by="reference") for part in (model, optimizer)]
        optimizer.step(objective(model, inner))
        grads = torch.autograd.grad(objective(model, outer), base)
        for part, state in zip((model, optimizer), saved):
            torchopt.recover_state_dict(part, state)
        return grads

    return gradient


def with_higher(model: nn.Module) -> Callable[[tuple, tuple], tuple[Tensor, ...]]:
    import higher

    optimizer = torch.optim.SGD(model.parameters(), lr=INNER_LR)

    def gradient(inner: tuple, outer: tuple) -> tuple[Tensor, ...]:
        with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False) as (copy, differentiable):
            differentiable.step(objective(copy, inner))
            return torch.autograd.grad(objective(copy, outer), tuple(model.parameters()))

    return gradient


def with_metabalance(model: nn.Module) -> Callable[[tuple, tuple], list]:
    def gradient(inner: tuple, outer: tuple) -> list:
        return hypergradient(model, objective, inner, [outer], inner_lr=INNER_LR, order=2).grads

    return gradient


PEERS = {"TorchOpt": ("torchopt", with_torchopt), "higher": ("higher", with_higher)}


def race(
    contestants: dict[str, Callable[[], object]],
    repeats: int,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of one call, the contestants taking turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = clock()
            for _ in range(calls):
                run()
            if repeat:  # the first round warms up
                times[name].append((clock() - start) / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def table(title: str, seconds: dict[str, float], note: str = "") -> None:
    first = next(iter(seconds.values()))
    print(f"\n### {title}\n\n| | ms | ratio to the first row |\n|---|---:|---:|")
    for name, value in seconds.items():
        print(f"| {name} | {value * 1e3:.3g} | {value / first:.2f} |")
    if note:
        print(f"\n{note}")


def batch_of(rows: int, *shape: int, classes: int) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, *shape), torch.randint(classes, (rows,))


def settings() -> dict[str, tuple[Callable[[], nn.Module], tuple, tuple, int]]:
    return {
        "MLP 30-64-64-2, batch 64": (
            lambda: mlp(30, 64, 64, 2),
            batch_of(64, 30, classes=2),
            batch_of(64, 30, classes=2),
            30,
        ),
        "CIFAR ResNet-32, batch 32": (
            resnet32,
            batch_of(32, 3, 32, 32, classes=10),
            batch_of(32, 3, 32, 32, classes=10),
            1,
        ),
    }


def cost_of_a_step(repeats: int) -> None:
    for title, (make, inner, outer, calls) in settings().items():
        contestants: dict[str, Callable[[], object]] = {}
        model = make()
        contestants["plain SGD step"] = partial(plain, model, sgd(model), inner)
        for order in (1, 2):
            model = make()
            trainer = MetaBalance(model, objective, sgd(model), inner_lr=INNER_LR, order=order)
            contestants[f"MetaBalance, order {order}"] = partial(trainer.step, inner, outer)
        table(f"One update, {title}", race(contestants, repeats, calls))


def against_peers(repeats: int) -> None:
    present = {name: run for name, (module, run) in PEERS.items() if importlib.util.find_spec(module)}
    absent = [name for name in PEERS if name not in present]
    for title, (make, inner, outer, calls) in settings().items():
        model = make()
        contestants = {"metabalance": with_metabalance, **present}
        timed = race(
            {name: partial(make_run(model), inner, outer) for name, make_run in contestants.items()},
            repeats,
            calls,
        )
        print_peers(f"Second-order gradient, {title}", timed, contestants, model, inner, outer)
    if absent:
        print(f"\nNot installed, not compared: {', '.join(absent)}.")


def print_peers(
    title: str, timed: dict, contestants: dict, model: nn.Module, inner: tuple, outer: tuple
) -> None:
    """The table, and how far the gradients are apart relative to the largest entry, in float64."""
    model = model.double()
    inner, outer = ((x.double(), y) for x, y in (inner, outer))
    grads = {
        n: torch.cat([g.flatten() for g in make_run(model)(inner, outer)])
        for n, make_run in contestants.items()
    }
    ours = grads.pop("metabalance")
    differences = [
        f"{name} {float((theirs - ours).abs().max() / ours.abs().max()):.1e}"
        for name, theirs in grads.items()
    ]
    table(
        title,
        timed,
        f"Largest relative difference of the gradients, float64: {'; '.join(differences)}." * bool(grads),
    )


def plain_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: list[tuple]) -> None:
    for pair in pairs:
        for batch in pair:
            plain(model, optimizer, batch)


def look_aheads(trainer: MetaBalance, pairs: list[tuple]) -> None:
    for inner, outer in pairs:
        trainer.step(inner, outer)


def many_small_look_aheads(repeats: int) -> None:
    for m in (16, 81):
        pairs = [(batch_of(24, 29, classes=2), batch_of(16, 29, classes=2)) for _ in range(m)]
        contestants: dict[str, Callable[[], object]] = {}
        model = mlp(29, 16, 24, 20, 24, 2)
        contestants[f"{2 * m} plain SGD steps on the same rows"] = partial(
            plain_epoch, model, sgd(model), pairs
        )
        for order in (1, 2):
            for vectorize, how in ((True, "together (vmap)"), (False, "one after another")):
                model = mlp(29, 16, 24, 20, 24, 2)
                trainer = MetaBalance(
                    model,
                    objective,
                    sgd(model),
                    inner_lr=INNER_LR,
                    order=order,
                    accumulate=m,
                    vectorize=vectorize,
                )
                contestants[f"MetaBalance, order {order}, {how}"] = partial(look_aheads, trainer, pairs)
        table(f"M = {m} look-aheads of 24/16 rows, MLP 29-16-24-20-24-2", race(contestants, repeats, 2))


def _peak(m: int, order: int, kind: str, queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    if kind == "ResNet-32":
        model, batch, vectorize = resnet32(), batch_of(8, 3, 32, 32, classes=10), False
    else:
        model, batch, vectorize = mlp(256, 512, 512, 2), batch_of(64, 256, classes=2), True
    trainer = MetaBalance(
        model, objective, sgd(model), order=order, accumulate=m, vectorize=vectorize, chunk_size=8
    )
    for _ in range(m):
        trainer.step(batch, batch)
    # VmHWM and not ru_maxrss, which a child process inherits from its parent. Linux only.
    status = Path("/proc/self/status").read_text()
    queue.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def memory() -> None:
    context = multiprocessing.get_context("spawn")
    sizes = (8, 16, 32)
    print("\n### Peak memory of the process (MiB), by the number M of look-aheads\n")
    print("| | " + " | ".join(f"M = {m}" for m in sizes) + " |\n|---|" + "---:|" * len(sizes))
    for kind, how in (
        ("ResNet-32", "batch 8, one after another"),
        ("MLP", "256-512-512-2, batch 64, 8 together"),
    ):
        for order in (1, 2):
            peaks = []
            for m in sizes:
                queue = context.Queue()
                process = context.Process(target=_peak, args=(m, order, kind, queue))
                process.start()
                peaks.append(queue.get(timeout=600))
                process.join()
            print(
                f"| {kind}, {how}, order {order} | " + " | ".join(f"{p:.0f}" for p in peaks) + " |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--skip", nargs="*", default=[], choices=("step", "peers", "stacked", "memory"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = {"step": cost_of_a_step, "peers": against_peers, "stacked": many_small_look_aheads}
    for name, part in parts.items():
        if name not in arguments.skip:
            part(arguments.repeats)
    if "memory" not in arguments.skip:
        memory()
