"""Runs in MLflow and TensorBoard: read back by the real packages, and nothing imported unless asked for."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.study.tracking import Logged, Tracker, logged_comparison, logged_training, parse_track

RUN = Logged(
    "table · target y",
    {"folds": "2", "cost": "None"},
    {"seconds": [(0, 1.5)]},
    text="Use focal.",
    parts=(
        Logged(
            "focal(gamma=2)",
            {"recipe": "focal(gamma=2)"},
            {"split/f1": [(0, 0.5), (1, 0.75)], "f1/value": [(0, 0.625)], "f1/low": [(0, float("nan"))]},
        ),
    ),
)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 5 == 0
    frame = pd.DataFrame(
        {"a": rng.normal(2 * y, 1), "b": rng.normal(size=120), "y": np.where(y, "bad", "good")}
    )
    path = tmp_path_factory.mktemp("data") / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow", reason="needs the extra 'tracking'")


@pytest.fixture
def scalars():
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra 'tracking'"
    )

    def read(folder):
        events = accumulator.EventAccumulator(str(folder))
        events.Reload()
        return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    return read


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_mlflow_keeps_every_figure(mlflow, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = tmp_path / "report.html"
    report.write_text("<p>")
    tracker = parse_track(f"mlflow:{tmp_path / 'runs'}")
    said = tracker.log(Logged(**vars(RUN) | {"files": (report,)}))
    assert "experiment metabalance" in said
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("metabalance")
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    top, part = runs["table · target y"], runs["focal(gamma=2)"]
    assert part.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert top.data.params == RUN.params
    assert top.data.tags["mlflow.note.content"] == "Use focal."
    assert [f.path for f in client.list_artifacts(top.info.run_id)] == ["report.html"]
    history = client.get_metric_history(part.info.run_id, "split/f1")
    assert [(m.step, m.value) for m in history] == [(0, 0.5), (1, 0.75)]
    assert part.data.metrics["f1/value"] == 0.625
    assert "f1/low" not in part.data.metrics  # NaN is no figure
    assert {r.info.status for r in runs.values()} == {"FINISHED"}


def test_tensorboard_keeps_every_figure(scalars, tmp_path):
    said = parse_track(f"tensorboard:{tmp_path}").log(RUN)
    (folder,) = tmp_path.iterdir()
    assert str(folder) in said
    assert scalars(folder) == {"seconds": [(0, 1.5)]}
    found = scalars(folder / "focal_gamma_2")
    assert found == {"split/f1": [(0, 0.5), (1, 0.75)], "f1/value": [(0, 0.625)]}


def test_compare_and_fit_are_tracked(scalars, csv, tmp_path):
    done = run(
        "compare", csv, "--target", "y", "--recipes", "logistic", "--folds", 2, "--seeds", 1, "--epochs", 1,
        "--workers", 1, "--out", tmp_path / "run", "--track", f"tensorboard:{tmp_path / 'compared'}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Tracked by tensorboard" in done.output
    (folder,) = (tmp_path / "compared").iterdir()
    assert (folder / "report.html").exists()
    found = scalars(folder / "logistic")
    assert [step for step, _ in found["split/average_precision"]] == [0, 1]
    mean = np.mean([value for _, value in found["split/average_precision"]])
    assert found["average_precision/value"][0][1] == pytest.approx(mean, rel=1e-5)
    assert "average_precision/difference/p_holm" in found
    done = run(
        "fit", csv, "--target", "y", "--recipe", "logistic", "--holdout", 0.3, "--out", tmp_path / "model",
        "--track", f"tensorboard:{tmp_path / 'fitted'}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "fitted").iterdir()
    found = scalars(folder)
    assert {"validation/average_precision", "held_out/roc_auc/low", "threshold", "seconds"} <= set(found)
    assert (folder / "manifest.json").exists()


@pytest.mark.parametrize("text", ["wandb", "", "mlflow2:x"])
def test_other_trackers_are_refused_before_the_work(text, csv, tmp_path):
    done = run("fit", csv, "--target", "y", "--out", tmp_path / "model", "--track", text)
    assert done.exit_code == 2
    assert "write mlflow or tensorboard" in done.stderr
    assert not (tmp_path / "model").exists()


def test_without_the_package_the_extra_is_named(monkeypatch):
    for package in ("mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(DataError, match=r"metabalance\[tracking\]"):
            parse_track(package)


def test_nothing_is_imported_unless_asked_for():
    code = (
        "import sys; from metabalance.study import tracking; assert tracking.parse_track(None) is None; "
        "import metabalance.study.commands; "
        "assert not {'mlflow', 'tensorboard', 'torch.utils.tensorboard'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert callable(logged_comparison)
    assert callable(logged_training)
    assert hasattr(Tracker, "log")
