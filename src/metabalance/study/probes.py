"""Made-up rows that visit every corner of a model's preprocessing: what an exported graph is compared on."""

from typing import Any

import numpy as np

from metabalance.data.encoders import Dates, Levels, Number
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.inputs import INPUTS, columns_of

__all__ = ["probe_inputs"]


def probe_inputs(model: Any, rows: int, pixels: str = "uint8") -> dict[str, np.ndarray]:
    """Inputs of an exported model: usual, missing, unknown, far-off and infinite values of every column.

    Args:
        model: A trained model.
        rows: How many.
        pixels: Type of an image's values.
    """
    rng = np.random.default_rng(0)
    if not isinstance(model.preprocessor, TablePreprocessor):
        values = rng.integers(0, 256, (rows, *model.image_shape)).astype(np.uint8)
        return {"pixels": values if pixels == "uint8" else values * np.float32(1 / 255)}
    made = {}
    for matrix, columns in columns_of(model.preprocessor).items():
        parts = [_column(model.preprocessor.encoders_[c.name], c.width, rows, rng) for c in columns]
        made[matrix] = np.column_stack(parts).astype(INPUTS[matrix][1])
    return made


def _column(encoder: Any, width: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    gone = rng.random(rows) < 0.1
    if isinstance(encoder, Levels):
        return np.where(gone, -1, rng.integers(0, len(encoder.levels) + 1, rows))
    if isinstance(encoder, Dates):
        # From 1900 to 2100: leap years, and the century without one.
        return np.where(gone, np.nan, rng.integers(-2_208_988_800, 4_102_444_800, rows))
    if not isinstance(encoder, Number):
        return rng.normal(size=(rows, width))
    if encoder.boolean:
        return np.where(gone, np.nan, rng.integers(0, 2, rows))
    values = encoder.center + rng.standard_t(2, rows) / (encoder.scale or 1)
    values[rng.random(rows) < 0.02] = np.inf
    return np.where(gone, np.nan, values)
