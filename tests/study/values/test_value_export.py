"""Exported models of values: Python's predictions and intervals, in another runtime, on rows it has never seen."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.regions import make_regions
from metabalance.study import export
from metabalance.study.export import FORMATS, export_model, read_document, run_exported
from metabalance.study.export_document import document_of
from metabalance.study.inputs import inputs_of
from metabalance.study.values.graph import ValueOutcome, whole_values
from metabalance.study.values.intervals import Stretches, ValueIntervals

pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
pytest.importorskip("onnxscript", reason="needs the extra 'export'")


@pytest.fixture(scope="module")
def exported(make):
    """An export takes seconds: each is made once."""
    done = {}

    def made(recipe, targets, readout, form, by):
        key = recipe, targets, readout, form, by
        if key not in done:
            done[key] = export_model(make(recipe, targets, readout)[0], form, interval_by=by)
        return done[key]

    return made


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def unseen(rows):
    frame = rows.copy()
    frame.loc[3, "city"] = "Nowhere"
    frame.loc[4, "amount"] = np.inf
    frame.loc[6, "amount"] = -1e300
    return frame


def agree(model, found, frame, level=None, by=None):
    """Compares what a graph gave with Python; at the edge of a region rounding may choose another margin."""
    prediction, ends = model.outputs(frame, level, by)
    unit = np.array([r.scale for r in model.regions])
    np.testing.assert_allclose(found[0] / unit, prediction / unit, rtol=0, atol=1e-5)
    assert found[0].dtype == np.float64
    if ends is None:
        assert len(found) == 1
        return
    for side in (0, 1):
        gap = (np.abs(found[1 + side] - ends[..., side]) / unit).max(axis=1)
        assert (gap < 1e-5).mean() > 0.99


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("recipe", "targets", "readout", "form", "by"),
    [
        pytest.param("erm", 2, "value", "onnx", None, marks=SLOW),
        pytest.param("erm", 2, "value", "onnx", "target", marks=SLOW),
        pytest.param("erm", 2, "quantiles", "onnx", None, marks=SLOW),
        ("erm", 2, "gaussian", "onnx", "target"),
        pytest.param("ridge", 2, "", "onnx", None, marks=SLOW),
        ("erm", 1, "quantiles", "torch", None),
        pytest.param("dummy", 1, "", "torch", None, marks=SLOW),
    ],
)
def test_another_runtime_gives_the_values_and_intervals_of_python(
    make, exported, tmp_path, recipe, targets, readout, form, by
):
    model, rows = make(recipe, targets, readout)
    made = exported(recipe, targets, readout, form, by)
    path = tmp_path / f"m{FORMATS[form]}"
    path.write_bytes(made.content)
    frame = unseen(rows)
    given = inputs_of(model.preprocessor, frame)
    agree(model, run_exported(path, given), frame, by=by)
    for number in (1, 7):
        part = run_exported(path, {name: array[:number] for name, array in given.items()})
        assert [output.shape for output in part] == [(number, targets)] * 3
    told = read_document(path)
    assert told == made.document
    assert told["task"] == "values"
    assert told["targets"] == list(model.names)
    assert told["interval"] == 0.9
    assert told["interval_by"] == (by or "prediction")
    assert [o["name"] for o in told["outputs"]] == ["prediction", "low", "high"]
    assert 0 <= told["check"]["difference"] < 1e-5


@pytest.mark.parametrize("recipe", ["erm", "ridge"])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize(("level", "by"), [(0.5, "prediction"), (0.5, "target"), (0.95, "target")])
def test_the_graph_is_python_at_every_level(make, recipe, targets, level, by):
    model, rows = make(recipe, targets, "quantiles")
    frame = unseen(rows)
    given = [torch.from_numpy(a) for a in inputs_of(model.preprocessor, frame).values()]
    with torch.no_grad():
        found = tuple(output.numpy() for output in whole_values(model, level, by)(*given))
    agree(model, found, frame, level, by)


@pytest.mark.slow
def test_images(make, tmp_path):
    model, pixels = make("erm", 2, "value", True)
    (tmp_path / "m.onnx").write_bytes(export_model(model).content)
    agree(model, run_exported(tmp_path / "m.onnx", {"pixels": pixels}), pixels)


def test_a_model_without_intervals_gives_predictions_alone(make, tmp_path):
    model, rows = make("ridge", 2)
    model.conformal = None
    made = export_model(model, "torch")
    (tmp_path / "m.pt2").write_bytes(made.content)
    agree(model, run_exported(tmp_path / "m.pt2", inputs_of(model.preprocessor, rows)), rows)
    assert made.document["interval"] is None
    given = inputs_of(model.preprocessor, rows)
    assert {**document_of(model, given, "torch"), **made.document} == made.document
    assert [o["name"] for o in made.document["outputs"]] == ["prediction"]
    with pytest.raises(DataError, match="no intervals"):
        export_model(model, interval=0.9)


@pytest.mark.parametrize("by", ["prediction", "target"])
def test_margins_change_where_the_region_does(make, by):
    """Every bin of the training target, its edges, and what lies beyond."""
    model, _ = make("ridge", 1)
    for width in (None, 3e5):
        regions = make_regions(np.random.default_rng(0).exponential(size=3000) * 1e6, bin_width=width)
        margins = {"few": 3e5, "medium": 2e5, "many": 1e5}
        model.conformal = ValueIntervals((Stretches.cut(regions),), {(by, 0.9): (margins,)})
        outcome = ValueOutcome(model, by=by)
        e = regions.edges
        values = np.concatenate(
            [(e[1:] + e[:-1]) / 2, e * (1 + 1e-6), [e[0] - 1e5, e[-1] + 1e5, e[-1]], e - 1.0]
        )
        raw = torch.from_numpy((values[:, None] - outcome.mean.numpy()) / outcome.scale.numpy())
        prediction, low, high = (output.numpy() for output in outcome(raw))
        expected = model.conformal(prediction, None, by=by)[:, 0]
        np.testing.assert_allclose(np.column_stack([low, high]), expected, atol=1e-3)
        if by == "prediction":
            np.testing.assert_allclose(
                (high - low)[:, 0] / 2, [margins[r] for r in regions.of(prediction[:, 0])], atol=1e-3
            )


def test_a_difference_is_told_in_deviations_and_not_at_edges(make):
    model, _ = make("ridge", 1)
    outcome = ValueOutcome(model)
    raw = torch.linspace(-1, 3, 150)[:, None].double()
    there = tuple(output.numpy() for output in outcome(raw))
    assert outcome.distance(there, there) == 0
    moved = (there[0], there[1] + outcome.scale.numpy() * 0.25, there[2])
    assert outcome.distance(moved, there) == pytest.approx(0.25)
    jumped = there[1].copy()
    jumped[70] += 1e9
    assert outcome.distance((there[0], jumped, there[2]), there) == 0
    assert np.isnan(outcome.distance((there[0] * np.nan, *there[1:]), there))
    assert np.isnan(outcome.distance((there[0], there[1] * np.nan, there[2]), there))


# ------------------------------------------------------------------------------------------- command


def test_the_command(make, exported, tmp_path, monkeypatch):
    make("erm", 2)[0].save(tmp_path / "m")
    asked = []

    def made(model, form, pixels, interval, interval_by):
        asked.append((form, interval, interval_by, model.names))
        return exported("erm", 2, "gaussian", "onnx", "target")

    done = run("export", tmp_path / "m", "--out", tmp_path / "n.onnx", "--interval", "0.7")
    assert done.exit_code == 2
    assert "at the levels 0.5, 0.8" in done.stderr
    monkeypatch.setattr(export, "export_model", made)
    arguments = ["--out", tmp_path / "m.onnx", "--interval", "0.9", "--interval-by", "target"]
    done = run("export", tmp_path / "m", *arguments)
    assert done.exit_code == 0, done.output
    assert asked == [("onnx", 0.9, "target", ("price", "depth"))]
    assert "values differ from Python's by at most" in done.output
    assert "intervals at other levels than 0.9" in done.output
    assert json.loads((tmp_path / "m.onnx.json").read_text()) == read_document(tmp_path / "m.onnx")


@pytest.mark.parametrize("recipe", ["lightgbm", "xgboost"])
def test_trees_are_refused_with_a_way_out(make, recipe):
    with pytest.raises(DataError, match=f"serve the file {recipe}-"):
        export_model(make(recipe, 1)[0])
