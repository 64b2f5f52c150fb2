"""The main job from Python: a pandas frame in, advice out, then a trained model that is saved and loaded again."""

import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer

from metabalance.study.candidates import parse_candidates
from metabalance.study.compare import Plan, run_comparison
from metabalance.study.load import make_table
from metabalance.study.ship import TrainedModel
from metabalance.study.summary import summarise, write_results
from metabalance.study.train import train_table


def main(folder: Path) -> None:
    # Breast cancer with nine in ten malignant cases removed: 357 benign, 21 malignant.
    frame = load_breast_cancer(as_frame=True).frame
    frame["diagnosis"] = frame.pop("target").map({0: "malignant", 1: "benign"})
    malignant = frame.index[frame["diagnosis"] == "malignant"]
    table = make_table(frame.drop(index=malignant[21:]), "diagnosis", name="breast cancer")

    plan = Plan(
        tuple(parse_candidates("erm,oversample,metabalance,logistic")),
        folds=3,
        seeds=1,
        cost=((0, 50), (1, 0)) if table.positive == 0 else ((0, 1), (50, 0)),
        network={"epochs": 10},
    )
    run = run_comparison(table, plan, folder / "run")
    result = summarise(run)
    write_results(result, folder / "run")
    print(result["advice"]["headline"])
    for recipe in result["recipes"]:
        found = recipe["metrics"]["average_precision"]
        print(f"{recipe['label']:20} {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]")

    training = train_table(table, "oversample", holdout=0.3, network={"epochs": 10})
    training.model.save(folder / "model")
    model = TrainedModel.load(folder / "model")
    new = table.frame.iloc[training.held_out]
    probabilities = model.predict_proba(new)
    print("held-out ROC AUC:", training.metrics["roc_auc"])
    print("decided malignant:", int((model.decide(probabilities) == "malignant").sum()), "of", len(new))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
