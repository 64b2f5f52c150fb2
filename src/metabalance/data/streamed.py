"""Batches of rows that do not fit into memory: the large classes pass by in shuffled windows, the small ones stay.

A pass takes the units (row groups) in a new random order, some of them together as a *window*, whose rows are
shuffled in memory. Where classes are to have other shares than their own, rows of the small classes, which are in
memory, are drawn as often as it takes, and the large classes stream.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["ArrayRows", "Rows", "StreamedLoader"]

WINDOW_BYTES = 2**27
GOLDEN = 0.6180339887498949


class Rows(Protocol):
    """Training rows that are read unit by unit.

    Attributes:
        num_features: D.
        unit_counts: Rows of each class in each unit ``(U, C)``, int64.
        kept: Of each small class all its rows ``(n, D)``, float32.
    """

    num_features: int
    unit_counts: np.ndarray
    kept: dict[int, Tensor]

    def read(self, unit: int) -> tuple[Tensor, Tensor]:
        """All rows of a unit ``(n, D)``, float32, and their classes ``(n,)``."""


class ArrayRows:
    """Rows in memory as if they were streamed, for trying things out.

    Args:
        inputs: ``(N, D)``.
        target: Class indices ``(N,)``.
        unit: Rows of a unit.
        kept: Classes up to this many rows stay in memory.

    >>> rows = ArrayRows(torch.zeros(6, 2), torch.tensor([0, 0, 0, 0, 0, 1]), unit=4, kept=1)
    >>> rows.unit_counts.tolist(), list(rows.kept)
    ([[4, 0], [1, 1]], [1])
    """

    def __init__(self, inputs: Tensor, target: Tensor, unit: int = 1024, kept: int = 1024) -> None:
        self.inputs, self.target, self.unit = inputs, target, unit
        self.num_features = inputs.shape[1]
        classes = int(target.max()) + 1
        self.unit_counts = np.stack(
            [torch.bincount(part, minlength=classes).numpy() for part in target.split(unit)]
        )
        small = np.flatnonzero((self.unit_counts.sum(0) <= kept) & (self.unit_counts.sum(0) > 0))
        self.kept = {int(c): inputs[target == c] for c in small}

    def read(self, unit: int) -> tuple[Tensor, Tensor]:
        piece = slice(unit * self.unit, (unit + 1) * self.unit)
        return self.inputs[piece], self.target[piece]


class StreamedLoader:
    """Batches ``(inputs, target)`` or ``(inputs, target, weight)`` from :class:`Rows`.

    Without ``shares`` a pass gives every row once. With them a row's class follows the shares, evenly over the
    batches; classes in memory are drawn in permutations of their rows, one after the other. Classes that are
    streamed keep pace with the one that is the scarcest in relation to its share: of the others a pass takes a part,
    drawn anew each time.

    What a pass gives depends on (seed, epoch) alone, and after :meth:`load_state_dict` the next batch comes next,
    to the bit. Memory: two windows, one in use and the next one, read in the background.

    Args:
        rows: Where rows come from.
        batch_size: Rows in a batch.
        shares: Of each class in the batches ``(C,)``; None takes rows as they come.
        class_weight: Loss weight of each class ``(C,)``, or None.
        seed: Everything random follows from it.
        window_bytes: Size of a window; a single larger unit is a window too.

    Raises:
        ValueError: No rows, a batch size below 1, or shares of classes without rows.

    >>> rows = ArrayRows(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 0, 0, 1]), unit=2, kept=1)
    >>> loader = StreamedLoader(rows, batch_size=4, shares=[0.5, 0.5])
    >>> [len(target) for inputs, target in loader]
    [4, 4]
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        shares: Any = None,
        class_weight: Tensor | None = None,
        seed: int = 0,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self.counts = np.asarray(rows.unit_counts).sum(axis=0)
        if not self.counts.sum():
            raise ValueError("there are no training rows to stream")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but {batch_size} was given")
        self.rows = rows
        self.batch_size = int(batch_size)
        self.shares = None if shares is None else np.asarray(shares, dtype=float) / np.sum(shares)
        if self.shares is not None and (self.shares[self.counts == 0] > 0).any():
            raise ValueError("a class without rows cannot have a share of the batches")
        self.class_weight = class_weight
        self.seed = seed
        self.window = max(1, window_bytes // (4 * rows.num_features))
        self.rate = self._rates()  # the part of each class's rows that a pass streams
        streamed = np.floor(self.counts * self.rate + 1e-9).astype(np.int64)
        self.streamed = int(streamed.sum())
        # Groups that rows are drawn from: each class in memory, and last all that is streamed.
        self.groups = [] if self.shares is None else [c for c in rows.kept if self.shares[c] > 0]
        stays = [] if self.shares is None else [self.shares[c] for c in self.groups]
        self.edges = np.cumsum([*stays, 1 - sum(stays)])
        self.epoch = 0
        self.position = 0  # batches of this epoch already handed out
        self._resume = False
        self._used = np.zeros(len(self.groups) + 1, dtype=np.int64)  # rows drawn of each group in this epoch
        self._planned: int | None = None
        self._current: tuple[int, int, Tensor, Tensor] | None = None
        self._next: tuple[int, int, Future] | None = None
        self._orders: dict[int, tuple[int, int, Tensor]] = {}

    def __len__(self) -> int:
        """Batches in an epoch."""
        size = self.batch_size
        if self.shares is None:
            return -(-self.streamed // size)
        if not self.streamed:
            return -(-int(self.counts.sum()) // size)
        share = self.edges[-1] - (self.edges[-2] if self.groups else 0)
        return max(1, int(self.streamed / (size * share) + 1e-9))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if not self._resume:
            self.position, self._used = 0, np.zeros_like(self._used)
        self._resume = False
        self._plan()
        return self._batches()

    def _batches(self) -> Iterator[tuple[Tensor, ...]]:
        with ThreadPoolExecutor(1) as pool:
            length = len(self)
            while self.position < length:
                batch = self._batch(pool)
                self.position += 1
                yield batch
            self._next = None

    def _batch(self, pool: ThreadPoolExecutor) -> tuple[Tensor, ...]:
        size = self.batch_size
        if self.shares is None:
            inputs, target = self._stream(pool, min(size, self.streamed - self.position * size))
        else:
            at = np.arange(self.position * size, (self.position + 1) * size, dtype=np.float64)
            # The golden ratio's multiples: any stretch of them is spread evenly, and none needs the ones before.
            place = (at * GOLDEN + np.random.default_rng([self.seed, self.epoch, 3]).random()) % 1
            last = np.searchsorted(self.edges[:-1], place, side="right")
            number = np.bincount(last, minlength=len(self._used))
            pieces = [self._draw(int(i), int(number[i])) for i in np.flatnonzero(number[:-1])]
            if number[-1]:
                pieces.append(self._stream(pool, int(number[-1])))
            inputs, target = (torch.cat(column) for column in zip(*pieces))
        if self.class_weight is None:
            return inputs, target
        return inputs, target, self.class_weight.to(inputs.dtype)[target]

    def _draw(self, group: int, number: int) -> tuple[Tensor, Tensor]:
        """The next rows of a class in memory."""
        c, start = self.groups[group], int(self._used[group])
        members = self.rows.kept[c]
        draws = torch.arange(start, start + number)
        rounds = torch.div(draws, len(members), rounding_mode="floor")
        index = torch.cat(
            [self._order(c, int(r))[draws[rounds == r] % len(members)] for r in rounds.unique()]
        )
        self._used[group] += number
        return members[index], torch.full((number,), c, dtype=torch.long)

    def _order(self, c: int, turn: int) -> Tensor:
        if self._orders.get(c, (None,))[:2] != (self.epoch, turn):
            generator = np.random.default_rng([self.seed, self.epoch, 4, c, turn])
            order = torch.from_numpy(generator.permutation(len(self.rows.kept[c])))
            self._orders[c] = (self.epoch, turn, order)
        return self._orders[c][2]

    def _stream(self, pool: ThreadPoolExecutor, number: int) -> tuple[Tensor, Tensor]:
        """The next rows of the classes that are streamed."""
        pieces = []
        while number:
            offset = int(self._used[-1]) % self.streamed
            w = int(np.searchsorted(self._starts, offset, side="right")) - 1
            inputs, target = self._window(pool, w)
            begin = offset - int(self._starts[w])
            taken = slice(begin, min(begin + number, len(target)))
            pieces.append((inputs[taken], target[taken]))
            number -= len(pieces[-1][1])
            self._used[-1] += len(pieces[-1][1])
        if len(pieces) == 1:
            return pieces[0]
        inputs, target = (torch.cat(column) for column in zip(*pieces))
        return inputs, target

    def _window(self, pool: ThreadPoolExecutor, w: int) -> tuple[Tensor, Tensor]:
        if self._current is None or self._current[:2] != (self.epoch, w):
            self._current = None
            if self._next is not None and self._next[:2] == (self.epoch, w):
                inputs, target = self._next[2].result()
            else:
                inputs, target = self._load(w)
            self._current, self._next = (self.epoch, w, inputs, target), None
            if w + 1 < len(self._windows):
                self._next = (self.epoch, w + 1, pool.submit(self._load, w + 1))
        return self._current[2], self._current[3]

    def _load(self, w: int) -> tuple[Tensor, Tensor]:
        """The shuffled rows of a window."""
        units = self._windows[w]
        total = int(self._take[units].sum())
        inputs = torch.empty(total, self.rows.num_features)
        target = torch.empty(total, dtype=torch.long)
        order = torch.from_numpy(np.random.default_rng([self.seed, self.epoch, 1, w]).permutation(total))
        start = 0
        for u in units:
            x, y = self.rows.read(int(u))
            if (self._take[u] < self.rows.unit_counts[u]).any():
                index = self._chosen(int(u), y)
                x, y = x[index], y[index]
            goal = order[start : start + len(y)]
            inputs[goal], target[goal] = x, y
            start += len(y)
        return inputs, target

    def _chosen(self, unit: int, y: Tensor) -> Tensor:
        """Of each class as many rows of a unit as are to be taken."""
        generator = np.random.default_rng([self.seed, self.epoch, 2, unit])
        shuffled = torch.from_numpy(generator.permutation(len(y)))
        ordered = shuffled[torch.argsort(y[shuffled], stable=True)]
        counts = np.bincount(y.numpy(), minlength=len(self.counts))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        pieces = [ordered[s : s + n] for s, n in zip(starts, self._take[unit])]
        return torch.cat(pieces).sort().values

    def _rates(self) -> np.ndarray:
        if self.shares is None:
            return np.ones(len(self.counts))
        stays = np.zeros(len(self.counts), dtype=bool)
        stays[list(self.rows.kept)] = True
        wanted = np.where(stays, 0.0, self.shares) / np.maximum(self.counts, 1)
        return wanted / wanted.max() if wanted.max() > 0 else wanted

    def _plan(self) -> None:
        """The order of an epoch's units, what is taken of each, and the windows."""
        if self._planned == self.epoch:
            return
        counts = np.asarray(self.rows.unit_counts)
        order = np.random.default_rng([self.seed, self.epoch, 0]).permutation(len(counts))
        upto = np.floor(np.cumsum(counts[order], axis=0) * self.rate + 1e-9).astype(np.int64)
        take = np.zeros_like(counts)
        take[order] = np.diff(upto, axis=0, prepend=0)
        order = order[take[order].sum(axis=1) > 0]
        sizes = take[order].sum(axis=1)
        windows: list[list[int]] = []
        filled = 0
        for unit, size in zip(order, sizes):
            if not windows or filled + size > self.window:
                windows.append([])
                filled = 0
            windows[-1].append(int(unit))
            filled += int(size)
        self._take = take
        self._windows = [np.array(units) for units in windows]
        ends = np.cumsum([take[units].sum() for units in self._windows], dtype=np.int64)
        self._starts = np.concatenate([[0], ends[:-1]]) if len(ends) else np.zeros(1, dtype=np.int64)
        self._planned, self._current, self._next = self.epoch, None, None

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, and with it the order; a resumed position in this epoch is kept."""
        if epoch != self.epoch:
            self.position, self._resume, self._used = 0, False, np.zeros_like(self._used)
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its batches were handed out, and how many rows of each group."""
        return {"epoch": self.epoch, "position": self.position, "used": self._used.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state_dict` was taken: the next iteration starts with the next batch."""
        self.epoch, self.position, self._resume = state["epoch"], state["position"], True
        self._used = np.array(state["used"], dtype=np.int64)
