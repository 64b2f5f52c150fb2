"""Feature distribution smoothing: features of rare target values take their mean and spread from near values.

Yang, Zha, Chen, Wang & Katabi, ICML 2021, arXiv 2102.09554; per dimension, as in the authors' code (the paper writes
full covariances). Three faults of that code are not here: the statistics to remove and those to restore are of the same
epoch (there one is an alias of a tensor that is later changed in place, and so an epoch newer); they are taken from
features that have not been smoothed before; and bins without rows are left out of the smoothing instead of pulling
their neighbours towards mean 0 and variance 1. Smoothing therefore begins one epoch earlier.
"""

import torch
from torch import Tensor, nn

from metabalance.densities import smooth_bins, smoothing_kernel

__all__ = ["FeatureDistributionSmoothing"]


class FeatureDistributionSmoothing(nn.Module):
    r"""Re-colours features: :math:`z \mapsto (z - \mu_b) \sqrt{\tilde v_b / v_b} + \tilde\mu_b` for a row whose target
    lies in bin b.

    :math:`\mu, v` are running means and variances of each bin, :math:`\tilde\mu, \tilde v` their averages over
    neighbouring bins by a kernel. It acts in training only, between the last hidden layer and the head, from the
    ``start``-th :meth:`update` on. Dimensions without variance in a bin, and bins not seen so far, stay as they are.
    One bin, equal statistics everywhere, or a kernel of size 1 change nothing.

    Show it the raw features of the training rows with :meth:`collect`, in an epoch's own forward passes or in a pass
    after it, as the authors do, and end the epoch with :meth:`update`.

    Args:
        num_features: D.
        num_bins: K, more than half the kernel.
        kernel, kernel_size, sigma, exact: See :func:`~metabalance.densities.smoothing_kernel`.
        momentum: Share of the old statistics that each update keeps.
        start: Updates before the features are smoothed, at least 1.
        clip: Limits of :math:`\tilde v/v`; the authors take (0.1, 10), (0.2, 5) or (0.5, 2).

    Shape:
        features ``(B, D)``, bins ``(B,)`` (:func:`~metabalance.densities.bin_index`) -> ``(B, D)``.

    Raises:
        ValueError: Settings outside their limits; in a call, shapes or bins that do not fit.

    >>> fds = FeatureDistributionSmoothing(num_features=1, num_bins=3, kernel="triang", kernel_size=3)
    >>> bins = torch.tensor([0, 0, 1, 1, 2, 2])
    >>> fds.collect(torch.tensor([[0.0], [2.0], [4.0], [6.0], [5.0], [7.0]]), bins)
    >>> fds.update()
    >>> fds(torch.tensor([[5.0]]), torch.tensor([1]))  # (1 + 2 * 5 + 6) / 4
    tensor([[4.2500]])
    """

    running_mean: Tensor
    running_var: Tensor
    smoothed_mean: Tensor
    smoothed_var: Tensor
    seen: Tensor
    updates: Tensor
    kernel: Tensor
    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(
        self,
        num_features: int,
        num_bins: int,
        kernel: str = "gaussian",
        kernel_size: int = 5,
        sigma: float = 2.0,
        exact: bool = False,
        momentum: float = 0.9,
        start: int = 1,
        clip: tuple[float, float] = (0.1, 10.0),
    ) -> None:
        super().__init__()
        if num_bins <= kernel_size // 2:
            raise ValueError(
                f"a kernel of size {kernel_size} needs more than {kernel_size // 2} bins, but there are {num_bins}"
            )
        if not 0 <= momentum < 1 or start < 1 or not 0 < clip[0] <= 1 <= clip[1]:
            raise ValueError(
                "momentum must lie in [0, 1), start be at least 1 and clip hold 1, but "
                f"{momentum}, {start} and {clip} were given"
            )
        self.momentum, self.start, self.clip = momentum, start, clip
        k, d = num_bins, num_features
        weights = smoothing_kernel(kernel, kernel_size, sigma, exact)
        self.register_buffer("kernel", (weights / weights.sum()).float())
        for name, value in {
            "running_mean": torch.zeros(k, d), "running_var": torch.ones(k, d),
            "smoothed_mean": torch.zeros(k, d), "smoothed_var": torch.ones(k, d),
            "seen": torch.zeros(k, dtype=torch.bool), "updates": torch.zeros((), dtype=torch.long),
            "count": torch.zeros(k), "mean": torch.zeros(k, d), "squares": torch.zeros(k, d),
        }.items():  # fmt: skip
            self.register_buffer(name, value)

    def forward(self, features: Tensor, bins: Tensor) -> Tensor:
        self._check(features, bins)
        if not self.training:
            return features
        z = features.to(self.running_mean.dtype)
        mean, var = self.running_mean[bins], self.running_var[bins]
        ratio = (self.smoothed_var[bins] / var.clamp_min(torch.finfo(var.dtype).tiny)).clamp(*self.clip)
        # A tensor, not an if: so the call can be compiled, and needs no answer from a GPU.
        acts = self.seen[bins, None] & (var > 0) & (self.updates >= self.start)
        return torch.where(acts, (z - mean) * ratio.sqrt() + self.smoothed_mean[bins], z).to(features.dtype)

    @torch.no_grad()
    def collect(self, features: Tensor, bins: Tensor) -> None:
        """Adds raw features ``(B, D)`` to the statistics of this epoch."""
        self._check(features, bins)
        z = features.detach().to(self.mean.dtype)
        n = torch.zeros_like(self.count).index_add_(0, bins, torch.ones_like(z[:, 0]))
        held = n.clamp_min(1)[:, None]
        mean = torch.zeros_like(self.mean).index_add_(0, bins, z) / held
        squares = torch.zeros_like(self.mean).index_add_(0, bins, (z - mean[bins]).square())
        # Chan, Golub & LeVeque 1983: two sets of moments made one, without cancellation.
        total = (self.count + n).clamp_min(1)
        share = (n / total)[:, None]
        delta = mean - self.mean
        self.squares += squares + delta.square() * (self.count[:, None] * share)
        self.mean += delta * share
        self.count += n

    @torch.no_grad()
    def update(self, **report: object) -> None:
        """Ends an epoch: what was collected enters the running statistics, which are smoothed anew."""
        fresh = self.count > 0
        if bool(fresh.any()):
            # A single row has no unbiased variance; its biased one is 0.
            var = self.squares / (self.count - 1).clamp_min(1)[:, None]
            keep = torch.where(self.seen, self.momentum, 0.0).to(var.dtype)
            keep = torch.where(fresh, keep, 1.0)[:, None]
            self.running_mean.copy_(keep * self.running_mean + (1 - keep) * self.mean)
            self.running_var.copy_(keep * self.running_var + (1 - keep) * var)
            self.seen |= fresh
            known = self.seen[:, None].to(var.dtype)
            near = smooth_bins(known, self.kernel, "reflect").clamp_min(torch.finfo(var.dtype).tiny)
            self.smoothed_mean.copy_(smooth_bins(self.running_mean * known, self.kernel, "reflect") / near)
            self.smoothed_var.copy_(smooth_bins(self.running_var * known, self.kernel, "reflect") / near)
            self.updates += 1
        for part in (self.count, self.mean, self.squares):
            part.zero_()

    def _check(self, features: Tensor, bins: Tensor) -> None:
        k, d = self.running_mean.shape
        if features.dim() != 2 or features.shape[1] != d or bins.shape != features.shape[:1]:
            raise ValueError(
                f"features must be (B, {d}) and bins (B,), but have shapes {tuple(features.shape)} and "
                f"{tuple(bins.shape)}"
            )
        if bins.is_floating_point():
            raise ValueError("bins are whole numbers; give bin_index(target, edges), not the target itself")
        if (
            not torch.compiler.is_compiling()
            and len(bins)
            and not 0 <= int(bins.min()) <= int(bins.max()) < k
        ):
            raise ValueError(
                f"bins must lie between 0 and {k - 1}, but run from {int(bins.min())} to {int(bins.max())}"
            )
