"""Whole systems for a field, built of the library's parts."""

from metabalance.methods import papers
from metabalance.methods.base import Method

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    Method(
        "modnet", "systems",
        "Small data of materials: features chosen by information, a network that learns related targets together, and an "
        "ensemble that says how sure it is.",
        (papers.DE_BREUCK_ROBUST, papers.DE_BREUCK),
        (
            "metabalance.systems.materials:MODNetRegressor", "metabalance.systems.materials:MODNetClassifier",
            "metabalance.systems.materials:MODNet", "metabalance.systems.materials:BootstrapEnsemble",
        ),
        modality="numeric",
    ),
    Method(
        "nmi_selection", "systems",
        "Chooses features that tell much of the target and little of each other, by mutual information of neighbours.",
        (papers.DE_BREUCK, papers.KRASKOV), ("metabalance.systems.materials:NMIRelevanceRedundancy",),
        modality="numeric",
    ),
    Method(
        "confidence_ranked_error", "systems",
        "Whether a spread or the distance to the training rows tells where a model errs.", (papers.DE_BREUCK_ROBUST,),
        (
            "metabalance.systems.materials:confidence_ranked_error", "metabalance.systems.materials:coverage_curve",
            "metabalance.systems.materials:miscalibration_area", "metabalance.systems.materials:knn_distance",
        ),
    ),
    Method(
        "composition_features", "systems", "Describes a compound by its formula: statistics of its elements' properties.",
        (papers.WARD,), ("metabalance.systems.materials:CompositionFeatures",), modality="table",
        notes=("Needs the extra `metabalance[materials]`.",),
    ),
    Method(
        "matbench", "systems", "The folds and metrics of MatBench, with the area of probabilities, not of labels.",
        (papers.DUNN,), ("metabalance.systems.materials:nested_kfold", "metabalance.systems.materials:matbench_scores"),
    ),
)
# fmt: on
