"""Classifier re-training: keep the representation as it is and learn a fresh head on class-balanced batches.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, arXiv 1910.09217. In the authors' code the frozen trunk stays in training mode, so that batch
norm's running statistics drift towards the balanced batches (``freeze_bn=False``).
"""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from metabalance.heads import last_linear

__all__ = ["freeze_trunk"]


def freeze_trunk(model: nn.Module, freeze_bn: bool = True) -> Callable[[], None]:
    """Freezes all parameters but those of the last ``nn.Linear``, in place.

    With ``freeze_bn`` batch norm normalises by its running statistics from now on and leaves them alone, whatever
    ``model.train()`` is called later. Dropout goes on as the mode says.

    Args:
        model: The network.
        freeze_bn: Whether batch norm stays in evaluation mode.

    Returns:
        A function that undoes it: what was trainable before is so again.

    Raises:
        ValueError: There is no ``nn.Linear``.

    >>> model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    >>> undo = freeze_trunk(model)
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['2.weight', '2.bias']
    >>> undo()
    >>> all(p.requires_grad for p in model.parameters())
    True
    """
    head = {id(p) for p in last_linear(model).parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in head]
    for p in frozen:
        p.requires_grad_(False)
        p.grad = None  # a gradient left over would be stepped on by an optimizer that still holds it
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and freeze_bn]
    modes = [(m, m.training) for m in norms]
    # A hook, for a call of eval() would last only until the next epoch's model.train().
    hooks = [m.register_forward_pre_hook(_stay_in_evaluation_mode) for m in norms]
    for m in norms:
        m.eval()

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
        for p in frozen:
            p.requires_grad_(True)

    return undo


def _stay_in_evaluation_mode(module: nn.Module, _: Any) -> None:
    module.training = False
