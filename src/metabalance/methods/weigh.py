"""How much each example counts: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, value_recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "learning_to_reweight", "weigh",
        "Weighs each row of a batch by how much a step on it would help a small balanced set.",
        (papers.REN_2018,), "metabalance.weigh:LearningToReweight", "metabalance.weigh:reweight",
    ),
    recipe(
        "meta_weight_net", "weigh",
        "Learns a function from a row's loss to its weight, judged through a look-ahead on balanced data.",
        (papers.SHU,), "metabalance.weigh:MetaWeightNet", "metabalance.weigh:LearnedWeights",
        notes=("Published settings: imbalance and noise.",),
    ),
    recipe(
        "cmw_net", "weigh",
        "A Meta-Weight-Net with a head for each family of classes of similar size, switched on late.",
        (papers.SHU_2023,), "metabalance.weigh:ClassAwareWeightNet", "metabalance.weigh:class_families",
        "metabalance.weigh:LearnedWeights",
    ),
    recipe(
        "ot_reweighting", "weigh",
        "Weighs each example so that moving the training set onto a balanced one by optimal transport is cheap.",
        (papers.GUO_OT, papers.CUTURI),
        "metabalance.weigh:OTReweighter", "metabalance.weigh:OTStep", "metabalance.weigh:sinkhorn",
        notes=(
            "The released code keeps class-balanced weights nearly fixed and trains the last layer only; that is "
            "the option published.",
        ),
    ),
    recipe(
        "curve_net", "weigh",
        "A small network reads the loss curve of each example, and so tells wrong labels from rare classes.",
        (papers.JIANG,),
        "metabalance.weigh:CurveWeightNet", "metabalance.weigh:CurveNetStep",
        "metabalance.weigh:LossCurveRecorder",
        notes=("Wrong labels are recognised only by a held-out set of rows whose labels are right.",),
    ),
    value_recipe(
        "inverse_density", "weigh", "Weighs a row inversely to the number of rows in its bin of target values.",
        (papers.YANG_DIR,), "metabalance.weigh:bin_weights",
    ),
    value_recipe(
        "sqrt_inverse_density", "weigh",
        "Weighs a row inversely to the root of the number of rows in its bin of target values.",
        (papers.YANG_DIR,), "metabalance.weigh:bin_weights",
    ),
    value_recipe(
        "lds", "weigh", "Weighs a row by how few rows have a target value near its own.", (papers.YANG_DIR,),
        "metabalance.weigh:label_density_weights", "metabalance.weigh:bin_weights",
        notes=("Without a kernel it is inverse or inverse-root weighting.",),
    ),
    value_recipe(
        "dense_weight", "weigh", "Weighs a row by one minus the kernel density of its target value.",
        (papers.STEININGER,), "metabalance.weigh:DenseWeight",
    ),
)
# fmt: on
