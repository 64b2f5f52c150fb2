"""What every sampler shares: the members of each class, an epoch's own generator, and the shard of a rank."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler


class IndexSampler(Sampler[int], ABC):
    """Draws an epoch as one tensor of row indices; a subclass says which.

    With ``W`` processes, round ``k`` of the draw (``block`` neighbouring draws) goes to rank ``k % W``, so
    that together the ranks see what one process would. The last few draws, fewer than ``block * W``, which
    would leave the ranks with different lengths, are left out of that epoch.

    Args:
        target: Class indices ``(N,)``.
        seed: An epoch's draw depends on this and the epoch alone.
        rank: This process; by default that of ``torch.distributed``, or 0.
        world_size: The number of processes; by default that of ``torch.distributed``, or 1.

    Raises:
        ValueError: No labels, negative ones, or a rank outside ``0 .. world_size - 1``.
    """

    block = 1

    def __init__(
        self, target: Any, *, seed: int = 0, rank: int | None = None, world_size: int | None = None
    ) -> None:
        y = torch.as_tensor(target if isinstance(target, Tensor) else np.asarray(target)).reshape(-1).cpu()
        if not len(y) or y.is_floating_point() or int(y.min()) < 0:
            raise ValueError("a sampler needs at least one label, and labels that are class indices from 0")
        if seed < 0:
            raise ValueError(f"seed must not be negative, but {seed} was given")
        if (rank is None) != (world_size is None) or (rank is not None and not 0 <= rank < world_size):  # type: ignore[operator]
            raise ValueError(
                f"rank={rank} and world_size={world_size} do not fit; give both, rank below world_size"
            )
        self.target = y.long()
        # Row indices of each class that occurs, in order of class and then of row.
        self.members = [torch.nonzero(self.target == c).reshape(-1) for c in self.target.unique()]
        self.seed = int(seed)
        self.epoch = 0
        self._rank = rank
        self._world_size = world_size

    @property
    @abstractmethod
    def size(self) -> int:
        """Draws in an epoch, all ranks together."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """The epoch's row indices ``(size,)``, all ranks together."""

    def indices(self) -> Tensor:
        """This rank's row indices ``(len(self),)`` of the current epoch."""
        order = self.draw(epoch_generator(self.seed, self.epoch))
        rank, world_size = self._shard()
        if world_size == 1:
            return order
        shared = len(self) * world_size
        return order[:shared].view(-1, world_size, self.block)[:, rank].reshape(-1)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices().tolist())

    def __len__(self) -> int:
        world_size = self._shard()[1]
        return self.size if world_size == 1 else self.size // (self.block * world_size) * self.block

    def _shard(self) -> tuple[int, int]:
        # Asked at each use: a sampler is often built before the processes know of each other.
        if self._rank is not None and self._world_size is not None:
            return self._rank, self._world_size
        if dist.is_available() and dist.is_initialized():
            return dist.get_rank(), dist.get_world_size()
        return 0, 1

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration draws."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Seed and epoch, from which every draw follows."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes over the seed and epoch of :meth:`state_dict`."""
        self.seed, self.epoch = state["seed"], state["epoch"]


class RatioSampler(IndexSampler):
    """Draws every class to a size of its own, which follows from all counts and ``ratio``.

    Args:
        target: Class indices ``(N,)``.
        ratio: In ``(0, 1]``; 1 makes all classes equal.
        seed, rank, world_size: See :class:`IndexSampler`.

    Raises:
        ValueError: ``ratio`` is outside ``(0, 1]``.
    """

    def __init__(
        self,
        target: Any,
        *,
        ratio: float = 1.0,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(target, seed=seed, rank=rank, world_size=world_size)
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio must lie above 0 and up to 1 (equal classes), but {ratio} was given")
        self.ratio = ratio

    @abstractmethod
    def sizes(self) -> list[int]:
        """Draws from each class that occurs."""

    @abstractmethod
    def take(self, rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """``size`` draws from the members ``rows`` of one class."""

    @property
    def size(self) -> int:
        return sum(self.sizes())

    def draw(self, generator: torch.Generator) -> Tensor:
        draws = [self.take(rows, size, generator) for rows, size in zip(self.members, self.sizes())]
        return torch.cat(draws)[torch.randperm(self.size, generator=generator)]


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """A generator for this epoch of this seed."""
    # Not seed + epoch: epoch 1 of seed 0 would repeat epoch 0 of seed 1, and repeated runs would not be
    # independent.
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def replicate(members: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """``size`` draws from ``members`` ``(n,)`` in random order, each drawn ``size // n`` times or once more.

    Whole copies first: over an epoch no example of a class is seen more often than another, give or take one.
    """
    whole, rest = divmod(size, len(members))
    draws = torch.cat(
        [members.repeat(whole), members[torch.randperm(len(members), generator=generator)[:rest]]]
    )
    return draws[torch.randperm(size, generator=generator)]


def draw_classes(members: list[Tensor], shares: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """``size`` draws with replacement: a class by ``shares`` ``(len(members),)``, then one of its members."""
    lengths = torch.tensor([len(m) for m in members])
    starts = lengths.cumsum(0) - lengths
    picked = torch.multinomial(shares.double(), size, replacement=True, generator=generator)
    # float64: below 2**24 steps, single precision would miss rows of large classes.
    offset = (torch.rand(size, generator=generator, dtype=torch.float64) * lengths[picked]).long()
    return torch.cat(members)[starts[picked] + offset]
