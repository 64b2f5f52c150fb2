"""A trained model as one object: schema, preprocessing, model, calibration, decision; saved without code."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.adjust.base import Calibration
from metabalance.adjust.calibrations import read_calibration
from metabalance.adjust.decision import Decision
from metabalance.adjust.prior import shift_prior
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.data.pixels import ImagePreprocessor
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.artifact import read_artifact, write_artifact
from metabalance.study.candidates import BASELINES, Candidate
from metabalance.study.fitting import Fitted, log_probabilities, rehearse, shift_log
from metabalance.study.reference import Reference

__all__ = ["Network", "TrainedModel"]


EVIDENCE = "evidence.json"
VALUES_AT_ONCE = 2**20  # activations of images are large


class Network:
    """A trained network without its training: ``predict_proba`` at the source prior.

    Args:
        module: Gives logits ``(B, C)``.
        training_prior: The class prior its scores are calibrated to ``(C,)``.
        source_prior: That of the training data ``(C,)``.
    """

    def __init__(self, module: Any, training_prior: np.ndarray, source_prior: np.ndarray) -> None:
        self.module = module
        self.training_prior = np.asarray(training_prior, dtype=np.float64)
        self.source_prior = np.asarray(source_prior, dtype=np.float64)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)``."""
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
            parts = rows.split(rows_at_once(rows))
            device = next(self.module.parameters()).device
            logits = torch.cat([self.module(part.to(device)) for part in parts]).double().cpu()
        return shift_prior(torch.softmax(logits, dim=1).numpy(), self.training_prior, self.source_prior)


@dataclass
class TrainedModel:
    """From a table or images to calibrated probabilities and decisions.

    Args:
        classes: Labels ``(C,)``.
        positive: Index of the positive class.
        prior: The class prior of the probabilities ``(C,)``.
        preprocessor: Fitted on the training rows.
        model: Has ``predict_proba``.
        calibrator: Fitted on the validation rows.
        decision: Probabilities to class indices.
        record: Everything else the manifest tells.
        evidence: What a report shows of the fit: the training history, validation and held-out rows at operating points.
        reference: Of the rows it was judged on, for :mod:`~metabalance.study.monitor`.
    """

    classes: tuple[Any, ...]
    positive: int
    prior: np.ndarray
    preprocessor: TablePreprocessor | ImagePreprocessor
    model: Any
    calibrator: Calibration
    decision: Decision
    record: dict[str, Any]
    evidence: dict[str, Any] = field(default_factory=dict)
    reference: Reference | None = None

    @classmethod
    def assemble(
        cls, fitted: Fitted, preprocessor: Any, classes: tuple[Any, ...], positive: int,
        prior: np.ndarray, objective: str, record: dict[str, Any],
    ) -> "TrainedModel":  # fmt: skip
        """From a fit of :func:`~metabalance.study.fitting.fit_candidate`."""
        model = fitted.model
        if fitted.candidate.name not in BASELINES:
            model = Network(model.module_.float(), model.training_prior_, model.source_prior_)
            record = record | {"network": network_of(fitted.model)}
            record = record | {"training_prior": fitted.model.training_prior_.tolist()}
        record = record | {
            "recipe": fitted.candidate.name,
            "source_prior": fitted.source_prior.tolist(),
            "options": {k: list(v) if isinstance(v, tuple) else v for k, v in fitted.options.items()},
            "validation": fitted.validation,
            "training_seconds": fitted.seconds,
            "notes": list(fitted.notes),
            "tuning": fitted.tuning,
        }
        return cls(
            classes,
            positive,
            prior,
            preprocessor,
            model,
            fitted.calibrator,
            fitted.decisions[objective],
            record,
        )

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(channels, height, width)``, or None for a model of tables."""
        return self.preprocessor.shape if isinstance(self.preprocessor, ImagePreprocessor) else None

    def predict_proba(self, frame: Any, prior: np.ndarray | None = None) -> np.ndarray:
        """Calibrated probabilities ``(N, C)`` in the order of ``classes``.

        Args:
            frame: New rows: a data frame with the training columns, or images ``(N, channels, height, width)``, uint8.
            prior: Class shares ``(C,)`` of these rows, in place of the model's.

        Raises:
            DataError: A column is missing or of another kind, as the manifest's policy says.
        """
        X = self.preprocessor.transform(frame)
        scores = log_probabilities(self.model, X)
        scores = shift_log(scores, np.asarray(self.record["source_prior"]), self.prior)
        probabilities = self.calibrator(scores)
        return probabilities if prior is None else shift_prior(probabilities, self.prior, prior)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Labels ``(N,)`` by the stored decision."""
        return np.asarray(self.classes)[self.decision.decide(probabilities)]

    def save(self, folder: Path, *, overwrite: bool = False) -> None:
        """Writes the model folder, whole or not at all.

        Raises:
            DataError: The folder exists, or cannot be written.
        """
        tensors: dict[str, np.ndarray] = {}
        schema, files = stored_preprocessor(self.preprocessor)
        if isinstance(self.model, Network):
            state = {
                f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.module.state_dict().items()
            }
            tensors |= state | {
                "training_prior": self.model.training_prior,
                "source_prior": self.model.source_prior,
            }
        else:
            tensors |= self.model.tensors
            files |= self.model.files
        if self.evidence:
            files[EVIDENCE] = json.dumps(self.evidence, separators=(",", ":"), allow_nan=False).encode()
        if self.reference is not None:
            kept, told = self.reference.dump()
            tensors, files = tensors | kept, files | told
        manifest = self.record | {
            "classes": [c.item() if hasattr(c, "item") else c for c in self.classes],
            "positive": self.positive,
            "prior": self.prior.tolist(),
            "calibrator": self.calibrator.to_dict(),
            "decision": self.decision.to_dict(),
            "schema": schema,
        }
        write_artifact(folder, manifest, tensors, files, overwrite=overwrite)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Reads a model folder; runs no code from it.

        Raises:
            DataError: Not a model folder, or damaged, or changed since it was written.
        """
        return cls.rebuilt(folder, *read_artifact(folder))

    @classmethod
    def rebuilt(
        cls,
        folder: Path,
        manifest: dict[str, Any],
        tensors: dict[str, np.ndarray],
        files: dict[str, bytes],
    ) -> "TrainedModel":
        """The model of what :func:`~metabalance.study.artifact.read_artifact` gave.

        Raises:
            DataError: It is no model of classes, or not complete.
        """
        if manifest.get("kind", "classes") != "classes":
            raise DataError(
                f"{folder} is a model of {manifest['kind']}, and cannot be read as one of classes"
            )
        try:
            evidence = parse_json(files.pop(EVIDENCE, b"{}"))
            classes = tuple(manifest["classes"])
            model = _model(manifest, tensors, files, len(classes))
            return cls(
                classes,
                manifest["positive"],
                np.asarray(manifest["prior"]),
                read_preprocessor(manifest, files),
                model,
                read_calibration(manifest["calibrator"]),
                Decision.from_dict(manifest["decision"]),
                manifest,
                evidence,
                Reference.read(tensors, files),
            )
        except DataError:
            raise
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{folder} is not a complete model folder ({error}); fit the model again"
            ) from error


def _model(
    manifest: dict[str, Any], tensors: dict[str, np.ndarray], files: dict[str, bytes], num_classes: int
) -> Any:
    if manifest["recipe"] in BASELINES:
        from metabalance.study.baselines import Baseline

        return Baseline(manifest["recipe"], num_classes, tensors, files)
    from metabalance.study.layers import rebuild_network

    module = rebuild_network(manifest["network"], state_of(tensors), num_classes)
    return Network(module, tensors["training_prior"], tensors["source_prior"])


def rows_at_once(rows: Any) -> int:
    """How many rows of a tensor a network takes in one step."""
    return 65_536 if rows.dim() == 2 else max(1, VALUES_AT_ONCE // max(rows[:1].numel(), 1))


def state_of(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The tensors of a network among those of a model folder."""
    import torch

    return {
        k.removeprefix("model."): torch.from_numpy(v.copy())
        for k, v in tensors.items()
        if k.startswith("model.")
    }


def stored_preprocessor(
    preprocessor: TablePreprocessor | ImagePreprocessor,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the manifest says of it, and its file."""
    if isinstance(preprocessor, ImagePreprocessor):
        return {"image": list(preprocessor.shape)}, {}
    schema = {"columns": preprocessor.dtypes_, "missing_columns": preprocessor.missing_columns}
    return schema, {"preprocess.safetensors": preprocessor.dumps()}


def read_preprocessor(
    manifest: dict[str, Any], files: dict[str, bytes]
) -> TablePreprocessor | ImagePreprocessor:
    """The inverse of :func:`stored_preprocessor`."""
    if "image" not in manifest["schema"]:
        return TablePreprocessor.loads(files["preprocess.safetensors"])
    channels, height, width = manifest["schema"]["image"]
    return ImagePreprocessor((channels, height, width))


def network_of(model: Any) -> dict[str, Any]:
    """How a fitted estimator's network is told in a manifest.

    Raises:
        DataError: It cannot be told.
    """
    from metabalance.study.layers import describe_network

    shape = model.image_shape_ or (model.n_features_in_,)
    return describe_network(
        model.module_.float(), model.module, shape, len(model.classes_), model.hidden, model.dropout
    )


def candidate_of(
    text: str, image_shape: tuple[int, ...] | None = None, network: dict[str, Any] | None = None
) -> Candidate:
    """The one candidate that ``--recipe`` names; tried for a moment, and whether its model could be saved.

    Raises:
        ValueError: None or several are named, or it cannot be trained.
        DataError: Its network could not be saved.
    """
    from metabalance.study.candidates import check_options, parse_candidates

    found = parse_candidates(text)
    if len(found) != 1:
        raise ValueError(f"--recipe takes one recipe, but {text!r} names {len(found)}; compare takes several")
    check_options(found[0])
    for model in rehearse(found[0], image_shape, network):
        if found[0].name not in BASELINES:
            network_of(model)
    return found[0]
