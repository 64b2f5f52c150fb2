"""``predict`` with a model of values: columns in the user's unit, into a file or a folder of parts."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.study import predict_parts as parts
from metabalance.study.load import make_table
from metabalance.study.scores import ClassScores, ValueScores, scores_of
from metabalance.study.train import train_table


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(done, *said):
    assert done.exit_code == 2, done.output
    assert all(part in done.output for part in said), done.output


@pytest.fixture(scope="module")
def one(make, tmp_path_factory):
    """A model of one target, its folder, and new rows in a file."""
    folder = tmp_path_factory.mktemp("one")
    model, rows = make("erm", 1)
    model.save(folder / "model")
    rows.to_parquet(folder / "rows.parquet")
    return model, folder / "model", folder / "rows.parquet", rows


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_holds_what_python_gives(one, tmp_path, suffix):
    model, folder, data, rows = one
    out = tmp_path / f"scored.{suffix}"
    done = run("predict", folder, data, "--out", out)
    assert done.exit_code == 0, done.output
    assert "400 rows scored; from low to high is meant to hold 0.9 of such rows" in done.output
    scored = pd.read_parquet(out) if suffix == "parquet" else pd.read_csv(out)
    assert list(scored.columns) == [*rows.columns, "prediction", "low", "high"]
    prediction, ends = model.outputs(rows)
    for name, column in (("prediction", prediction[:, 0]), ("low", ends[:, 0, 0]), ("high", ends[:, 0, 1])):
        np.testing.assert_array_equal(
            scored[name], column
        ) if suffix == "parquet" else np.testing.assert_allclose(scored[name], column, rtol=1e-14)


def test_several_targets_have_their_names(make, tmp_path):
    model, rows = make("ridge", 2)
    model.save(tmp_path / "model")
    rows.to_parquet(tmp_path / "rows.parquet")
    out = tmp_path / "scored.parquet"
    done = run(
        "predict",
        tmp_path / "model",
        tmp_path / "rows.parquet",
        "--out",
        out,
        "--prefix",
        "new ",
        "--interval",
        "0.5",
    )
    assert done.exit_code == 0, done.output
    scored = pd.read_parquet(out)
    assert list(scored.columns[-6:]) == [
        "new prediction_price", "new low_price", "new high_price", "new prediction_depth", "new low_depth",
        "new high_depth",
    ]  # fmt: skip
    prediction, ends = model.outputs(rows, 0.5)
    np.testing.assert_array_equal(scored["new prediction_depth"], prediction[:, 1])
    np.testing.assert_array_equal(scored["new low_price"], ends[:, 0, 0])
    np.testing.assert_array_equal(scored["new high_depth"], ends[:, 1, 1])


def test_without_intervals_there_is_one_column(make, tmp_path):
    model, rows = make("ridge", 1)
    model.conformal = None
    model.save(tmp_path / "model")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    done = run("predict", tmp_path / "model", tmp_path / "rows.csv", "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    assert "400 rows scored.\n" in done.output
    assert list(pd.read_csv(tmp_path / "s.csv").columns) == [*rows.columns, "prediction"]
    refused(
        run(
            "predict",
            tmp_path / "model",
            tmp_path / "rows.csv",
            "--out",
            tmp_path / "t.csv",
            "--interval",
            "0.9",
        ),
        "has no intervals",
    )


def test_options_of_the_other_kind_are_refused(one, tmp_path):
    _, folder, data, _rows = one
    for out in (tmp_path / "s.parquet", tmp_path / "folder"):
        refused(
            run("predict", folder, data, "--out", out, "--prior", "0.5"), "--prior is for models of classes"
        )
        refused(run("predict", folder, data, "--out", out, "--interval", "0.7"), "at the levels 0.5, 0.8")
        assert not out.exists()
    frame = pd.DataFrame({"a": np.arange(100.0), "y": np.arange(100) % 4 == 0})
    classes = train_table(make_table(frame, "y"), "logistic").model
    classes.save(tmp_path / "classes")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    refused(
        run(
            "predict",
            tmp_path / "classes",
            tmp_path / "rows.csv",
            "--out",
            tmp_path / "s.csv",
            "--interval",
            "0.9",
        ),
        "--interval is for models of values",
    )
    refused(
        run("export", tmp_path / "classes", "--out", tmp_path / "m.onnx", "--interval-by", "target"),
        "--interval-by is for models of values",
    )
    assert isinstance(scores_of(classes, prior=None, interval=None, interval_by=None, prefix=""), ClassScores)


def test_by_target_is_wider(one, tmp_path):
    model, folder, data, rows = one
    done = run("predict", folder, data, "--out", tmp_path / "s.parquet", "--interval-by", "target")
    assert done.exit_code == 0, done.output
    assert "hold 0.9 of the rows of each region of the true value" in " ".join(done.output.split())
    scored = pd.read_parquet(tmp_path / "s.parquet")
    np.testing.assert_array_equal(scored[["low", "high"]], model.intervals(rows, by="target")[:, 0])
    refused(
        run("predict", folder, data, "--out", tmp_path / "t.parquet", "--interval-by", "class"),
        "by prediction or target",
    )


def test_bad_rows_are_refused(one, tmp_path):
    _, folder, _data, rows = one
    rows.drop(columns="age").to_csv(tmp_path / "a.csv", index=False)
    refused(run("predict", folder, tmp_path / "a.csv", "--out", tmp_path / "s.csv"), "'age'")
    rows.assign(age="old").to_csv(tmp_path / "b.csv", index=False)
    refused(run("predict", folder, tmp_path / "b.csv", "--out", tmp_path / "s.csv"), "'age'")
    rows.assign(low=1).to_csv(tmp_path / "c.csv", index=False)
    refused(
        run("predict", folder, tmp_path / "c.csv", "--out", tmp_path / "s.csv"), "column 'low'", "--prefix"
    )
    assert (
        run("predict", folder, tmp_path / "c.csv", "--out", tmp_path / "s.csv", "--prefix", "x").exit_code
        == 0
    )


def test_a_folder_of_parts_holds_the_same_to_the_bit(one, tmp_path, monkeypatch):
    model, folder, data, rows = one
    monkeypatch.setattr(parts, "BLOCK", 150)
    monkeypatch.setattr(parts, "PART", 150)
    out = tmp_path / "scored"
    done = run("predict", folder, data, "--out", out)
    assert done.exit_code == 0, done.output
    assert len(list(out.glob("part-*.parquet"))) == 3
    scored = pd.read_parquet(out)
    prediction, ends = model.outputs(rows)
    unit = model.model.scale[0]
    np.testing.assert_allclose(scored["prediction"] / unit, prediction[:, 0] / unit, atol=1e-6)
    again = run("predict", folder, data, "--out", out)
    assert "3 parts were there already" in again.output
    refused(run("predict", folder, data, "--out", out, "--interval", "0.5"), "another level of intervals")
    refused(
        run("predict", folder, data, "--out", out, "--interval-by", "target"), "another promise of intervals"
    )
    scores = ValueScores(model, None, None, "")
    assert scores.settings == {"interval": 0.9, "interval_by": "prediction"}
    assert scores.told(0, 3) == "; from low to high is meant to hold 0.9 of such rows"
    assert (scored["low"] <= scored["high"]).all()
    assert ends.shape == (400, 1, 2)


def test_images_are_scored_by_file(make, tmp_path):
    image = pytest.importorskip("PIL.Image")
    model, pixels = make("erm", 2, "value", True)
    model.save(tmp_path / "model")
    (tmp_path / "new").mkdir()
    for i in range(3):
        image.fromarray(pixels[i, 0]).save(tmp_path / "new" / f"{i}.png")
    done = run("predict", tmp_path / "model", tmp_path / "new", "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    assert "3 images scored" in done.output
    scored = pd.read_csv(tmp_path / "s.csv")
    assert len(scored) == 3
    np.testing.assert_allclose(scored["prediction_price"], model.predict(pixels[:3])[:, 0], rtol=1e-5)
