r"""Entropic optimal transport: move one set of masses onto another as cheaply as possible.

Cuturi, "Sinkhorn distances: lightspeed computation of optimal transport", NeurIPS 2013, arXiv 1306.0895. The
gradient of the regularised value is a pair of dual potentials (Feydy et al., AISTATS 2019, arXiv 1810.08278);
that of the transport cost follows from the marginal constraints by the implicit function theorem (Luise et
al., NeurIPS 2018, arXiv 1805.11897).

Own code and not POT, with which the tests compare: POT differentiates the cost :math:`\langle\pi, C\rangle`
only through all its iterations (NaN where a mass is 0), and lacks the stopping rule of the method built on this.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["SinkhornOT", "Transport", "sinkhorn"]


class Transport(NamedTuple):
    r"""What :func:`sinkhorn` returns.

    Args:
        cost: :math:`\langle\pi, C\rangle` ``()``, differentiable.
        value: :math:`\langle\pi, C\rangle + \varepsilon\,\mathrm{KL}(\pi\,\|\,\mu\otimes\nu)` ``()``,
            differentiable: its gradients are ``f``, ``g`` and the plan.
        plan: π ``(M, N)``, detached unless unrolled.
        f: Dual potential of μ ``(M,)``, detached.
        g: Dual potential of ν ``(N,)``, detached.
        iterations: How many were made.
    """

    cost: Tensor
    value: Tensor
    plan: Tensor
    f: Tensor
    g: Tensor
    iterations: int


def sinkhorn(
    cost: Tensor,
    mu: Tensor,
    nu: Tensor,
    eps: float = 0.1,
    max_iter: int = 200,
    tol: float = 1e-4,
    *,
    stop: str = "marginal",
    unroll: bool = False,
) -> Transport:
    r"""Moves the masses μ onto ν with :math:`\pi_{ij} = \mu_i \nu_j\, e^{(f_i + g_j - C_{ij})/\varepsilon}`.

    All sums are taken in logarithms, so that no cost is too large; masses of exactly 0 are allowed. ν is met
    to rounding, μ to ``tol``. The gradients are those at convergence: a loose ``tol`` leaves an error in them
    that ``unroll`` does not.

    Args:
        cost: :math:`C` ``(M, N)``, finite.
        mu: Masses ``(M,)``, not negative.
        nu: Masses ``(N,)``, of the same sum.
        eps: Strength of the regularisation. Towards 0 this is optimal transport itself (and takes more and
            more iterations), towards infinity the plan is :math:`\mu\otimes\nu`.
        max_iter: The most iterations.
        tol: When to stop.
        stop: What must fall below ``tol``: ``"marginal"``, the absolute error of μ, summed; or
            ``"potential"``, the change of :math:`f`, summed.
        unroll: Take the gradient of the cost through all iterations, not from the marginal constraints.

    Raises:
        ValueError: Shapes that do not fit, or a setting outside its range.

    >>> cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> t = sinkhorn(cost, torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25]), eps=0.05)
    >>> t.plan.round(decimals=3)  # a quarter of the mass has to cross
    tensor([[0.5000, 0.0000],
            [0.2500, 0.2500]])
    >>> t.cost.round(decimals=3)
    tensor(0.2500)
    """
    if cost.dim() != 2 or cost.shape != (len(mu), len(nu)) or not cost.numel():
        raise ValueError(
            f"cost must be (M, N) for masses of M and N entries, but it is {tuple(cost.shape)} "
            f"for {tuple(mu.shape)} and {tuple(nu.shape)}"
        )
    check_settings(eps, max_iter, tol, stop)
    if bool((mu < 0).any()) or bool((nu < 0).any()):
        raise ValueError("masses must not be negative; take a softmax or divide weights by their sum")
    log_mu, log_nu, exponent = _log(mu), _log(nu), -cost / eps
    a, b, iterations, error = torch.zeros_like(mu), torch.zeros_like(nu), 0, float("inf")
    with torch.set_grad_enabled(unroll and torch.is_grad_enabled()):
        while iterations < max_iter and not (iterations > 1 and error < tol):
            before = a
            a = -(exponent + (b + log_nu)).logsumexp(1)
            b = -(exponent + (a + log_mu)[:, None]).logsumexp(0)
            # With the potentials before this iteration, row i of the plan sums to μ_i e^(before - a).
            change = (before - a).detach()
            moved = mu.detach() * torch.expm1(change) if stop == "marginal" else eps * change
            iterations, error = iterations + 1, float(moved.abs().sum())
        given = torch.exp(exponent + (a + log_mu)[:, None] + b)  # the plan over ν, also where ν is 0
        plan = given * nu
        spent = (plan * cost).sum()
    f, g = eps * a.detach(), eps * b.detach()
    value = (mu * f).sum() + (nu * g).sum() + ((cost - cost.detach()) * plan.detach()).sum()
    if not unroll:
        spent = _Cost.apply(cost, mu, nu, given, eps)
    return Transport(spent, value, plan, f, g, iterations)


class SinkhornOT(nn.Module):
    r"""The cost of moving μ onto ν as a module; see :func:`sinkhorn`.

    Args:
        eps, max_iter, tol, stop, unroll: Those of :func:`sinkhorn`.
        objective: ``"cost"``, :math:`\langle\pi, C\rangle`, or ``"value"``, with the regularisation, whose
            gradients are the dual potentials.

    Shape:
        cost ``(M, N)``, mu ``(M,)``, nu ``(N,)`` -> ``()``.

    Raises:
        ValueError: A setting outside its range.

    >>> nu = torch.tensor([0.75, 0.25], requires_grad=True)
    >>> cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> SinkhornOT(eps=0.01, objective="value")(cost, torch.tensor([0.5, 0.5]), nu).backward()
    >>> (nu.grad[0] - nu.grad[1]).round(decimals=1)  # mass on the second is worth 1 more
    tensor(1.)
    """

    def __init__(
        self,
        eps: float = 0.1,
        max_iter: int = 200,
        tol: float = 1e-4,
        *,
        stop: str = "marginal",
        unroll: bool = False,
        objective: str = "cost",
    ) -> None:
        super().__init__()
        check_settings(eps, max_iter, tol, stop)
        if objective not in ("cost", "value"):
            raise ValueError(f"objective={objective!r} is unknown; use 'cost' or 'value'")
        self.eps, self.max_iter, self.tol, self.stop = eps, max_iter, tol, stop
        self.unroll = unroll
        self.objective = objective

    def forward(self, cost: Tensor, mu: Tensor, nu: Tensor) -> Tensor:
        settings = (self.eps, self.max_iter, self.tol)
        transport = sinkhorn(cost, mu, nu, *settings, stop=self.stop, unroll=self.unroll)
        return transport.cost if self.objective == "cost" else transport.value


def check_settings(eps: float, max_iter: int, tol: float, stop: str) -> None:
    """Raises ValueError for settings that :func:`sinkhorn` cannot use."""
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps must be finite and above 0, but {eps} was given")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, but {max_iter} was given")
    if not tol >= 0:
        raise ValueError(f"tol must be at least 0, but {tol} was given")
    if stop not in ("marginal", "potential"):
        raise ValueError(f"stop={stop!r} is unknown; use 'marginal' or 'potential'")


class _Cost(torch.autograd.Function):
    r"""The transport cost, differentiated through the marginals, which fix the potentials.

    With :math:`P = \pi\,\mathrm{diag}(1/\nu)`, the derivatives by μ and ν (up to a constant that moves from one
    to the other) solve :math:`(\mathrm{diag}(\pi 1) - P\pi^T)\,x = (\pi\circ C) 1 - P (\pi\circ C)^T 1` and
    :math:`y_j = \sum_i P_{ij} (C_{ij} - x_i)`; that by C is :math:`\pi \circ (1 + (x \oplus y - C)/\varepsilon)`.
    """

    @staticmethod
    def forward(ctx: Any, cost: Tensor, mu: Tensor, nu: Tensor, given: Tensor, eps: float) -> Tensor:
        plan = given * nu
        ctx.save_for_backward(cost, given, plan)
        ctx.eps = eps
        return (plan * cost).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cost, given, plan = ctx.saved_tensors
        spent = plan * cost
        system = torch.diag(plan.sum(1)) - given @ plan.T
        # x is free by a constant, and wherever no mass leaves: the pseudo-inverse takes the shortest.
        x = torch.linalg.pinv(system, hermitian=True) @ (spent.sum(1) - given @ spent.sum(0))
        y = (given * (cost - x[:, None])).sum(0)
        by_cost = plan * (1 + (x[:, None] + y - cost) / ctx.eps)
        return grad * by_cost, grad * x, grad * y, None, None


def _log(mass: Tensor) -> Tensor:
    """Logarithms; minus infinity, without a gradient, for 0. A small number added, as in published code, would
    make the potentials drift, so that a strict stopping rule is never met."""
    zero = mass == 0
    return mass.masked_fill(zero, 1).log().masked_fill(zero, float("-inf"))
