"""Separation loss: classes are driven apart in the features of adversarial examples.

Wang, Xu, Liu, Li, Thuraisingham & Tang, "Imbalanced Adversarial Training with Reweighting", 2021, arXiv
2107.13639. The authors published no code. UNCONFIRMED: that the term is the supervised contrastive loss on the
penultimate features, its temperature, and that these are normalised.
"""

from metabalance.represent.supcon import SupConLoss


class SeparationLoss(SupConLoss):
    r"""SRAT's separation term: :class:`SupConLoss` on the features of the perturbed inputs.

    It is the batch's inputs that make it adversarial: give the network examples found by an attack.

    Args:
        temperature: UNCONFIRMED.
        normalize, count_lonely: See :class:`SupConLoss`.

    Shape:
        features ``(B, D)``, target ``(B,)`` -> ``()``.

    >>> import torch
    >>> SeparationLoss()(torch.ones(5, 3), torch.tensor([0, 0, 1, 1, 1]))  # no separation: log 4
    tensor(1.3863)
    """

    def __init__(self, temperature: float = 0.1, normalize: bool = True, count_lonely: bool = False) -> None:
        super().__init__(temperature, normalize, count_lonely)
