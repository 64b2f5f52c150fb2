"""One training run of a claim about a continuous target, and what is measured on its test rows."""

import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from metabalance.judge.regions import Regions, make_regions
from metabalance.judge.values import value_metrics
from metabalance.study.reproduce.base import Fit
from metabalance.study.reproduce.value_sets import TABLES, ValueSplit, make_value_split
from metabalance.study.reproduce.values import ValueSetup

__all__ = ["GROUPS", "regions_of", "run_value_fit", "value_record"]

GROUPS = ("many", "medium", "few")
Array = NDArray[Any]


def run_value_fit(fit: Fit, data: Path | None) -> dict[str, Any]:
    """Trains and measures.

    No epoch is chosen: the last weights are kept. The validation rows serve the choice among options alone.

    Returns:
        What :func:`value_record` says.
    """
    from metabalance.regressor import MetaBalanceRegressor

    setup = fit.setup
    assert isinstance(setup, ValueSetup)
    split, table, t = make_value_split(setup.data, fit.seed, data), TABLES[setup.data.table], setup.training
    model = MetaBalanceRegressor(
        fit.recipe,
        recipe_options=dict(fit.options),
        hidden=t.hidden,
        epochs=t.epochs,
        batch_size=t.batch_size,
        optimizer=t.optimizer,
        lr=t.lr,
        weight_decay=t.weight_decay,
        schedule=t.schedule,
        patience=None,
        validation_fraction=0.0,
        bin_width=table.bin_width,
        num_bins=table.num_bins,
        device="cpu",
        random_state=fit.seed,
    )
    started = time.monotonic()
    model.fit(*split.train)
    seconds = time.monotonic() - started
    predictions = (model.predict(split.validation[0]), model.predict(split.test[0]))
    return value_record(split, regions_of(setup, split), *predictions) | {
        "seconds": seconds,
        "device": "cpu",
        "notes": list(model.notes_),
    }


def regions_of(setup: ValueSetup, split: ValueSplit) -> Regions:
    """Many, medium and few by the density of the training rows."""
    table = TABLES[setup.data.table]
    return make_regions(
        split.train[1], bin_width=table.bin_width, num_bins=table.num_bins, many=100, few=table.few
    )


def value_record(split: ValueSplit, regions: Regions, validation: Array, test: Array) -> dict[str, Any]:
    """Figures of predictions ``(N,)`` of the validation and test rows, in the target's unit.

    Returns:
        ``raw``: errors and correlations on the test rows, over all and by region; ``validation``: minus the balanced
        absolute error there, so that more is better; ``counts``: training and test rows of each region.
    """
    return {
        "raw": value_metrics(test, split.test[1], regions),
        "validation": -value_metrics(validation, split.validation[1], regions, ("bmae",))["bmae"],
        "counts": {
            part: [int((regions.of(y) == group).sum()) for group in GROUPS]
            for part, y in (("train", split.train[1]), ("test", split.test[1]))
        },
    }
