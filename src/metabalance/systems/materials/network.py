"""Learns related targets together: layers shared by all, then by a group, then by a property, then a target's own.

De Breuck, Hautier & Rignanese, npj Computational Materials 7, 83 (2021), arXiv 2004.14766. The authors' code takes four
blocks of layers and builds three; here all that are given are built.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["MODNet", "check_tree"]

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}

# Groups of properties of targets, by name or column.
Tree = Sequence[Sequence[Sequence[Any]]]


class MODNet(nn.Module):
    """A tree of dense layers: ``targets_tree`` holds groups, a group properties, a property its targets.

    Args:
        targets_tree: Such as ``[[["bulk", "shear"], ["gap"]]]``: one group of two properties, of which the first has
            two targets. The outputs follow in this order.
        num_features: Input columns.
        num_neurons: Widths of the layers of each block: shared, group, property, and a target's own. The last ones may
            be missing or empty.
        activation: ``relu``, ``elu``, ``gelu`` or ``tanh``.
        num_classes: Number of classes of targets that are classes, by name; of each the output holds as many logits.
        batch_norm: After every layer; None for "if there is more than one target", as published.

    Shape:
        ``(B, num_features)`` -> ``(B, outputs)``, a column a value, or C for a target of C classes (``slices``).

    Raises:
        ValueError: An empty or uneven tree, a name twice, or an unknown activation.

    >>> net = MODNet([[["a", "b"], ["c"]]], num_features=5, num_neurons=([8], [4], [4], [2]))
    >>> net(torch.zeros(3, 5)).shape, net.names
    (torch.Size([3, 3]), ['a', 'b', 'c'])
    """

    def __init__(
        self,
        targets_tree: Tree,
        num_features: int,
        num_neurons: Sequence[Sequence[int]] = ((64,), (32,), (16,), (16,)),
        *,
        activation: str = "relu",
        num_classes: Mapping[Any, int] | None = None,
        batch_norm: bool | None = None,
    ) -> None:
        super().__init__()
        self.names = check_tree(targets_tree)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, but {activation!r} was given"
            )
        if len(num_neurons) > 4 or any(width < 1 for block in num_neurons for width in block):
            raise ValueError(
                f"num_neurons must be up to four blocks of widths from 1, but is {num_neurons!r}"
            )
        blocks = [*map(list, num_neurons), [], [], [], []][:4]
        norm = len(self.names) > 1 if batch_norm is None else batch_norm
        sizes = {name: (num_classes or {}).get(name, 1) for name in self.names}

        def block(width: int, level: int) -> tuple[nn.Sequential, int]:
            layers: list[nn.Module] = []
            for out in blocks[level]:
                layers += [
                    nn.Linear(width, out),
                    *([nn.BatchNorm1d(out)] if norm else []),
                    ACTIVATIONS[activation](),
                ]
                width = out
            return nn.Sequential(*layers), width

        self.shared, width = block(num_features, 0)
        self.groups, self.properties, self.targets = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        #: For each target: the number of its group, and of its property.
        self.path: list[tuple[int, int]] = []
        for group in targets_tree:
            trunk, group_width = block(width, 1)
            self.groups.append(trunk)
            for targets in group:
                trunk, property_width = block(group_width, 2)
                self.properties.append(trunk)
                for name in targets:
                    own, own_width = block(property_width, 3)
                    self.targets.append(nn.Sequential(*own, nn.Linear(own_width, sizes[name])))
                    self.path.append((len(self.groups) - 1, len(self.properties) - 1))
        ends = torch.tensor(list(sizes.values())).cumsum(0).tolist()
        #: Where each target's columns lie in the output, by name.
        self.slices = {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends)}

    def forward(self, inputs: Tensor) -> Tensor:
        shared = self.shared(inputs)
        groups = [group(shared) for group in self.groups]
        owner = {prop: group for group, prop in self.path}
        properties = [self.properties[i](groups[owner[i]]) for i in range(len(self.properties))]
        return torch.cat([t(properties[p]) for t, (_, p) in zip(self.targets, self.path)], dim=1)


def check_tree(tree: Tree) -> list[Any]:
    """The targets of a tree in order.

    Raises:
        ValueError: It is not three levels deep, has an empty branch, or names a target twice.

    >>> check_tree([[["a", "b"], ["c"]]])
    ['a', 'b', 'c']
    """

    def branches(node: Any) -> list[Any]:
        if isinstance(node, str) or not isinstance(node, Sequence) or not len(node):
            raise ValueError(
                f"targets must be a tree of groups of properties of targets such as [[[0, 1], [2]]], but is {tree!r}"
            )
        return list(node)

    names = [t for group in branches(tree) for prop in branches(group) for t in branches(prop)]
    if any(isinstance(name, (list, tuple)) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"a tree must name each target once, at its third level, but is {tree!r}")
    return names
