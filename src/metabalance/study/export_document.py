"""What an exported file says of itself: what it takes and gives, what is inside the graph and what is not."""

from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.inputs import table_inputs

__all__ = ["document_of"]


def document_of(
    model: Any, inputs: dict[str, np.ndarray], form: str, promise: tuple[str, float] | None = None
) -> dict[str, Any]:
    """The description of an export, JSON values only.

    Args:
        model: A model of classes or of values.
        inputs: Some rows, as the graph takes them.
        form: The runtime.
        promise: What the intervals of a model of values are by, and their level.
    """
    import torch

    told, inside, outside = _before(model, inputs)
    head: dict[str, Any] = {
        "format": "metabalance-export",
        "format_version": 1,
        "runtime": form,
        "versions": {"metabalance": __version__, "torch": torch.__version__.split("+")[0]},
        "recipe": model.record["recipe"],
        "kind": "table" if isinstance(model.preprocessor, TablePreprocessor) else "images",
    }
    if getattr(model, "kind", "classes") == "values":
        return head | _of_values(model, promise, told, inside, outside)
    return head | _of_classes(model, told, inside, outside)


def _before(model: Any, inputs: dict[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Inputs, and what of preprocessing is inside and outside."""
    if isinstance(model.preprocessor, TablePreprocessor):
        told = table_inputs(model.preprocessor)
        inside = ["imputation, scaling and missing indicators", "one column per level", "cycles of dates"]
        present = ["numbers" in inputs, "codes" in inputs, "dates" in inputs]
        inside = [text for text, there in zip(inside, present) if there]
        outside = ["reading the table, and numbers and dates out of text"]
        outside += [
            f"{c['name']!r} is free text: its encoder stays in metabalance (study.inputs.inputs_of)"
            for i in told for c in i["columns"] if "outside" in c
        ]  # fmt: skip
        if "codes" in inputs:
            outside.append("the place of a category in its list of levels, which is in the description")
        outside.append(
            f"the check for missing columns (the model's policy is {model.preprocessor.missing_columns})"
        )
        return told, inside, outside
    pixels = inputs["pixels"]
    how = "values from 0 to 255" if pixels.dtype == np.uint8 else "values from 0 to 1"
    told = [{"name": "pixels", "type": str(pixels.dtype), "shape": ["rows", *pixels.shape[1:]], "how": how}]
    return told, ["scaling and standardisation of pixels"], ["decoding, turning and resizing of pictures"]


def _of_classes(model: Any, told: Any, inside: list[str], outside: list[str]) -> dict[str, Any]:
    rule = model.decision.to_dict()
    return {
        "classes": [c.item() if hasattr(c, "item") else c for c in model.classes],
        "positive": model.positive,
        "prior": np.asarray(model.prior).tolist(),
        "inputs": told,
        "outputs": [
            {"name": "probabilities", "type": "float64", "shape": ["rows", len(model.classes)],
             "how": "calibrated, in the order of 'classes', at the class shares 'prior'"},
            {"name": "decision", "type": "int64", "shape": ["rows"], "how": "index in 'classes'"},
        ],
        "decision": {k: rule[k] for k in ("objective", "threshold", "multipliers", "cost", "positive")},
        "inside": [*inside, "network", "prior shift", "calibration", "decision"],
        "outside": [*outside, "other class shares than 'prior'"],
    }  # fmt: skip


def _of_values(
    model: Any, promise: tuple[str, float] | None, told: Any, inside: list[str], outside: list[str]
) -> dict[str, Any]:
    shape = ["rows", len(model.names)]
    outputs = [
        {"name": "prediction", "type": "float64", "shape": shape, "how": "in the order of 'targets', in their units"}
    ]  # fmt: skip
    inside = [*inside, "network", "unit of the target"]
    by, level = promise or (None, None)
    if level is not None:
        how = f"an end of an interval meant to hold {level:.4g} of the rows of each region of the {by}"
        outputs += [{"name": n, "type": "float64", "shape": shape, "how": how} for n in ("low", "high")]
        inside, outside = [*inside, "intervals"], [*outside, f"intervals at other levels than {level:.4g}"]
    return {
        "task": "values",
        "targets": list(model.names),
        "inputs": told,
        "outputs": outputs,
        "interval": level,
        "interval_by": by,
        "inside": inside,
        "outside": outside,
    }
