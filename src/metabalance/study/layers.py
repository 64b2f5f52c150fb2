"""A trained network told in words and tensors: its architecture's name, and what the recipe changed in it.

A recipe may exchange the head (a cosine classifier, one with a learned scale) or wrap it. Each layer that differs
from the fresh architecture is described by its class, its plain attributes and its tensors. On reading, only
classes that this library exports, and ``nn.Linear``, are made again, without running their constructors, so no
code ever comes out of a file.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metabalance import adjust, loss
from metabalance.data.errors import DataError
from metabalance.networks import build_network

__all__ = ["describe_network", "rebuild_network"]

Description = dict[str, Any]
# Layers of torch that recipes put into the place of a head, or wrap one with.
TORCH = {layer.__name__: layer for layer in (nn.Linear, nn.Identity, nn.Sequential, nn.BatchNorm1d)}
_BARE = set(vars(nn.Module())) | {"training"}


def describe_network(
    module: nn.Module,
    architecture: Any,
    shape: tuple[int, ...],
    num_classes: int,
    hidden: Any,
    dropout: float,
) -> Description:
    """What :func:`rebuild_network` needs besides the tensors of ``module.state_dict()``.

    Args:
        module: The trained network.
        architecture: The name it was made by, or None for the default one.
        shape: Of one input, ``(D,)`` or ``(channels, height, width)``.
        num_classes: C.
        hidden: Widths of an MLP.
        dropout: Dropout of an MLP.

    Raises:
        DataError: The network cannot be told: it is the user's own, or holds a layer that is not known here.

    >>> from metabalance.networks import MLP
    >>> describe_network(MLP(3, 2, (4,)), None, (3,), 2, (4,), 0.0)["changed"]
    {}
    """
    if architecture is not None and not isinstance(architecture, str):
        name = getattr(architecture, "__name__", type(architecture).__name__)
        raise DataError(
            f"the network {name} is your own, and a model folder holds no code to make it again; save its state_dict() "
            "yourself, or use mlp, convnet, resnet32 or wideresnet"
        )
    told: Description = {
        "architecture": architecture, "shape": [int(n) for n in shape], "hidden": [int(n) for n in hidden],
        "dropout": float(dropout), "changed": {},
    }  # fmt: skip
    fresh = build_network(architecture, shape, num_classes, hidden, dropout)
    _compare(fresh, module, "", told["changed"])
    again = rebuild_network(told, module.state_dict(), num_classes)
    probe = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    was_training = module.training
    with torch.no_grad():
        same = torch.equal(module.eval()(probe), again(probe))
    module.train(was_training)
    if not same:
        raise DataError("the network does more than its layers tell (a hook, say), and cannot be saved")
    return told


def rebuild_network(told: Mapping[str, Any], state: Mapping[str, Tensor], num_classes: int) -> nn.Module:
    """The network that :func:`describe_network` described, ready for use.

    Args:
        told: The description.
        state: All its tensors by name.
        num_classes: C.

    Raises:
        ValueError: A layer of an unknown kind, or tensors that do not fit.
    """
    plan = told["architecture"], told["shape"], num_classes, told["hidden"], told["dropout"]
    _refuse_larger(plan, told["changed"], state)
    module = build_network(*plan)
    for path, layer in told["changed"].items():
        made = _made(layer, path, state)
        if not path:
            module = made
        else:
            module.set_submodule(path, made)
    module.load_state_dict(dict(state))
    return module.eval()


def _refuse_larger(plan: tuple[Any, ...], changed: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """A description may not make a larger network than its tensors are of; looked at without taking memory."""
    if "" in changed:
        return
    if len(plan[3]) > len(state):
        raise ValueError(f"{len(plan[3])} hidden layers are told, but there are {len(state)} tensors")
    with torch.device("meta"):
        fresh = build_network(*plan)
    for name, tensor in fresh.state_dict().items():
        if any(name.startswith(f"{path}.") for path in changed):
            continue
        if name not in state or state[name].shape != tensor.shape:
            raise ValueError(f"the tensor {name!r} should be of shape {tuple(tensor.shape)}")


def _compare(fresh: nn.Module, trained: nn.Module, path: str, changed: Description) -> None:
    """Writes down the layers of ``trained`` that are not those of ``fresh``."""
    children = dict(trained.named_children())
    alike = (
        type(fresh) is type(trained)
        and list(dict(fresh.named_children())) == list(children)
        and _plain(fresh) == _plain(trained)
        and _tensors(fresh) == _tensors(trained)
    )
    if not alike:
        changed[path] = _layer(trained, path)
        return
    for name, child in children.items():
        _compare(fresh.get_submodule(name), child, f"{path}.{name}".lstrip("."), changed)


def _layer(module: nn.Module, path: str) -> Description:
    kind = type(module).__name__
    if _known().get(kind) is not type(module):
        raise DataError(
            f"the layer {path or '(the whole network)'!r} is a {kind}, which is not known to be safe to make again, so "
            "the model cannot be saved"
        )
    plain = _plain(module)
    odd = next((name for name, value in plain.items() if not _is_plain(value)), None)
    if odd is not None or module._non_persistent_buffers_set:
        raise DataError(
            f"the layer {path!r} ({kind}) holds {odd or 'buffers'} that no file keeps; it cannot be saved"
        )
    return {
        "kind": kind,
        "plain": {name: _to_json(value) for name, value in plain.items()},
        "tensors": {name: shape is not None for name, shape in _tensors(module).items()},
        "parts": {name: _layer(child, f"{path}.{name}") for name, child in module.named_children()},
    }


def _made(told: Mapping[str, Any], path: str, state: Mapping[str, Tensor]) -> nn.Module:
    known = _known()
    if told["kind"] not in known:
        raise ValueError(f"a layer of the kind {told['kind']!r} is not known")
    module = known[told["kind"]].__new__(known[told["kind"]])
    nn.Module.__init__(module)
    for name, value in told["plain"].items():
        if name in _BARE or hasattr(type(module), name):
            raise ValueError(f"{name!r} cannot be set on a {told['kind']}")
        setattr(module, name, _from_json(value))
    for name, present in told["tensors"].items():
        module.register_buffer(name, state[f"{path}.{name}".lstrip(".")] if present else None)
    for name, part in told["parts"].items():
        module.add_module(name, _made(part, f"{path}.{name}".lstrip("."), state))
    return module


def _known() -> dict[str, type[nn.Module]]:
    """What the stages export, by name: the import is the registry."""
    found = {name: getattr(room, name) for room in (adjust, loss) for name in getattr(room, "__all__", ())}
    return TORCH | {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, nn.Module)}


def _plain(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in _BARE}


def _tensors(module: nn.Module) -> dict[str, Any]:
    """Names of a layer's own tensors, with their shapes, or None for one that is not there."""
    own = {**module._parameters, **module._buffers}
    return {name: None if tensor is None else tuple(tensor.shape) for name, tensor in own.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _to_json(value: Any) -> Any:
    """JSON has no tuples."""
    return {"tuple": [_to_json(v) for v in value]} if isinstance(value, (tuple, list)) else value


def _from_json(value: Any) -> Any:
    return tuple(_from_json(v) for v in value["tuple"]) if isinstance(value, dict) else value
