"""What the penalties for a continuous target share: the check, and distances between targets.

Both serve imbalanced regression as Yang et al., ICML 2021, arXiv 2102.09554, set it up.
"""

import torch
from torch import Tensor


def check_values(features: Tensor, values: Tensor, name: str = "target") -> Tensor:
    """Values ``(B, T)`` in at least float32.

    Raises:
        ValueError: Features that are not ``(B, D)``, values with other rows or that are not finite.
    """
    if features.dim() != 2:
        raise ValueError(f"features must be (B, D), but have shape {tuple(features.shape)}")
    if values.dim() not in (1, 2) or len(values) != len(features):
        raise ValueError(
            f"{name} must be ({len(features)},) or ({len(features)}, T), a row for each of the features, but has "
            f"shape {tuple(values.shape)}"
        )
    # Comparisons with NaN are false: such a row would silently be nobody's neighbour.
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"values of the {name} are missing or infinite; drop those rows, or look at the learning rate"
        )
    v = values if values.dtype in (torch.float32, torch.float64) else values.float()
    return v.reshape(len(v), -1)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances ``(A, B)`` between rows ``(A, T)`` and ``(B, T)``; of one column exact.

    >>> distances(torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0]]))
    tensor([[1.],
            [2.]])
    """
    # Not cdist, whose matrix products lose the last digits of near values.
    difference = a[:, None] - b[None]
    return difference[..., 0].abs() if a.shape[1] == 1 else torch.linalg.vector_norm(difference, dim=2)
