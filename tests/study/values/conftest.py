"""Trained models of values, small and made in a moment."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from metabalance.data.pixels import ImagePreprocessor
from metabalance.data.preprocess import TablePreprocessor
from metabalance.judge.regions import make_regions
from metabalance.networks import build_network
from metabalance.readout import Readout
from metabalance.study.values.baselines import VALUE_FITTERS, standard_unit
from metabalance.study.values.ship import TrainedRegressor

LEVELS = (0.05, 0.5, 0.95)
UNIT = np.array([1e6, 1e-9])


def table(rows=400, seed=0):
    """A table with values missing in each column, and two targets of very different units."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.exponential(size=rows) * 1e5 + 2e6,
            "age": rng.normal(40, 10, rows).round(),
            "city": rng.choice(["Bonn", "Rome", "Oslo", "a, b"], rows),
        }
    )
    target = np.column_stack([rng.exponential(size=rows) + frame["age"] / 40, (frame["amount"] - 2e6) / 1e5])
    frame.loc[::9, "age"] = np.nan
    frame.loc[::13, "city"] = None
    return frame, target * UNIT + [0, 1e-9]


def assembled(recipe="erm", targets=2, readout="value", images=False, rows=400, **policy):
    """A model whose network is not trained at all: what ships does not ask."""
    frame, target = table(rows)
    target = target[:, :targets]
    given = frame
    if images:
        given = np.random.default_rng(0).integers(0, 256, (rows, 1, 6, 5)).astype(np.uint8)
    preprocessor = ImagePreprocessor((1, 6, 5)) if images else TablePreprocessor(**policy)
    X = preprocessor.fit_transform(given)
    fit, held = slice(0, rows // 2), slice(rows // 2, rows)
    if recipe in VALUE_FITTERS:
        model = VALUE_FITTERS[recipe](X[fit], target[fit], (X[held], target[held]), 0)
    else:
        read = Readout(readout, targets, () if readout == "value" else LEVELS)
        torch.manual_seed(0)
        architecture, shape = ("convnet" if images else None), X.shape[1:]
        module = build_network(architecture, shape, read.columns, (16,), 0.1).eval()
        mean, scale = standard_unit(target[fit])
        model = SimpleNamespace(
            module_=module, module=architecture, readout_=read, target_mean_=mean, target_scale_=scale,
            hidden=(16,), dropout=0.1, image_shape_=shape if images else None, n_features_in_=X.shape[1],
        )  # fmt: skip
    fitted = SimpleNamespace(
        candidate=SimpleNamespace(name=recipe), options={"hidden": (16,)}, model=model, validation={"bmae": 0.5},
        seconds=0.1, notes=("a note",), tuning=None,
    )  # fmt: skip
    made = TrainedRegressor.assemble(
        fitted, preprocessor, ["price", "depth"][:targets], [make_regions(y) for y in target[fit].T],
        (X[held], target[held]), {"target": "price", "seed": 0},
    )  # fmt: skip
    return made, given


@pytest.fixture(scope="session")
def make():
    """``make(recipe, targets, readout, images)`` -> a model and its rows."""
    return assembled


@pytest.fixture(scope="session")
def targets():
    """``targets(rows)`` -> the targets of those rows ``(N, 2)``."""
    return lambda rows: table(rows)[1]
