"""The head of a network, its last ``nn.Linear``: found, exchanged, and its input read as the features.

Whatever network the user brings, what comes before its last linear layer is taken as the representation and
the layer itself as the classifier, as in Kang et al., ICLR 2020, arXiv 1910.09217. A cosine or scaled head is
a subclass of ``nn.Linear`` and so remains one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

__all__ = ["features", "head_name", "last_linear", "replace_head", "tapped"]


def head_name(model: Any) -> str:
    """The dotted name of the last ``nn.Linear`` in the order of ``named_modules``.

    Args:
        model: A network, or a function that carries it as its attribute ``module``.

    Raises:
        ValueError: There is none.

    >>> head_name(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    '2'
    """
    return _find(model)[0]


def last_linear(model: Any) -> nn.Linear:
    """The last ``nn.Linear`` itself; see :func:`head_name`.

    >>> last_linear(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))).out_features
    2
    """
    return _find(model)[1]


def replace_head(model: nn.Module, new: nn.Module) -> nn.Linear:
    """Puts ``new`` in the place of the last ``nn.Linear`` and returns the old one.

    Raises:
        ValueError: There is none, or the model itself is that layer.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> old = replace_head(model, nn.Linear(8, 5))
    >>> old.out_features, last_linear(model).out_features
    (2, 5)
    """
    name, old = _find(model)
    if not name:
        raise ValueError("the model is itself its last nn.Linear; wrap it in nn.Sequential")
    # A shared layer stands in several places, and all of them are the head.
    for place, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            model.set_submodule(place, new)
    return old


@contextmanager
def tapped(model: Any) -> Iterator[list[Tensor]]:
    """Inside the block every forward pass appends the features ``(B, D)``, the input of the head, to a list.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(2, 3))
    >>> with tapped(model) as seen:
    ...     _ = model(__import__("torch").ones(4, 2))
    >>> seen[0].shape
    torch.Size([4, 2])
    """
    seen: list[Tensor] = []
    # First of all hooks: the features as the network made them, whatever else changes them on their way to the head.
    tap = last_linear(model).register_forward_pre_hook(lambda _, args: seen.append(args[0]), prepend=True)
    try:
        yield seen
    finally:
        tap.remove()


def features(model: Any, inputs: Any) -> Tensor:
    """The features ``(B, D)`` of a batch of inputs; gradients flow."""
    with tapped(model) as seen:
        model(inputs)
    return seen[-1]


def _find(model: Any) -> tuple[str, nn.Linear]:
    network = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    named = network.named_modules() if isinstance(network, nn.Module) else ()
    layers = [(name, layer) for name, layer in named if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError(
            "features are the input of the last nn.Linear, but none was found; give the network one, or a "
            "function its network as the attribute module"
        )
    return layers[-1]
