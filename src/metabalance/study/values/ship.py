"""A trained model of a continuous target as one object: schema, preprocessing, model, intervals; saved without code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.data.pixels import ImagePreprocessor
from metabalance.data.preprocess import TablePreprocessor
from metabalance.judge.regions import Regions
from metabalance.study.artifact import read_artifact, write_artifact
from metabalance.study.ship import EVIDENCE, read_preprocessor, rows_at_once, state_of, stored_preprocessor
from metabalance.study.values.baselines import VALUE_FITTERS, ValueBaseline
from metabalance.study.values.intervals import FEWEST, ValueIntervals, fit_intervals, thin_regions
from metabalance.study.values.reference import ValueReference

__all__ = ["TrainedRegressor", "ValueNetwork"]

KIND = "values"


class ValueNetwork:
    """A trained network without its training: values, and limits where it predicts them, in the user's unit.

    Args:
        module: Gives ``(B, columns)`` in standardised units.
        readout: How these columns are read, see :mod:`metabalance.readout`.
        mean: Of the training target ``(T,)``.
        scale: Its standard deviation ``(T,)``.
    """

    def __init__(self, module: Any, readout: Any, mean: np.ndarray, scale: np.ndarray) -> None:
        self.module, self.readout = module, readout
        self.mean = np.asarray(mean, dtype=np.float64)
        self.scale = np.asarray(scale, dtype=np.float64)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Values ``(N, T)``, float64."""
        return self.outputs(X)[0]

    def limits(self, X: np.ndarray) -> np.ndarray | None:
        """Lower and upper limits ``(N, T, 2)``, as the network learned them; None if it predicts none."""
        return self.outputs(X)[1]

    def outputs(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Both at once."""
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
            device = next(self.module.parameters()).device
            parts = [self.module(part.to(device)) for part in rows.split(rows_at_once(rows))]
            raw = torch.cat(parts).double().cpu().numpy()
        limits = self.readout.limits(raw)
        if limits is not None:
            limits = limits * self.scale[:, None] + self.mean[:, None]
        return self.readout.point(raw) * self.scale + self.mean, limits


@dataclass
class TrainedRegressor:
    """From a table or images to values and intervals, in the user's unit.

    Args:
        names: Of the targets ``(T,)``.
        preprocessor: Fitted on the training rows.
        model: Has ``outputs(X) -> (values (N, T), limits (N, T, 2) | None)``.
        regions: Many, medium and few of each target.
        conformal: Fitted on the validation rows; None where these were too few.
        record: Everything else the manifest tells.
        evidence: What a report shows of the fit.
        reference: Of the rows it was judged on, for ``monitor``.
    """

    names: tuple[str, ...]
    preprocessor: TablePreprocessor | ImagePreprocessor
    model: Any
    regions: tuple[Regions, ...]
    conformal: ValueIntervals | None
    record: dict[str, Any]
    evidence: dict[str, Any] = field(default_factory=dict)
    reference: Any = None
    kind: str = field(default=KIND, init=False)

    @classmethod
    def assemble(
        cls,
        fitted: Any,
        preprocessor: Any,
        names: Sequence[str],
        regions: Sequence[Regions],
        validation: tuple[np.ndarray, np.ndarray],
        record: dict[str, Any],
    ) -> "TrainedRegressor":
        """From a fit.

        Args:
            fitted: Has ``candidate``, ``options``, ``model``, ``validation``, ``seconds``, ``notes`` and ``tuning``, as
                :class:`~metabalance.study.fitting.Fitted` has.
            preprocessor: Fitted.
            names: Of the targets ``(T,)``.
            regions: Of each target.
            validation: Preprocessed rows and their targets ``(N, T)``: they give the intervals.
            record: What else the manifest shall tell.

        Raises:
            DataError: The network could not be made again from a file.
        """
        model = fitted.model
        if fitted.candidate.name not in VALUE_FITTERS:
            record = record | {"network": network_of(model), "readout": model.readout_.to_dict()}
            model = ValueNetwork(
                model.module_.float(), model.readout_, model.target_mean_, model.target_scale_
            )
        notes = list(fitted.notes)
        prediction, limits = model.outputs(validation[0])
        conformal = fit_intervals(prediction, limits, validation[1], regions)
        if conformal is None:
            notes.append(f"{len(validation[1])} validation rows are too few for intervals")
        for name, target, region in zip(names, validation[1].T, regions) if conformal else ():
            if thin := thin_regions(target, region):
                notes.append(
                    f"fewer than {FEWEST} validation rows have a {name} that was {' or '.join(thin)}-shot in training: "
                    "intervals by target are promised for them and their neighbours together"
                )
        record = record | {
            "recipe": fitted.candidate.name,
            "options": {k: list(v) if isinstance(v, tuple) else v for k, v in fitted.options.items()},
            "validation": fitted.validation,
            "training_seconds": fitted.seconds,
            "notes": notes,
            "tuning": fitted.tuning,
        }
        return cls(tuple(names), preprocessor, model, tuple(regions), conformal, record)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(channels, height, width)``, or None for a model of tables."""
        return self.preprocessor.shape if isinstance(self.preprocessor, ImagePreprocessor) else None

    def predict(self, frame: Any) -> np.ndarray:
        """Values ``(N, T)`` in the order of ``names``.

        Args:
            frame: New rows: a data frame with the training columns, or images ``(N, channels, height, width)``, uint8.

        Raises:
            DataError: A column is missing or of another kind, as the manifest's policy says.
        """
        return self.model.outputs(self.preprocessor.transform(frame))[0]

    def intervals(self, frame: Any, level: float | None = None, by: str | None = None) -> np.ndarray | None:
        """Lower and upper ends ``(N, T, 2)``, or None for a model without intervals; see :meth:`outputs`."""
        return self.outputs(frame, level, by)[1]

    def outputs(
        self, frame: Any, level: float | None = None, by: str | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Values ``(N, T)`` and intervals ``(N, T, 2)``, at once.

        Args:
            frame: See :meth:`predict`.
            level: Of the intervals, one of ``conformal.levels``; by default 0.9.
            by: What they promise, ``"prediction"`` (the default) or ``"target"``; see
                :mod:`metabalance.study.values.intervals`.

        Raises:
            DataError: See :meth:`predict`; or intervals that the model does not have.
        """
        self.promise(level, by)
        prediction, limits = self.model.outputs(self.preprocessor.transform(frame))
        if self.conformal is None:
            return prediction, None
        return prediction, self.conformal(prediction, limits, level, by)

    def promise(self, level: float | None, by: str | None) -> tuple[str, float] | None:
        """What the intervals are by, and their level; None for a model without intervals.

        Raises:
            DataError: It has no such intervals.
        """
        if self.conformal is None:
            if level is not None or by is not None:
                raise DataError("the model has no intervals: it was fitted with too few validation rows")
            return None
        try:
            return self.conformal.known(level, by)
        except ValueError as error:
            raise DataError(str(error)) from error

    def save(self, folder: Path, *, overwrite: bool = False) -> None:
        """Writes the model folder, whole or not at all.

        Raises:
            DataError: The folder exists, or cannot be written.
        """
        schema, files = stored_preprocessor(self.preprocessor)
        if isinstance(self.model, ValueNetwork):
            tensors = {
                f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.module.state_dict().items()
            }
            tensors |= {"target_mean": self.model.mean, "target_scale": self.model.scale}
        else:
            tensors = dict(self.model.tensors)
            files |= self.model.files
        if self.evidence:
            files[EVIDENCE] = json.dumps(self.evidence, separators=(",", ":"), allow_nan=False).encode()
        if self.reference is not None:
            kept, told = self.reference.dump()
            tensors, files = tensors | kept, files | told
        manifest = self.record | {
            "kind": KIND,
            "targets": list(self.names),
            "regions": [r.to_dict() for r in self.regions],
            "intervals": None if self.conformal is None else self.conformal.to_dict(),
            "schema": schema,
        }
        write_artifact(folder, manifest, tensors, files, overwrite=overwrite)

    @classmethod
    def load(cls, folder: Path) -> "TrainedRegressor":
        """Reads a model folder; runs no code from it.

        Raises:
            DataError: Not a model folder of values, or damaged, or changed since it was written.
        """
        return cls.rebuilt(folder, *read_artifact(folder))

    @classmethod
    def rebuilt(
        cls,
        folder: Path,
        manifest: dict[str, Any],
        tensors: dict[str, np.ndarray],
        files: dict[str, bytes],
    ) -> "TrainedRegressor":
        """The model of what :func:`~metabalance.study.artifact.read_artifact` gave.

        Raises:
            DataError: It is a model of classes, or not complete.
        """
        if manifest.get("kind") != KIND:
            raise DataError(f"{folder} is a model of classes, and cannot be read as one of values")
        try:
            evidence = parse_json(files.pop(EVIDENCE, b"{}"))
            names = tuple(map(str, manifest["targets"]))
            regions = tuple(map(Regions.from_dict, manifest["regions"]))
            stored = manifest["intervals"]
            conformal = None if stored is None else ValueIntervals.from_dict(stored)
            model = _model(manifest, tensors, files, len(names))
            if {
                len(regions),
                *([len(conformal.stretches)] if conformal else []),
                *(len(part) for part in unit_of(model)),
            } != {len(names)}:
                raise ValueError(f"it names {len(names)} targets, and tells of others")
            return cls(
                names, read_preprocessor(manifest, files), model, regions, conformal, manifest, evidence,
                ValueReference.read(tensors, files),
            )  # fmt: skip
        except DataError:
            raise
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{folder} is not a complete model folder ({error}); fit the model again"
            ) from error


def network_of(model: Any) -> dict[str, Any]:
    """How a fitted regressor's network is told in a manifest.

    Raises:
        DataError: It cannot be told.
    """
    from metabalance.study.layers import describe_network

    shape = model.image_shape_ or (model.n_features_in_,)
    return describe_network(
        model.module_.float(), model.module, shape, model.readout_.columns, model.hidden, model.dropout
    )


def unit_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation ``(T,)`` of the training target, as a network or a baseline keeps them."""
    if isinstance(model, ValueNetwork):
        return model.mean, model.scale
    return model.tensors["target_mean"], model.tensors["target_scale"]


def _model(
    manifest: dict[str, Any], tensors: dict[str, np.ndarray], files: dict[str, bytes], targets: int
) -> Any:
    if manifest["recipe"] in VALUE_FITTERS:
        baseline = ValueBaseline(manifest["recipe"], targets, tensors, files)
        if missing := baseline.missing():
            raise LookupError(f"it lacks {missing[0]}")
        return baseline
    from metabalance.readout import Readout
    from metabalance.study.layers import rebuild_network

    readout = Readout.from_dict(manifest["readout"])
    module = rebuild_network(manifest["network"], state_of(tensors), readout.columns)
    return ValueNetwork(module, readout, tensors["target_mean"], tensors["target_scale"])
