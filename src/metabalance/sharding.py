"""A network divided among the processes (FSDP), and put together again.

Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data parallel", VLDB 2023, arXiv 2304.11277; the
second version of it in PyTorch, ``fully_shard``, which also works on CPUs with gloo.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from metabalance.ranks import alone, spread, world_size

__all__ = ["gathered", "sharded"]


def sharded(model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> nn.Module:
    """A copy of the model of which each process holds its part; the optimizer then steps that copy.

    Args:
        model: The whole network, of which process 0's weights count.
        optimizer: A fresh one over the model's parameters.
        device: Where the parts go.

    Raises:
        ValueError: There is one process only, or the optimizer has a state already.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if alone():
        raise ValueError(
            "fsdp divides a network among processes, and there is one only; give devices=2 or more"
        )
    if optimizer.state:
        raise ValueError("fsdp needs a fresh optimizer, but this one has a state already")
    spread(model)
    twin = deepcopy(model)
    fully_shard(twin, mesh=init_device_mesh(device.type, (world_size(),)))
    _exchange(optimizer, dict(model.named_parameters()), dict(twin.named_parameters()))
    return twin


@torch.no_grad()
def gathered(twin: nn.Module, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts the parts together in the whole network, in every process; the optimizer keeps no state of them."""
    whole = {name: _full(tensor) for name, tensor in twin.state_dict().items()}
    model.load_state_dict(whole)
    optimizer.state.clear()
    _exchange(optimizer, dict(twin.named_parameters()), dict(model.named_parameters()))


def _full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _exchange(
    optimizer: torch.optim.Optimizer, old: dict[str, nn.Parameter], new: dict[str, nn.Parameter]
) -> None:
    place = {id(p): new[name] for name, p in old.items()}
    for group in optimizer.param_groups:
        group["params"] = [place[id(p)] for p in group["params"]]
