"""MODNet for materials: features chosen by information, a joint-learning network, an ensemble that says how sure it is.

Every part takes plain arrays and works outside of materials; only :mod:`composition` knows chemistry.
"""

from metabalance.systems.materials.composition import (
    CompositionFeatures,
    composition_fractions,
    parse_formula,
)
from metabalance.systems.materials.confidence import (
    RankedError,
    confidence_ranked_error,
    coverage_curve,
    knn_distance,
    miscalibration_area,
)
from metabalance.systems.materials.ensemble import BootstrapEnsemble
from metabalance.systems.materials.estimators import MODNetClassifier, MODNetRegressor
from metabalance.systems.materials.matbench import Fold, matbench_scores, nested_kfold, summarise_folds
from metabalance.systems.materials.network import MODNet
from metabalance.systems.materials.nmi import (
    Columns,
    mutual_information,
    normalized_mutual_information,
)
from metabalance.systems.materials.selection import (
    NMIRelevanceRedundancy,
    redundancy_offset,
    redundancy_power,
)

__all__ = [
    "BootstrapEnsemble",
    "Columns",
    "CompositionFeatures",
    "Fold",
    "MODNet",
    "MODNetClassifier",
    "MODNetRegressor",
    "NMIRelevanceRedundancy",
    "RankedError",
    "composition_fractions",
    "confidence_ranked_error",
    "coverage_curve",
    "knn_distance",
    "matbench_scores",
    "miscalibration_area",
    "mutual_information",
    "nested_kfold",
    "normalized_mutual_information",
    "parse_formula",
    "redundancy_offset",
    "redundancy_power",
    "summarise_folds",
]
