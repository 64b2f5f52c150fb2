"""A model folder opened as what it is: a model of classes or of values."""

from pathlib import Path
from typing import TYPE_CHECKING

from metabalance.data.errors import DataError
from metabalance.study.artifact import read_artifact

if TYPE_CHECKING:
    from metabalance.study.ship import TrainedModel
    from metabalance.study.values.ship import TrainedRegressor

__all__ = ["load_model"]


def load_model(folder: Path) -> "TrainedModel | TrainedRegressor":
    """Reads a model folder by the kind that its manifest states; runs no code from it.

    Args:
        folder: Written by ``metabalance fit``. A manifest without a kind is of classes: earlier releases knew no other.

    Raises:
        DataError: Not a model folder, damaged, changed since it was written, or of a kind that is not known here.
    """
    manifest, tensors, files = read_artifact(folder)
    kind = manifest.get("kind", "classes")
    if kind == "classes":
        from metabalance.study.ship import TrainedModel

        return TrainedModel.rebuilt(folder, manifest, tensors, files)
    if kind == "values":
        from metabalance.study.values.ship import TrainedRegressor

        return TrainedRegressor.rebuilt(folder, manifest, tensors, files)
    raise DataError(f"{folder} is a model of {kind!r}, which this release does not know; upgrade metabalance")
