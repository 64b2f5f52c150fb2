r"""Major-to-minor translation: an example of a large class is pushed over the border into a small one.

Kim, Jeong & Shin, "M2m: Imbalanced classification via major-to-minor translation", CVPR 2020, arXiv 2004.00431.
Class-balanced batches repeat the few examples of a small class; some of the repeats are replaced by seeds from
larger classes of the same batch, changed until a second network, the generator g, takes them for the small class.

Departures of the authors' code, which has no licence and of which nothing is copied: it takes class 0 for the
largest; the noise that the search starts from is normalised along the batch, so its length depends on the batch
size (``noise_norm="published"``); a batch without anything to translate ends in an error, here it is left alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.ranks import rank

__all__ = ["MajorToMinor", "generation_probability", "translate", "translation_probability"]


class MajorToMinor:
    r"""Replaces repeats of small classes by translated examples of larger ones, in batches ``(inputs, target)``.

    1. Row i of class :math:`k = y_i` is marked with probability :math:`1 - n_k / \max_c n_c`.
    2. A marked row gets a seed of the batch, of class :math:`k_0`, with probability proportional to
       :math:`p = 1 - \beta^{(n_{k_0} - n_k)_+}`; a row for which all are 0 stays.
    3. From the seed plus noise, :math:`T` steps of fixed length descend
       :math:`\mathrm{CE}(g(x), k) + \lambda f_{k_0}(x)`.
    4. The result replaces the marked row if :math:`g(x)_k \ge \gamma` and, once more, with probability p.

    It belongs into a step (:class:`metabalance.steps.TransformStep`), over class-balanced batches, from a late
    epoch on. The published schedule is 200 epochs of which the last 40 translate; the authors' rejection
    threshold is 0.9 in their runs and 0.99 in their code's default. ``gamma`` above 1 accepts nothing, and
    equal counts leave nothing to translate: both are plain over-sampling.

    Args:
        generator: The network g, trained beforehand and not changed here; logits ``(B, C)``.
        counts: Class counts ``(C,)``.
        beta: Of the probability p, in [0, 1).
        lam: Weight of the seed's class under the current network.
        gamma: Least probability of the new class under g.
        step_size: Length of a step, in the inputs' units.
        steps: T.
        noise: Length of the noise at the start.
        clip: The inputs' range; None where they have none, as standardised columns of a table.
        noise_norm: ``"sample"``: every row's noise has length ``noise``; ``"published"``: as in the authors' code.
        seed: Everything random follows from it and from how many batches were seen.

    Raises:
        ValueError: ``beta`` is outside [0, 1), or ``noise_norm`` unknown.

    >>> g = nn.Linear(1, 2)
    >>> equal = MajorToMinor(g, counts=[5, 5])
    >>> batch = torch.rand(4, 1), torch.tensor([0, 1, 0, 1])
    >>> equal(nn.Linear(1, 2), batch)[0] is batch[0]
    True
    """

    def __init__(
        self,
        generator: nn.Module,
        counts: Any,
        beta: float = 0.999,
        lam: float = 0.5,
        gamma: float = 0.9,
        step_size: float = 0.1,
        steps: int = 10,
        noise: float = 0.5,
        clip: tuple[float, float] | None = (0.0, 1.0),
        noise_norm: str = "sample",
        seed: int = 0,
    ) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be at least 0 and below 1, but {beta} was given")
        if noise_norm not in ("sample", "published"):
            raise ValueError(f"noise_norm={noise_norm!r} is unknown; use 'sample' or 'published'")
        self.generator = generator
        self.counts = torch.as_tensor(counts, dtype=torch.float64)
        self.beta = beta
        self.lam = lam
        self.gamma = gamma
        self.step_size = step_size
        self.steps = steps
        self.noise = noise
        self.clip = clip
        self.noise_norm = noise_norm
        self.seed = seed
        self.batches = 0

    def __call__(self, model: nn.Module, batch: Sequence[Any]) -> tuple[Any, ...]:
        inputs, target = batch[0], batch[1]
        words = [self.seed, self.batches, *([rank()] if rank() else [])]
        state = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
        random = torch.Generator().manual_seed(int(state) >> 1)
        self.batches += 1
        y = target.cpu()
        chance = translation_probability(self.counts, self.beta)[y][:, y]  # (row, seed)
        marked = (
            torch.rand(len(y), generator=random, dtype=torch.float64) < generation_probability(self.counts)[y]
        )
        rows = torch.nonzero(marked & (chance.sum(1) > 0)).reshape(-1)
        if not len(rows):
            return tuple(batch)
        seeds = torch.multinomial(chance[rows], 1, generator=random).reshape(-1)
        lucky = torch.rand(len(rows), generator=random, dtype=torch.float64) < chance[rows, seeds]
        start = inputs[seeds.to(inputs.device)]
        start = start + self._noise(start, random)
        if self.clip is not None:
            start = start.clamp(*self.clip)
        new, probability = translate(
            model,
            self.generator,
            start,
            target[rows.to(target.device)],
            target[seeds.to(target.device)],
            lam=self.lam,
            step_size=self.step_size,
            steps=self.steps,
            clip=self.clip,
        )
        accepted = (probability >= self.gamma) & lucky.to(probability.device)
        mixed = inputs.clone()
        mixed[rows.to(inputs.device)[accepted]] = new[accepted]
        return (mixed, *batch[1:])

    def _noise(self, like: Tensor, random: torch.Generator) -> Tensor:
        noise = torch.randn(like.shape, generator=random, dtype=like.dtype).to(like.device)
        if self.noise_norm == "sample":
            return self.noise * F.normalize(noise.reshape(len(noise), -1)).view_as(noise)
        # Each channel's noise over the whole batch has this length, so a row's shrinks as the batch grows.
        return torch.renorm(noise, 2, 1, self.noise)

    def state_dict(self) -> dict[str, int]:
        """How many batches were seen, and the seed."""
        return {"seed": self.seed, "batches": self.batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on with the randomness of the next batch."""
        self.seed, self.batches = state["seed"], state["batches"]


def translation_probability(counts: Tensor, beta: float = 0.999) -> Tensor:
    r"""How fit class :math:`k_0` is as a source for class :math:`k`: ``(C, C)``, row k, column k0.

    :math:`p = 1 - \beta^{(n_{k_0} - n_k)_+}`: zero for a source that is not larger.

    >>> translation_probability(torch.tensor([100.0, 10.0]), beta=0.99)
    tensor([[0.0000, 0.0000],
            [0.5953, 0.0000]])
    """
    return 1 - beta ** (counts[None, :] - counts[:, None]).clamp_min(0)


def generation_probability(counts: Tensor) -> Tensor:
    """The chance ``(C,)`` that a row of a class is marked: ``1 - n_c / max n``.

    >>> generation_probability(torch.tensor([100.0, 10.0]))
    tensor([0.0000, 0.9000])
    """
    return 1 - counts / counts.max()


def translate(
    model: nn.Module,
    generator: nn.Module,
    start: Tensor,
    target: Tensor,
    source: Tensor,
    *,
    lam: float = 0.5,
    step_size: float = 0.1,
    steps: int = 10,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    r"""Descends :math:`\mathrm{CE}(g(x), k) + \lambda\,\mathrm{mean}\,f_{k_0}(x)` by steps of one length.

    Both networks are in eval mode meanwhile, and their parameters get no gradient.

    Args:
        model: The network f that is being trained.
        generator: The network g.
        start: Inputs ``(M, ...)``.
        target: The classes k to reach ``(M,)``.
        source: The classes k0 to leave ``(M,)``.
        lam, step_size, steps, clip: See :class:`MajorToMinor`.

    Returns:
        The inputs after the last step ``(M, ...)``, and the probability of k under g ``(M,)``.
    """
    # DistributedDataParallel would wait for a backward pass of every forward one.
    model = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    with _evaluating(model, generator), torch.enable_grad():
        x = start.detach()
        for _ in range(steps):
            x = x.requires_grad_()
            loss = F.cross_entropy(generator(x), target)
            if lam:
                loss = loss + lam * model(x).gather(1, source[:, None]).mean()
            slope = torch.autograd.grad(loss, x)[0].reshape(len(x), -1)
            x = x.detach() - step_size * F.normalize(slope, eps=1e-20).view_as(x)
            x = x if clip is None else x.clamp(*clip)
        with torch.no_grad():
            probability = generator(x).softmax(1).gather(1, target[:, None]).squeeze(1)
    return x, probability


@contextmanager
def _evaluating(*networks: nn.Module) -> Iterator[None]:
    """Inside the block the networks are in eval mode; every module's own mode is put back afterwards."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
