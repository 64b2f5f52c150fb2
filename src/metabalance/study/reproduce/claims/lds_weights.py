"""What smoothing does to density weights, without a network: do half of the rows tell the density of the other half?"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.densities import bin_edges, bin_index
from metabalance.study.reproduce.base import Contrast, Experiment, Published, greater
from metabalance.study.reproduce.sentences import read_pairs
from metabalance.study.reproduce.value_sets import FOLDER, age_labels, open_values
from metabalance.weigh import label_density_weights

Array = NDArray[Any]
AGES, SIMILARITIES, PROGRESSION = "AgeDB", "STS-B-DIR", "diabetes"
KINDS = {"root": "sqrt_inv", "inverse": "inverse"}
STEADIER, MILDER, UNIT = "i. steadier", "ii. milder at the rarest value", "iii. and still 1 on average"


def labels(condition: str, folder: Path | None) -> tuple[Array, float | None]:
    """Training targets ``(N,)`` and the width of their bins."""
    if condition == AGES:
        assert folder is not None
        age, part = age_labels(folder / EXPERIMENT.needs[AGES])
        return age[part == "train"], 1.0
    if condition == SIMILARITIES:
        assert folder is not None
        _, _, score, part = read_pairs(folder / EXPERIMENT.needs[SIMILARITIES])
        return score[part == "train"], None
    return open_values("diabetes", folder).target, None


def measure(condition: str, seed: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """Weights from two random halves of the training targets, with and without smoothing."""
    y, width = labels(condition, folder)
    edges = bin_edges(y, width)
    order = np.random.default_rng(seed).permutation(len(y))
    halves = [y[order[: len(y) // 2]], y[order[len(y) // 2 :]]]
    found = {}
    for kind, reweight in KINDS.items():
        for name, kernel in ((kind, None), (f"{kind}, LDS", "gaussian")):
            by_bin, largest, mean = [], [], []
            for half in halves:
                w = label_density_weights(half, edges=edges, reweight=reweight, kernel=kernel).numpy()
                weight = np.full(len(edges) - 1, np.nan)
                weight[bin_index(half, edges).numpy()] = w
                by_bin.append(weight)
                largest.append(w.max() / w.min())
                mean.append(w.mean())
            found[name] = {
                "log_ratio": float(np.nanmean(np.abs(np.log(by_bin[0] / by_bin[1])))),
                "largest": float(np.log10(np.mean(largest))),
                "mean_weight": float(np.mean(mean) - 1),
            }
    return found


HALVES = "weights from one random half of its training targets against those from the other"

EXPERIMENT = Experiment(
    name="lds-weights",
    paper="lds",
    statement=(
        "Neighbouring values tell about each other: a smoothed density is a steadier ground for weights than counts are, and "
        "leaves no rare value with an extreme weight."
    ),
    published=Published(
        "No table: the paper shows that errors on photographs follow the smoothed density of ages, not their counts.",
        "IMDB-WIKI, ResNet-50.",
        "confirmed",
        "the paper's text",
    ),
    arms={
        name: text
        for kind in KINDS
        for name, text in ((kind, f"{kind} of the count"), (f"{kind}, LDS", f"{kind} of the smoothed count"))
    },
    conditions={
        AGES: f"the 12,208 training ages of AgeDB-DIR, no images, bins of a year; {HALVES}",
        SIMILARITIES: f"the 5,249 training scores of STS-B-DIR, bins of 0.1; {HALVES}",
    },
    measure=measure,
    contrasts=tuple(
        contrast
        for kind in KINDS
        for contrast in (
            greater(f"{kind}: LDS < without", kind, f"{kind}, LDS", "log_ratio", part=STEADIER),
            greater(f"{kind}: LDS < without", kind, f"{kind}, LDS", "largest", part=MILDER),
            Contrast(
                f"{kind}, LDS: mean weight is 1",
                "mean_weight",
                (("*", f"{kind}, LDS", 1.0),),
                1e-6,
                True,
                UNIT,
            ),
        )
    ),
    shown=("log_ratio", "largest", "mean_weight"),
    needs={AGES: f"{FOLDER}/agedb_splits.csv.xz", SIMILARITIES: f"{FOLDER}/stsb_dir.tar.xz"},
    fallback={PROGRESSION: f"the 442 targets of scikit-learn's diabetes table, 50 bins; {HALVES}"},
    seeds=10,
    notes=(
        "Whether steadier weights make better predictions is the claim `lds-fds`; no image is trained on here.",
        "Bins that only one half holds are left out of the ratio.",
        "Part ii is our reading, not the paper's words. Beyond the ends of the target the kernel finds nothing (zeros, as in the "
        "authors' code), so that the outermost values can weigh more than by their count.",
    ),
)
