r"""MetaBalance: take a look-ahead on data as it comes, learn from the mistakes it makes on balanced data.

Bansal, Goldblum, Cherepanova, Schwarzschild, Bruss & Goldstein, "MetaBalance: High-Performance Neural
Networks for Class-Imbalanced Data", 2021, arXiv 2106.09643. (Not the multi-task method of the same name.)

Two differently balanced streams of the same training set: an inner batch gives a look-ahead
:math:`\theta'_k = \theta - \eta \nabla L_{in}(\theta; b^{in}_k)`, an outer batch judges it, and the optimizer
takes one step on the mean over M look-aheads from the same θ,

.. math:: G = \nabla_\theta \frac1M \sum_k L_{out}(\theta'_k; b^{out}_k) + \lambda L_{in}(\theta; b^{in}_k).

Departures of the authors' code from this formula: it asks for second derivatives but cuts the graph (order 1
in effect); ``meta_step = 80`` averages M = 81; on current PyTorch its convolution layers mix weights of θ
with activations of θ' in the backward pass. Here order 1 is exactly :math:`\nabla L_{out}(\theta')`.
"""

from metabalance.optimize.metabalance.meta_set import hold_out_meta_set
from metabalance.optimize.metabalance.presets import PRESETS, Preset
from metabalance.optimize.metabalance.step import MetaBalanceStep
from metabalance.optimize.metabalance.update import MetaBalance

__all__ = ["PRESETS", "MetaBalance", "MetaBalanceStep", "Preset", "hold_out_meta_set"]
