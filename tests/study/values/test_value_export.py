"""Exported models of values: Python's predictions and intervals, in another runtime, on rows it has never seen."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.regions import make_regions
from metabalance.study.export import FORMATS, export_model, read_document, run_exported
from metabalance.study.export_document import document_of
from metabalance.study.inputs import inputs_of
from metabalance.study.values.graph import ValueOutcome, whole_values

pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
pytest.importorskip("onnxscript", reason="needs the extra 'export'")


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def unseen(rows):
    frame = rows.copy()
    frame.loc[3, "city"] = "Nowhere"
    frame.loc[4, "amount"] = np.inf
    frame.loc[6, "amount"] = -1e300
    return frame


def agree(model, found, frame, level=None):
    """Compares what a graph gave with Python; at the edge of a region only predictions are."""
    prediction, ends = model.outputs(frame, level)
    unit = np.array([r.scale for r in model.regions])
    np.testing.assert_allclose(found[0] / unit, prediction / unit, rtol=0, atol=1e-5)
    assert found[0].dtype == np.float64
    if ends is None:
        assert len(found) == 1
        return
    for i, regions in enumerate(model.regions):
        same = regions.of(found[0][:, i]) == regions.of(prediction[:, i])
        assert same.mean() > 0.99
        for side in (0, 1):
            np.testing.assert_allclose(
                found[1 + side][same, i] / unit[i], ends[same, i, side] / unit[i], rtol=0, atol=1e-5
            )


@pytest.mark.parametrize(
    ("recipe", "targets", "readout", "form"),
    [
        ("erm", 2, "value", "onnx"),
        ("erm", 2, "quantiles", "onnx"),
        ("erm", 2, "gaussian", "onnx"),
        ("ridge", 2, "", "onnx"),
        ("erm", 1, "quantiles", "torch"),
        ("mean", 1, "", "torch"),
    ],
)
def test_another_runtime_gives_the_values_and_intervals_of_python(
    make, tmp_path, recipe, targets, readout, form
):
    model, rows = make(recipe, targets, readout)
    made = export_model(model, form)
    path = tmp_path / f"m{FORMATS[form]}"
    path.write_bytes(made.content)
    frame = unseen(rows)
    given = inputs_of(model.preprocessor, frame)
    agree(model, run_exported(path, given), frame)
    for number in (1, 7):
        part = run_exported(path, {name: array[:number] for name, array in given.items()})
        assert [output.shape for output in part] == [(number, targets)] * 3
    told = read_document(path)
    assert told == made.document
    assert told["task"] == "values"
    assert told["targets"] == list(model.names)
    assert told["interval"] == 0.9
    assert [o["name"] for o in told["outputs"]] == ["prediction", "low", "high"]
    assert 0 <= told["check"]["difference"] < 1e-5


@pytest.mark.parametrize("recipe", ["erm", "ridge", "mean"])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("level", [0.5, 0.99])
def test_the_graph_is_python_at_every_level(make, recipe, targets, level):
    model, rows = make(recipe, targets, "quantiles")
    frame = unseen(rows)
    given = [torch.from_numpy(a) for a in inputs_of(model.preprocessor, frame).values()]
    with torch.no_grad():
        found = tuple(output.numpy() for output in whole_values(model, level)(*given))
    agree(model, found, frame, level)


def test_images(make, tmp_path):
    model, pixels = make("erm", 2, "value", True)
    (tmp_path / "m.onnx").write_bytes(export_model(model).content)
    agree(model, run_exported(tmp_path / "m.onnx", {"pixels": pixels}), pixels)


def test_a_model_without_intervals_gives_predictions_alone(make, tmp_path):
    model, rows = make("ridge", 2)
    model.conformal = None
    made = export_model(model)
    (tmp_path / "m.onnx").write_bytes(made.content)
    agree(model, run_exported(tmp_path / "m.onnx", inputs_of(model.preprocessor, rows)), rows)
    assert made.document["interval"] is None
    given = inputs_of(model.preprocessor, rows)
    assert {**document_of(model, given, "onnx"), **made.document} == made.document
    assert [o["name"] for o in made.document["outputs"]] == ["prediction"]
    with pytest.raises(DataError, match="no intervals"):
        export_model(model, interval=0.9)


def test_margins_change_where_the_region_does(make):
    """Every bin of the training target, its edges, and what lies beyond."""
    model, _ = make("ridge", 1)
    for width in (None, 3e5):
        regions = make_regions(np.random.default_rng(0).exponential(size=3000) * 1e6, bin_width=width)
        model.regions = (regions,)
        margins = {"few": 3.0, "medium": 2.0, "many": 1.0}
        model.conformal = type(model.conformal)(
            {0.9: ({"few": 0, "medium": 1, "many": 2},)}, {0.9: (fitted_to(margins),)}
        )
        outcome = ValueOutcome(model)
        e = regions.edges
        values = np.concatenate(
            [(e[1:] + e[:-1]) / 2, e * (1 + 1e-6), [e[0] - 1e5, e[-1] + 1e5, e[-1]], e - 1.0]
        )
        raw = torch.from_numpy((values[:, None] - outcome.mean.numpy()) / outcome.scale.numpy())
        prediction, low, high = outcome(raw)
        expected = np.array([margins[r] for r in regions.of(prediction.numpy())])
        np.testing.assert_allclose(((high - low) / 2).numpy()[:, 0], expected, atol=1e-6)
        assert set(expected) == {1.0, 2.0, 3.0}


def fitted_to(margins):
    from metabalance.adjust import ConformalIntervals

    return ConformalIntervals.from_dict(
        {"alpha": 0.1, "margins": [[i, margins[r]] for i, r in enumerate(("few", "medium", "many"))]}
    )


def test_a_difference_is_told_in_deviations_and_not_at_edges(make):
    model, _ = make("ridge", 1)
    outcome = ValueOutcome(model)
    raw = torch.linspace(-1, 3, 50)[:, None].double()
    there = tuple(output.numpy() for output in outcome(raw))
    assert outcome.distance(there, there) == 0
    moved = (there[0], there[1] + outcome.scale.numpy() * 0.25, there[2])
    assert outcome.distance(moved, there) == pytest.approx(0.25)
    assert np.isnan(outcome.distance((there[0] * np.nan, *there[1:]), there))


# ------------------------------------------------------------------------------------------- command


def test_the_command(make, tmp_path):
    model, _ = make("erm", 2)
    model.save(tmp_path / "m")
    done = run("export", tmp_path / "m", "--out", tmp_path / "m.onnx", "--interval", "0.8")
    assert done.exit_code == 0, done.output
    assert "values differ from Python's by at most" in done.output
    assert "intervals at other levels than 0.8" in done.output
    told = json.loads((tmp_path / "m.onnx.json").read_text())
    assert told["interval"] == 0.8
    done = run("export", tmp_path / "m", "--out", tmp_path / "n.onnx", "--interval", "0.7")
    assert done.exit_code == 2
    assert "at the levels 0.5, 0.8" in done.stderr


@pytest.mark.parametrize("recipe", ["lightgbm", "xgboost"])
def test_trees_are_refused_with_a_way_out(make, recipe):
    with pytest.raises(DataError, match=f"serve the file {recipe}-"):
        export_model(make(recipe, 1)[0])
