"""Self-training: unlabelled rows take the label that a network trained on the labelled ones gives them.

Yang & Xu, "Rethinking the Value of Labels for Improving Class-Imbalanced Learning", NeurIPS 2020, arXiv 2006.07529:
hard labels, all rows, one round, then training anew on the union with counts taken anew. Pseudo-labels inherit
the first network's preference for large classes, and unlabelled rows of other classes do harm.
"""

import torch
from torch import Tensor, nn


def pseudo_labels(
    model: nn.Module, inputs: Tensor, batch_size: int = 512, threshold: float | None = None
) -> tuple[Tensor, Tensor]:
    """The network's hard labels, in evaluation mode; every module's mode is put back.

    Args:
        model: Gives logits ``(B, C)``.
        inputs: Rows without labels ``(M, ...)``.
        batch_size: Rows at a time.
        threshold: Keep only rows whose largest probability is at least this; None, as published, keeps all.

    Returns:
        Class indices ``(M,)``, and which of them to keep ``(M,)``, both on the inputs' device.

    Raises:
        ValueError: A threshold outside [0, 1].

    >>> labels, kept = pseudo_labels(nn.Identity(), torch.tensor([[4.0, 0.0], [0.0, 1.0]]), threshold=0.9)
    >>> labels, kept
    (tensor([0, 1]), tensor([ True, False]))
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"threshold is a probability, from 0 to 1, but {threshold} was given")
    parameter = next(model.parameters(), None)
    device = inputs.device if parameter is None else parameter.device
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            parts = [model(rows.to(device)) for rows in inputs.split(batch_size)]
    finally:
        for module, training in modes:
            module.training = training
    probability, labels = torch.cat(parts).to(inputs.device).softmax(1).max(1)
    kept = torch.ones_like(labels, dtype=torch.bool) if threshold is None else probability >= threshold
    return labels, kept
