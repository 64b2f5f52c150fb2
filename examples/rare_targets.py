"""Rare values of a target: which remedy lowers the error where training rows are few, and what the others pay.

A plain network, density weights, ConR on top of them and MetaBalance, on the same splits of scikit-learn's diabetes table
(442 patients; few of them progress fast). Three seeds show how much is chance on so small a table: the figures are a
demonstration, and `metabalance compare` is how to decide.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from metabalance import MetaBalanceRegressor
from metabalance.judge import make_regions, value_metrics

RECIPES = {
    "plain": ("erm", {}),
    "density weights (LDS)": ("lds", {}),
    "ConR on density weights": ("conr", {"base": "lds"}),
    "MetaBalance": ("metabalance", {}),
}
SHOWN = ("bmae", "mae", "mae@many", "mae@medium", "mae@few")


def main() -> None:
    X, y = load_diabetes(return_X_y=True)
    found: dict[str, list[list[float]]] = {name: [] for name in RECIPES}
    for seed in range(3):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
        regions = make_regions(y_train, bin_width=10.0)
        for name, (recipe, options) in RECIPES.items():
            model = MetaBalanceRegressor(
                recipe, recipe_options=options, hidden=(32,), epochs=30, bin_width=10.0, random_state=seed
            ).fit(X_train, y_train)
            figures = value_metrics(model.predict(X_test), y_test, regions, ["bmae", "mae"])
            found[name].append([figures[key] for key in SHOWN])
    print(f"{'':24}", *(f"{key:>11}" for key in SHOWN))
    for name, rows in found.items():
        print(f"{name:24}", *(f"{value:11.1f}" for value in np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()
