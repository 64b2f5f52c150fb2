"""How much each example counts: the methods of this stage, in the order in which they are listed."""

from metabalance.methods.base import Method, recipe
from metabalance.methods.papers import CUTURI, GUO_OT, JIANG

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "ot_reweighting", "weigh",
        "Weighs each example so that moving the training set onto a balanced one by optimal transport is cheap.",
        (GUO_OT, CUTURI),
        "metabalance.weigh:OTReweighter", "metabalance.weigh:OTStep", "metabalance.weigh:sinkhorn",
        notes=(
            "The released code keeps class-balanced weights nearly fixed and trains the last layer only; that is "
            "the option published.",
        ),
    ),
    recipe(
        "curve_net", "weigh",
        "A small network reads the loss curve of each example, and so tells wrong labels from rare classes.",
        (JIANG,),
        "metabalance.weigh:CurveWeightNet", "metabalance.weigh:CurveNetStep",
        "metabalance.weigh:LossCurveRecorder",
        notes=("Wrong labels are recognised only by a held-out set of rows whose labels are right.",),
    ),
)
# fmt: on
