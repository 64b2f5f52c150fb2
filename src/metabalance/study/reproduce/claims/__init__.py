"""The claims that can be run, a file each; the order is that of the listing."""

from metabalance.study.reproduce.base import Claim, Experiment
from metabalance.study.reproduce.claims import (
    arb,
    auroc_auprc,
    balanced_mse,
    balanced_mse_line,
    balanced_softmax,
    cdb,
    class_balanced,
    class_smoothing,
    cmw_net,
    conr,
    curve_net,
    decoupling,
    dice,
    focal,
    joint_ssl,
    ldam_drw,
    lds_fds,
    lds_weights,
    learning_to_reweight,
    logit_adjustment,
    m2m,
    meta_weight_net,
    metabalance,
    modnet,
    noisy_metrics,
    ot,
    ranksim,
    remix,
    sam_a,
    simplified,
    srat,
    supcon,
    systematic_study,
    value_of_labels,
)

__all__ = ["CLAIMS", "EXPERIMENTS", "VALUE_CLAIMS"]

_MODULES = (
    metabalance,
    focal,
    class_balanced,
    ldam_drw,
    logit_adjustment,
    balanced_softmax,
    arb,
    cdb,
    dice,
    class_smoothing,
    meta_weight_net,
    cmw_net,
    learning_to_reweight,
    curve_net,
    ot,
    systematic_study,
    m2m,
    remix,
    supcon,
    joint_ssl,
    value_of_labels,
    sam_a,
    simplified,
    srat,
    decoupling,
)

CLAIMS: dict[str, Claim] = {module.CLAIM.name: module.CLAIM for module in _MODULES}
VALUE_CLAIMS: dict[str, Claim] = {
    module.CLAIM.name: module.CLAIM for module in (lds_fds, balanced_mse, ranksim, conr)
}
EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (auroc_auprc, noisy_metrics, balanced_mse_line, lds_weights, modnet)
}
