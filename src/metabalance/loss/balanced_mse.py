r"""Balanced MSE: the squared error of a model that is to be used where all target values are equally likely.

Ren, Zhang, Yu & Liu, "Balanced MSE for Imbalanced Visual Regression", CVPR 2022, arXiv 2203.16427. The training
prior is divided out of the Gaussian likelihood :math:`N(y; \hat y, s^2)`; three ways to take the integral over it
are :class:`GAILoss`, :class:`BMCLoss` and :class:`BNILoss`. All are multiplied by :math:`2s^2`, as a constant, which gives
them the scale of a squared error; because of that factor a learned noise does not descend the printed loss. Targets
should be standardised: the noise is in their unit. With several targets the noise is the same for all.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance import ranks
from metabalance.counts import class_counts
from metabalance.densities import as_values, bin_index, smooth_bins
from metabalance.loss.base import RegressionLoss

__all__ = ["BMCLoss", "BNILoss", "GAILoss", "binned_prior", "gaussian_prior"]


class _BalancedMSE(RegressionLoss):
    """Noise and scale: :meth:`losses` is :math:`2s^2` times :meth:`scores`."""

    noise: Tensor

    def __init__(self, noise: float, learn_noise: bool, reduction: str) -> None:
        super().__init__(reduction)
        if not 0 < noise < float("inf"):
            raise ValueError(f"noise must be finite and above 0, but {noise} was given")
        value = torch.tensor(float(noise))
        if learn_noise:
            self.noise = nn.Parameter(value)
        else:
            self.register_buffer("noise", value)

    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        s2 = self.noise.to(prediction.dtype).square()
        return self.scores(prediction, target, s2) * (2 * s2).detach()

    def scores(self, p: Tensor, y: Tensor, s2: Tensor) -> Tensor:
        """Negative log-likelihoods under a flat prior ``(B,)``; p and y ``(B, T)``."""
        raise NotImplementedError


class GAILoss(_BalancedMSE):
    r"""The integral in closed form, the prior being a mixture of Gaussians :math:`\phi_k N(m_k, V_k)`:

    .. math:: \frac{\|\hat y - y\|^2}{2s^2} + \tfrac{T}{2}\log s^2
        + \log \sum_k \phi_k |V_k + s^2|^{-1/2} e^{-\frac12 (\hat y - m_k)^\top (V_k + s^2)^{-1} (\hat y - m_k)}.

    With one Gaussian its gradient is :math:`2(\hat y - y) - 2(\hat y - m) s^2/(V + s^2)`: a wide prior gives the
    squared error.

    Args:
        share: :math:`\phi_k` ``(K,)``, not negative; they are made to sum to one.
        mean: :math:`m_k` ``(K,)`` or ``(K, T)``.
        covariance: :math:`V_k` ``(K,)`` or ``(K, T, T)``; :func:`gaussian_prior` fits all three.
        noise: :math:`s`, the standard deviation of the residuals to begin with.
        learn_noise: Whether :math:`s` is a parameter (the authors give it a learning rate of its own, 0.01).
        reduction: ``"none"``, ``"mean"`` (over rows) or ``"sum"``.

    Shape:
        prediction and target ``(B,)`` or ``(B, T)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: A prior that is none, or noise that is not above 0.

    >>> loss = GAILoss(share=[0.75, 0.25], mean=[1.0, 3.0], covariance=[0.5, 0.5])
    >>> loss(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 3.0]))
    tensor(-0.7454)
    """

    log_share: Tensor
    mean: Tensor
    covariance: Tensor

    def __init__(
        self,
        share: Any,
        mean: Any,
        covariance: Any,
        noise: float = 1.0,
        learn_noise: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(noise, learn_noise, reduction)
        phi = torch.as_tensor(share, dtype=torch.float64).reshape(-1)
        m = torch.as_tensor(mean, dtype=torch.float64).reshape(len(phi), -1)
        v = torch.as_tensor(covariance, dtype=torch.float64).reshape(len(phi), m.shape[1], m.shape[1])
        finite = all(bool(torch.isfinite(x).all()) for x in (phi, m, v))
        if (
            not finite
            or bool((phi < 0).any())
            or not float(phi.sum()) > 0
            or bool((v.diagonal(0, 1, 2) < 0).any())
        ):
            raise ValueError(
                "a mixture needs finite shares and covariances that are not negative, shares not all 0"
            )
        self.register_buffer("log_share", (phi / phi.sum()).log().clamp_min(-1e30).float())
        self.register_buffer("mean", m.float())
        self.register_buffer("covariance", v.float())

    def scores(self, p: Tensor, y: Tensor, s2: Tensor) -> Tensor:
        width = p.shape[1]
        _check_width(p, self.mean)
        eye = torch.eye(width, dtype=p.dtype, device=p.device)
        root = torch.linalg.cholesky(self.covariance.to(p.dtype) + s2 * eye)
        deviation = (p[:, None] - self.mean.to(p.dtype)).permute(1, 2, 0)  # (K, T, B)
        z = torch.linalg.solve_triangular(root, deviation, upper=False)
        half_log_det = root.diagonal(0, 1, 2).log().sum(1)
        logs = (self.log_share.to(p.dtype) - half_log_det)[:, None] - z.square().sum(1) / 2
        return (p - y).square().sum(1) / (2 * s2) + width / 2 * s2.log() + logs.logsumexp(0)


class BMCLoss(_BalancedMSE):
    r"""The integral by the batch's own targets: a cross-entropy over which of them the prediction belongs to,

    .. math:: -\log \frac{e^{-\|\hat y_i - y_i\|^2/2s^2}}{\sum_j e^{-\|\hat y_i - y_j\|^2/2s^2}}.

    A batch must be large enough to stand for the training targets: of one row the loss is 0, whatever is predicted.
    A small noise leaves only the nearest target to be kept away from; a huge one is *not* the squared error, but
    pushes away from the batch's mean without end.

    Args:
        noise, learn_noise, reduction: See :class:`GAILoss`.

    Shape:
        prediction and target ``(B,)`` or ``(B, T)`` -> ``(B,)`` or ``()``.

    >>> BMCLoss()(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 3.0]))
    tensor(1.4419)
    """

    def __init__(self, noise: float = 1.0, learn_noise: bool = False, reduction: str = "mean") -> None:
        super().__init__(noise, learn_noise, reduction)
        self.compares_rows = True

    def scores(self, p: Tensor, y: Tensor, s2: Tensor) -> Tensor:
        # Differences first: the expanded square would cancel for targets far from 0.
        # The targets are those of all processes, as one process with all rows would have them.
        (all_y,) = ranks.together(y)
        own = torch.arange(len(p), device=p.device) * ranks.world_size() + ranks.rank()
        logits = -(p[:, None] - all_y[None]).square().sum(2) / (2 * s2)
        return F.cross_entropy(logits, own, reduction="none")


class BNILoss(_BalancedMSE):
    r"""The integral by bins with centres :math:`c_b` and training shares :math:`\pi_b`:

    .. math:: \frac{\|\hat y - y\|^2}{2s^2} + \log \sum_b \pi_b\, e^{-\|\hat y - c_b\|^2/2s^2}.

    Args:
        centre: ``(K,)`` or ``(K, T)``.
        share: ``(K,)``, not negative; bins of share 0 are dropped. :func:`binned_prior` gives both.
        noise, learn_noise, reduction: See :class:`GAILoss`.

    Shape:
        prediction and target ``(B,)`` or ``(B, T)`` -> ``(B,)`` or ``()``.

    >>> loss = BNILoss(centre=[0.0, 1.0, 2.0, 3.0], share=[0.1, 0.6, 0.2, 0.1])
    >>> loss(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 3.0]))
    tensor(-0.5081)
    """

    centre: Tensor
    log_share: Tensor

    def __init__(
        self, centre: Any, share: Any, noise: float = 1.0, learn_noise: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(noise, learn_noise, reduction)
        pi = torch.as_tensor(share, dtype=torch.float64).reshape(-1)
        c = torch.as_tensor(centre, dtype=torch.float64).reshape(len(pi), -1)
        finite = bool(torch.isfinite(pi).all()) and bool(torch.isfinite(c).all())
        if not finite or bool((pi < 0).any()) or not float(pi.sum()) > 0:
            raise ValueError("bins need finite centres and shares that are not negative and not all 0")
        self.register_buffer("centre", c[pi > 0].float())
        self.register_buffer("log_share", (pi[pi > 0] / pi.sum()).log().float())

    def scores(self, p: Tensor, y: Tensor, s2: Tensor) -> Tensor:
        _check_width(p, self.centre)
        distance = (p[:, None] - self.centre.to(p.dtype)).square().sum(2)
        prior = (self.log_share.to(p.dtype) - distance / (2 * s2)).logsumexp(1)
        return (p - y).square().sum(1) / (2 * s2) + prior


def gaussian_prior(target: Any, components: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Shares ``(K,)``, means ``(K, T)`` and covariances ``(K, T, T)`` of a mixture fitted to training targets.

    The authors take 8 components for ages and 16 for depths, and scikit-learn's fit, as here. Fewer are fitted where
    the target has fewer different values.

    Args:
        target: ``(N,)`` or ``(N, T)``.
        components: K.
        seed: Of the fit's start.

    >>> share, mean, covariance = gaussian_prior([0.0, 0.1, 0.2, 9.0, 9.1, 9.2], components=2)
    >>> sorted(mean.flatten().round(decimals=2).tolist())
    [0.1, 9.1]
    """
    from sklearn.mixture import GaussianMixture

    y = as_values(target, columns=True).cpu()
    y = y.reshape(len(y), -1)
    if components < 1:
        raise ValueError(f"components must be at least 1, but {components} was given")
    # Scaled, for the fit's floor under the variances is a number without unit.
    scale = y.std(0).nan_to_num().clamp_min(torch.finfo(y.dtype).tiny)
    scale = torch.where(y.max(0).values > y.min(0).values, scale, torch.ones_like(scale))
    centre = y.mean(0)
    u = (y - centre) / scale
    k = min(components, len(torch.unique(u, dim=0)))
    if k == 1:
        deviation = u - u.mean(0)
        share, mean, cov = torch.ones(1).double(), u.mean(0)[None], (deviation.T @ deviation / len(u))[None]
    else:
        fitted = GaussianMixture(k, random_state=seed).fit(u.numpy())
        share, mean, cov = (
            torch.from_numpy(a.copy()) for a in (fitted.weights_, fitted.means_, fitted.covariances_)
        )
    return share, mean * scale + centre, cov * (scale[:, None] * scale)


def binned_prior(target: Any, edges: Tensor, kernel: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Centres ``(K,)`` and shares ``(K,)`` of the bins that hold training rows, or lie near them with a kernel.

    Args:
        target: Training values ``(N,)``.
        edges: Edges of bins ``(K + 1,)``, of :func:`~metabalance.densities.bin_edges`.
        kernel: Smooths the shares, as label distribution smoothing does.

    >>> binned_prior([0.2, 0.4, 2.1], torch.tensor([0.0, 1.0, 2.0, 3.0]))
    (tensor([0.5000, 2.5000], dtype=torch.float64), tensor([0.6667, 0.3333], dtype=torch.float64))
    """
    e = torch.as_tensor(edges, dtype=torch.float64)
    n = class_counts(bin_index(target, e).cpu(), len(e) - 1)
    n = n if kernel is None else smooth_bins(n, kernel)
    centre = (e[1:] + e[:-1]) / 2
    return centre[n > 0], n[n > 0] / n.sum()


def _check_width(p: Tensor, prior: Tensor) -> None:
    if p.shape[1] != prior.shape[1]:
        raise ValueError(f"the prior has {prior.shape[1]} targets, but the predictions have {p.shape[1]}")
