"""McDermott et al. 2024: choosing by average precision widens the gap between groups of unequal prevalence."""

from pathlib import Path

import numpy as np

from metabalance.judge.swaps import drift_by_chance, fix_mistakes, two_populations
from metabalance.study.reproduce.base import Contrast, Experiment, Published, greater

AUROC, AUPRC = "ROC AUC", "average precision"
METRIC = {AUROC: "roc_auc", AUPRC: "average_precision"}
GAP = "gap_change"
FIRST, SECOND = "i. average precision widens the gap", "ii. ROC AUC leaves it"


def measure(condition: str, seed: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """What became of the two groups' areas under each metric."""
    auroc = 0.65 if "0.65" in condition else 0.85
    rows = 100 if "permuted" in condition else 200
    data = two_populations(auroc, (0.05, 0.01), n=rows, seed=seed)
    found = {}
    for arm, metric in METRIC.items():
        if "repaired" in condition:
            drift = fix_mistakes(*data, order="random" if arm == AUROC else "top", steps=50, seed=seed)
        elif "permuted" in condition:
            drift = drift_by_chance(*data, optimize=metric, change="permute", steps=25, tries=15, seed=seed)  # type: ignore[arg-type]
        else:
            drift = drift_by_chance(*data, optimize=metric, change="perturb", steps=25, tries=100, seed=seed)  # type: ignore[arg-type]
        frequent, rare = np.subtract(drift.roc_auc[-1], drift.roc_auc[0])
        found[arm] = {
            GAP: float(frequent - rare),
            "frequent_change": float(frequent),
            "rare_change": float(rare),
        }
    return found


GROUPS = "two groups of {} rows with 5 % and 1 % positives, both ranked with an expected area of {}; {}"
REPAIRS = "50 repairs of an atomic mistake: any for ROC AUC, the highest-scored for average precision"
CHANCE = "25 rounds, each keeping the best of {} under the metric over both groups"

EXPERIMENT = Experiment(
    name="auroc-auprc",
    paper="auroc_auprc",
    statement=(
        "ROC AUC weighs all mistakes of a ranking alike, average precision those at the top; where groups differ in "
        "prevalence, choosing by average precision favours the group with more positives, and ROC AUC does not."
    ),
    published=Published(
        "Curves of the groups' areas over 50 repairs, without a table.",
        "Synthetic scores of two groups, prevalences 0.05 and 0.01, areas of 0.85 and of 0.65, 20 seeds.",
        "confirmed",
        "the authors' notebooks",
    ),
    arms={
        AUROC: "repairs or choices as ROC AUC would have them",
        AUPRC: "as average precision would have them",
    },
    conditions={
        "repaired, area 0.85": GROUPS.format(200, 0.85, REPAIRS),
        "repaired, area 0.65": GROUPS.format(200, 0.65, REPAIRS),
        "permuted": GROUPS.format(
            100, 0.85, CHANCE.format("15 permutations by at most three ranks, step after step")
        ),
        "perturbed": GROUPS.format(
            200, 0.85, CHANCE.format("100 uniform perturbations, from the first scores")
        ),
    },
    measure=measure,
    contrasts=(
        Contrast("average precision widens the gap", GAP, (("*", AUPRC, 1.0),), part=FIRST),
        greater("and more than ROC AUC does", AUPRC, AUROC, GAP, part=FIRST),
        Contrast(
            "ROC AUC leaves the gap as it is", GAP, (("*", AUROC, 1.0),), margin=0.02, equal=True, part=SECOND
        ),
    ),
    shown=(GAP, "frequent_change", "rare_change"),
    seeds=20,
    notes=(
        "The gap is the area of the group with 5 % positives minus that of the group with 1 %.",
        "Slips of the notebooks are not repeated: permutations are drawn anew at each step, the lowest pair may be "
        "repaired, and no score is calibrated by a fit that can turn it round.",
        "A group of 100 rows with 1 % positives has a single one: its area moves in steps of one rank.",
    ),
)
