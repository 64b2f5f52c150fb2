"""Runs written to MLflow or TensorBoard, on request: settings, figures of every split, intervals, and the report.

Neither is imported unless it is asked for.
"""

import math
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from metabalance.data.errors import DataError
from metabalance.study.store import write_atomically

__all__ = ["Logged", "Tracker", "logged_comparison", "logged_training", "logged_values", "parse_track"]

PLACES = {"mlflow": "mlruns", "tensorboard": "tensorboard"}
EXPERIMENT = "metabalance"


@dataclass(frozen=True)
class Logged:
    """One run as a tracker keeps it.

    Args:
        name: Of the run.
        params: Settings, text.
        figures: Name to ``[(step, value)]``; a single figure has step 0.
        files: To be kept with the run.
        text: In words, or empty.
        parts: Runs within this one.
    """

    name: str
    params: dict[str, str]
    figures: dict[str, list[tuple[int, float]]]
    files: tuple[Path, ...] = ()
    text: str = ""
    parts: tuple["Logged", ...] = ()


class Tracker(Protocol):
    """Something that keeps runs."""

    def log(self, run: Logged) -> str:
        """Writes the run and its parts; says where."""


def parse_track(text: str | None) -> Tracker | None:
    """The tracker of ``mlflow`` or ``tensorboard``, with a folder or address after a colon.

    Raises:
        DataError: Another name, or a package that is not installed.
    """
    if text is None:
        return None
    name, _, place = text.partition(":")
    if name not in PLACES:
        raise DataError(
            f"--track {text!r} is unknown; write mlflow or tensorboard, with :FOLDER for another place"
        )
    return _MLflow(place) if name == "mlflow" else _TensorBoard(place or PLACES[name])


def logged_comparison(result: dict[str, Any], folder: Path) -> Logged:
    """A comparison, with a part for each recipe: every metric's value of every split, its mean and its interval.

    Args:
        result: Of :func:`~metabalance.study.summary.summarise`.
        folder: The run folder, whose report and advice are kept.
    """
    protocol, data = result["protocol"], result["data"]
    params = {k: str(protocol.get(k)) for k in ("folds", "seeds", "metric", "splits", "cost")}
    params |= {"data": result["title"], "rows": str(data["rows"]), "fingerprint": data["fingerprint"]}
    params |= {"command": result["command"], "version": result["version"]}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        if row["status"] == "ok":
            rows.setdefault(row["recipe"], []).append(row)
    parts = []
    for recipe in result["recipes"]:
        mine = sorted(rows.get(recipe["name"], []), key=lambda r: (r["seed"], r["fold"]))
        figures = {
            f"split/{n}": [(i, float(r[n])) for i, r in enumerate(mine) if n in r] for n in result["metrics"]
        }
        for n, found in recipe["metrics"].items():
            figures |= {f"{n}/{end}": [(0, float(found[end]))] for end in ("value", "low", "high")}
        for n, gap in recipe["difference"].items():
            figures |= {
                f"{n}/difference/{end}": [(0, float(gap[end]))] for end in ("value", "low", "high", "p_holm")
            }
        figures["seconds"] = [(0, float(recipe["seconds"]["mean"]))]
        told = {"recipe": recipe["name"], "status": recipe["status"], "note": recipe["note"]}
        parts.append(Logged(recipe["name"], told, figures))
    files = tuple(p for p in (folder / "report.html", folder / "advice.json") if p.exists())
    text = "\n\n".join([result["advice"]["headline"], *result["advice"]["details"]])
    return Logged(
        result["title"], params, {"seconds": [(0, float(result["seconds"]))]}, files, text, tuple(parts)
    )


def logged_training(training: Any, name: str, folder: Path) -> Logged:
    """A model: its settings, validation and held-out figures, and its manifest.

    Args:
        training: Of :func:`~metabalance.study.train.train_table`.
        name: Of the data.
        folder: The model folder.
    """
    model = training.model
    record = model.record
    params = {k: str(record[k]) for k in ("recipe", "seed", "objective", "cost", "target")}
    params |= {f"option/{k}": str(v) for k, v in record["options"].items()}
    params |= {"data": record["data"]["name"], "fingerprint": record["data"]["fingerprint"]}
    figures = {f"validation/{k}": [(0, float(v))] for k, v in record["validation"].items()}
    for n, found in training.metrics.items():
        ends = {"value": found.value, "low": found.low, "high": found.high}
        figures |= {f"held_out/{n}/{end}": [(0, float(v))] for end, v in ends.items()}
    if model.decision.threshold is not None:
        figures["threshold"] = [(0, float(model.decision.threshold))]
    figures["seconds"] = [(0, float(record["training_seconds"]))]
    return Logged(f"{record['recipe']} on {name}", params, figures, (folder / "manifest.json",))


def logged_values(training: Any, name: str, folder: Path) -> Logged:
    """The same of a model of values: of :func:`~metabalance.study.values.train.train_values`."""
    model, record = training.model, training.model.record
    params = {k: str(record[k]) for k in ("recipe", "seed", "target")}
    params |= {f"option/{k}": str(v) for k, v in record["options"].items()}
    params |= {"data": record["data"]["name"], "fingerprint": record["data"]["fingerprint"]}
    figures = {f"validation/{k}": [(0, float(v))] for k, v in record["validation"].items()}
    for row in (model.evidence["held_out"] or {}).get("estimates", []):
        ends = {end: row[end] for end in ("value", "low", "high") if row[end] is not None}
        figures |= {f"held_out/{row['name']}/{end}": [(0, float(v))] for end, v in ends.items()}
    figures["seconds"] = [(0, float(record["training_seconds"]))]
    return Logged(f"{record['recipe']} on {name}", params, figures, (folder / "manifest.json",))


class _MLflow:
    def __init__(self, place: str) -> None:
        self.mlflow = _needed("mlflow")
        self.place = place

    def log(self, run: Logged) -> str:
        import os

        if self.place or "MLFLOW_TRACKING_URI" not in os.environ:
            place = self.place or PLACES["mlflow"]
            if "://" not in place:
                # MLflow 3 keeps runs in a database, and refuses to write plain folders.
                for package in ("sqlalchemy", "alembic"):
                    _needed(package)
                Path(place).mkdir(parents=True, exist_ok=True)
                place = f"sqlite:///{Path(place).resolve() / 'mlflow.db'}"
            self.mlflow.set_tracking_uri(place)
        client = self.mlflow.MlflowClient()
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._create(client)
        self._log(client, experiment, run, {})
        return f"mlflow, experiment {EXPERIMENT}: {self.mlflow.get_tracking_uri()}"

    def _create(self, client: Any) -> str:
        uri = self.mlflow.get_tracking_uri()
        if uri.startswith("sqlite:///"):
            artifacts = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
            return client.create_experiment(EXPERIMENT, artifact_location=artifacts.resolve().as_uri())
        return client.create_experiment(EXPERIMENT)

    def _log(self, client: Any, experiment: str, run: Logged, tags: dict[str, str]) -> None:
        from mlflow.entities import Metric, Param

        now = _milliseconds()
        made = client.create_run(experiment, start_time=now, tags=tags | {"mlflow.runName": run.name})
        key = made.info.run_id
        metrics = [
            Metric(_plain(name), value, now, step)
            for name, values in run.figures.items()
            for step, value in values
            if math.isfinite(value)
        ]
        for start in range(0, len(metrics), 1000):  # as many as a batch may hold
            client.log_batch(key, metrics=metrics[start : start + 1000])
        client.log_batch(key, params=[Param(_plain(k), v[:6000]) for k, v in run.params.items()])
        if run.text:
            client.set_tag(key, "mlflow.note.content", run.text)
        for file in run.files:
            client.log_artifact(key, str(file))
        for part in run.parts:
            self._log(client, experiment, part, {"mlflow.parentRunId": key})
        client.set_terminated(key)


class _TensorBoard:
    def __init__(self, place: str) -> None:
        _needed("tensorboard")
        self.folder = Path(place)

    def log(self, run: Logged) -> str:
        import time

        folder = self.folder / f"{_plain(run.name)}-{time.strftime('%Y%m%d-%H%M%S')}"
        for part, where in ((run, folder), *((part, folder / _plain(part.name)) for part in run.parts)):
            self._log(part, where)
        return f"tensorboard: {folder}"

    @staticmethod
    def _log(run: Logged, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder)) as writer:
            for name, values in run.figures.items():
                for step, value in values:
                    if math.isfinite(value):
                        writer.add_scalar(name, value, step)
            told = "\n".join(f"| {key} | {value} |" for key, value in run.params.items())
            writer.add_text("settings", f"| setting | value |\n|---|---|\n{told}")
            if run.text:
                writer.add_text("advice", run.text)
        for file in run.files:
            write_atomically(folder / file.name, file.read_bytes())


def _milliseconds() -> int:
    import time

    return int(time.time() * 1000)


def _plain(name: str) -> str:
    """What both take as a name: letters, figures and ``_-./ ``."""
    return re.sub(r"[^\w\-. /]+", "_", name, flags=re.ASCII).strip("_/ ") or "run"


def _needed(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise DataError(
            f"{package} is not installed; pip install 'metabalance[tracking]' brings it"
        ) from error
