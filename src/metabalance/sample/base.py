"""What every sampler shares: the members of each class, an epoch's own generator, and the shard of a rank."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

# Draws made at once: their intermediate values stay in a core's own cache.
BLOCK = 1 << 15
# Rows from which a shuffle goes through buckets.
MANY = 1 << 20


class IndexSampler(Sampler[int], ABC):
    """Draws an epoch as one tensor of row indices; a subclass says which.

    With ``W`` processes, round ``k`` of the draw (``block`` neighbouring draws) goes to rank ``k % W``, so
    that together the ranks see what one process would. The last few draws, fewer than ``block * W``, which
    would leave the ranks with different lengths, are left out of that epoch. So no draw goes to two ranks; a row
    does only if its sampler draws it more than once.

    Memory is one row index per label, and a few numbers per class.

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
        self.target = y
        self.order, self.lengths = rows_by_class(y)
        self.seed = int(seed)
        self.epoch = 0
        self._rank = rank
        self._world_size = world_size

    @cached_property
    def members(self) -> list[Tensor]:
        """Row indices of each class that occurs, in order of class and then of row."""
        return list(self.order.split(self.lengths.tolist()))

    @property
    @abstractmethod
    def size(self) -> int:
        """Draws in an epoch, all ranks together."""

    @abstractmethod
    def shares(self) -> Tensor:
        """The expected part of this epoch's draws ``(K,)``, float64, of each of the K classes that occur."""

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
        # In parts: ten million Python numbers at once would take longer to store than to draw.
        return chain.from_iterable(part.tolist() for part in self.indices().split(BLOCK))

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
        """``size`` draws from the members ``rows`` of one class, in any order."""

    @property
    def size(self) -> int:
        return sum(self.sizes())

    def shares(self) -> Tensor:
        sizes = torch.tensor(self.sizes(), dtype=torch.float64)
        return sizes / sizes.sum()

    def draw(self, generator: torch.Generator) -> Tensor:
        draws = [self.take(rows, size, generator) for rows, size in zip(self.members, self.sizes())]
        return shuffled(torch.cat(draws), generator)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """A generator for this epoch of this seed."""
    # Not seed + epoch: epoch 1 of seed 0 would repeat epoch 0 of seed 1, and repeated runs would not be
    # independent.
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def rows_by_class(target: Tensor) -> tuple[Tensor, Tensor]:
    """Row indices ``(N,)`` in order of class and then of row, and the size ``(K,)`` of each class that occurs.

    >>> rows_by_class(torch.tensor([3, 0, 3]))
    (tensor([1, 0, 2]), tensor([1, 2]))
    """
    largest = int(target.max())
    if largest >= 1 << 16:
        values, order = torch.sort(target, stable=True)
        return order, values.unique_consecutive(return_counts=True)[1]
    # NumPy sorts integers of one and two bytes by radix: linear time, ten times faster than comparisons.
    keys = target.numpy().astype(np.uint8 if largest < 256 else np.uint16)
    counts = torch.from_numpy(np.bincount(keys))
    return torch.from_numpy(np.argsort(keys, kind="stable")), counts[counts > 0]


def shuffled(rows: Tensor, generator: torch.Generator) -> Tensor:
    """``rows`` ``(n,)`` in random order, every order equally likely."""
    if len(rows) < MANY:
        return rows[torch.randperm(len(rows), generator=generator)]
    # randperm jumps through memory, and with millions of rows each jump misses the cache. Rows thrown into
    # buckets at random, and each bucket then shuffled by itself, are as random (Rao 1961, Sandelius 1962).
    bucket = torch.randint(256, (len(rows),), dtype=torch.uint8, generator=generator).numpy()
    dealt = rows.index_select(0, torch.from_numpy(np.argsort(bucket, kind="stable")))
    for part in dealt.split(np.bincount(bucket).tolist()):
        part.copy_(part[torch.randperm(len(part), generator=generator)])
    return dealt


def copies(members: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """``size`` draws from ``members`` ``(n,)``, whole copies first, then a random part without repeats.

    Over an epoch no example of a class is seen more often than another, give or take one.
    """
    whole, rest = divmod(size, len(members))
    parts = [members.repeat(whole)]
    if rest:
        parts.append(shuffled(members, generator)[:rest])
    return torch.cat(parts)


def draw_classes(
    order: Tensor, lengths: Tensor, shares: Tensor, size: int, generator: torch.Generator
) -> Tensor:
    """``size`` draws with replacement: a class by its share, then one of its members, in constant time.

    One uniform number decides both, by an alias table (Walker 1977): its K cells are equally wide, and each is
    shared by at most two classes.

    Args:
        order: Row indices ``(N,)`` in order of class.
        lengths: Members of each class ``(K,)``.
        shares: Probabilities ``(K,)``, summing to one.
        size: The number of draws.
        generator: Source of the randomness.
    """
    classes = len(lengths)
    cut, other = alias_table(shares)
    # Piece 2k is the left part of cell k, piece 2k + 1 the right one. Within a piece the position of a row
    # grows linearly with the number drawn; a hair less, so that rounding never reaches the next class.
    cell = torch.arange(classes, dtype=torch.float64)
    left = torch.stack([cell, cell + cut], 1).reshape(-1)
    width = torch.stack([cut, 1 - cut], 1).reshape(-1)
    owner = torch.stack([torch.arange(classes), other], 1).reshape(-1)
    step = lengths[owner] / width.clamp_min(1e-300) * (1 - 2**-40)
    first = (lengths.cumsum(0) - lengths)[owner]
    out = fresh((size,), order)
    uniform = torch.empty(min(size, BLOCK), dtype=torch.float64)
    for part in out.split(BLOCK):
        u = uniform[: len(part)].uniform_(generator=generator).mul_(classes)
        piece = u.long().mul_(2)
        piece += u >= left.index_select(0, piece + 1)
        row = u.sub_(left.index_select(0, piece)).mul_(step.index_select(0, piece)).long()
        torch.index_select(order, 0, row.add_(first.index_select(0, piece)), out=part)
    return out


def alias_table(shares: Tensor) -> tuple[Tensor, Tensor]:
    """Walker's table: the part of cell k that is class k's own ``(K,)``, and the class of the rest ``(K,)``.

    >>> alias_table(torch.tensor([0.75, 0.25]))
    (tensor([1.0000, 0.5000], dtype=torch.float64), tensor([0, 0]))
    """
    left = (shares.double() * (len(shares) / shares.sum())).tolist()
    cut, other = [1.0] * len(left), list(range(len(left)))
    small = [k for k, share in enumerate(left) if share < 1]
    large = [k for k, share in enumerate(left) if share >= 1]
    while small and large:
        k, giver = small.pop(), large[-1]
        cut[k], other[k] = left[k], giver
        left[giver] -= 1 - left[k]
        if left[giver] < 1:
            small.append(large.pop())
    return torch.tensor(cut, dtype=torch.float64), torch.tensor(other)


def fresh(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor of this shape, with the dtype and device of another."""
    if like.device.type != "cpu" or like.dtype == torch.bfloat16:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    # NumPy asks for huge pages: the page faults of a large fresh tensor cost as much as filling it.
    return torch.from_numpy(np.empty(shape, dtype=like.new_empty(0).numpy().dtype))
