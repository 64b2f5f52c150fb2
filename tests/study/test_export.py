"""Exported models: the probabilities and decisions of Python, in another runtime, on rows it has never seen."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from metabalance.adjust import Calibrator, Decision
from metabalance.cli import app
from metabalance.data.encoders import CYCLES, Dates, Number
from metabalance.data.errors import DataError
from metabalance.study import export
from metabalance.study.export import (
    FORMATS,
    Exported,
    export_command,
    export_model,
    read_document,
    run_exported,
)
from metabalance.study.graph import Columns, Outcome, Pixels, Whole, whole_model
from metabalance.study.inputs import INPUTS, columns_of, inputs_of, table_inputs
from metabalance.study.load import make_table
from metabalance.study.probes import probe_inputs
from metabalance.study.ship import TrainedModel
from metabalance.study.sources import ImageTable
from metabalance.study.train import train_table

runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
pytest.importorskip("onnxscript", reason="needs the extra 'export'")

BRIEF = {"epochs": 2, "batch_size": 64}
ROWS = 400


def mixed(classes=2, rows=ROWS, seed=0):
    """A table with every kind of column, and values missing in each."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.exponential(size=rows) * 1e5 + 2e6,
            "age": rng.normal(40, 10, rows).round(),
            "city": rng.choice(["Bonn", "Rome", "Oslo", "a, b"], rows),
            "member": rng.choice([True, False, None], rows),
            "when": pd.date_range("1999-12-30 22:04:05.25", periods=rows, freq="35h"),
            "note": [f"word{i % 97} thing{i % 31}" for i in range(rows)],
        }
    )
    frame.loc[::9, "age"] = np.nan
    frame.loc[::13, "city"] = None
    frame.loc[5, "city"] = "Wien"  # rare: pooled
    frame.loc[::17, "when"] = pd.NaT
    frame.loc[::19, "note"] = None
    score = (frame["amount"] - 2.1e6) / 1e5 + rng.normal(size=rows)
    frame["y"] = pd.qcut(score, [0, *np.linspace(0.7, 1, classes)], labels=False)
    return frame


def trained(recipe, classes=2, **options):
    table = make_table(mixed(classes), "y")
    return train_table(table, recipe, network=BRIEF, **options).model


MADE = {}


def exported(model, form="onnx"):
    """Each export takes seconds: made once."""
    if (id(model), form) not in MADE:
        MADE[id(model), form] = export_model(model, form)
    return MADE[id(model), form]


def written(model, tmp_path, form="onnx", **options):
    made = export_model(model, form, **options) if options else exported(model, form)
    path = tmp_path / f"model{FORMATS[form]}"
    path.write_bytes(made.content)
    return path


def unseen(classes=2):
    frame = mixed(classes, rows=300, seed=1).drop(columns="y")
    frame.loc[3, "city"] = "Nowhere"
    frame.loc[4, "amount"] = np.inf
    frame.loc[6, "amount"] = -1e300
    return frame


def same(model, path, frame):
    probabilities, decision = run_exported(path, inputs_of(model.preprocessor, frame))
    expected = model.predict_proba(frame)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(decision, model.decision.decide(expected))
    assert len(np.unique(decision)) > 1


# ------------------------------------------------------------------------------------- against Python


@pytest.fixture(scope="module")
def models():
    return {
        "plain": trained("erm"),
        "prior": trained("undersample", prior=np.array([0.97, 0.03])),
        "several": trained("ldam_drw", classes=4),
        "costs": trained("erm", classes=3, objective="cost", cost=((0, 1, 1), (1, 0, 1), (2, 2, 0))),
        "logistic": trained("logistic"),
    }


@pytest.mark.parametrize(
    "name",
    ["prior", "several", *(pytest.param(n, marks=pytest.mark.slow) for n in ("plain", "costs", "logistic"))],
)
def test_onnx_gives_the_probabilities_and_decisions_of_python(models, name, tmp_path):
    model = models[name]
    same(model, written(model, tmp_path), unseen(len(model.classes)))


def test_so_does_a_program_of_torch_export(models, tmp_path):
    same(models["prior"], written(models["prior"], tmp_path, "torch"), unseen())


@pytest.mark.parametrize(
    "recipe",
    [
        "class_weight", "oversample", "focal", "logit_adjustment", "balanced_softmax", "crt", "lws", "tau_norm",
        "mixup", "sam", "metabalance", "logistic",
    ],
)  # fmt: skip
@pytest.mark.parametrize("classes", [2, 3])
def test_the_graph_is_python_for_every_kind_of_head(recipe, classes):
    model = trained(recipe, classes)
    frame = unseen(classes)
    given = [torch.from_numpy(a) for a in inputs_of(model.preprocessor, frame).values()]
    with torch.no_grad():
        probabilities, decision = whole_model(model)(*given)
    expected = model.predict_proba(frame)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(decision, model.decision.decide(expected))


@pytest.mark.parametrize("pixels", ["uint8", pytest.param("float32", marks=pytest.mark.slow)])
def test_images(pixels, tmp_path):
    rng = np.random.default_rng(0)
    y = (np.arange(120) % 5 == 0).astype(int)
    images = rng.integers(0, 200, (120, 3, 9, 8)).astype(np.uint8) + (40 * y[:, None, None, None]).astype(
        np.uint8
    )
    table = ImageTable("squares", images, y, ("a", "b"), 1)
    network = {"epochs": 2, "batch_size": 32, "module": "convnet" if pixels == "uint8" else "resnet32"}
    model = train_table(table, "balanced_batches", network=network).model
    path = written(model, tmp_path, pixels=pixels)
    new = rng.integers(0, 256, (33, 3, 9, 8)).astype(np.uint8)
    given = new if pixels == "uint8" else new * np.float32(1 / 255)
    probabilities, decision = run_exported(path, {"pixels": given})
    expected = model.predict_proba(new)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(decision, model.decision.decide(expected))
    assert Pixels()(torch.tensor([255], dtype=torch.uint8)).item() == 1.0


# -------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("form", FORMATS)
def test_any_number_of_rows(models, form, tmp_path):
    model, frame = models["prior"], unseen()
    path = written(model, tmp_path, form)
    inputs = inputs_of(model.preprocessor, frame)
    whole = run_exported(path, inputs)[0]
    for rows in (1, 2, 7, len(frame)):
        part = run_exported(path, {name: array[:rows] for name, array in inputs.items()})
        assert part[0].shape == (rows, 2)
        np.testing.assert_allclose(part[0], whole[:rows], rtol=0, atol=1e-6)
    if form == "onnx":  # torch.export guards against no rows at all
        assert run_exported(path, {name: array[:0] for name, array in inputs.items()})[1].shape == (0,)


@pytest.mark.parametrize(("threshold", "called"), [(0.5, 1), (np.nextafter(0.5, 1), 0)])
def test_a_probability_at_the_threshold_is_called_positive(models, threshold, called, tmp_path):
    model = models["plain"]
    tied = TrainedModel(**vars(model) | {"decision": Decision("f1", 0.5, threshold=float(threshold))})
    tied.calibrator, tied.prior = (
        Calibrator("none").fit([[0.0, 0.0]], [0]),
        np.asarray(model.record["source_prior"]),
    )
    outcome = Outcome(tied)
    outcome.to_source.zero_()
    logits = torch.zeros(3, 2)
    for run in (outcome, torch.export.export(outcome, (logits,)).module()):
        probabilities, decision = run(logits)
        assert probabilities.tolist() == [[0.5, 0.5]] * 3
        assert decision.tolist() == [called] * 3 == tied.decision.decide(probabilities.numpy()).tolist()


def test_ties_of_several_classes_go_to_the_first(models):
    outcome = Outcome(models["several"])
    outcome.parameter = torch.tensor([1.0, 2.0, 2.0, 1.0], dtype=torch.float64)
    p = np.array([[0.2, 0.3, 0.3, 0.2], [0.4, 0.2, 0.2, 0.2], [0.25] * 4])
    rule = Decision("f1", 0.0, multipliers=(1.0, 2.0, 2.0, 1.0))
    assert outcome.decided(torch.from_numpy(p)).tolist() == rule.decide(p).tolist() == [1, 0, 1]


def test_prior_shift_and_calibration_would_stand_float32_too(models):
    for model in models.values():
        rng = np.random.default_rng(0)
        logits = torch.from_numpy(
            rng.normal(size=(5000, len(model.classes))) * rng.choice([1, 10, 60], (5000, 1))
        )
        exact, rounded = (
            Outcome(model, dtype)(logits.to(dtype))[0] for dtype in (torch.float64, torch.float32)
        )
        assert abs(exact - rounded).max() < 1e-5
        assert torch.isfinite(rounded).all()


def test_dates_follow_the_calendar():
    moments = pd.Series(pd.date_range("1899-01-01", "2101-03-02", freq="211h"))
    moments = pd.concat([moments, pd.Series(pd.to_datetime(["2000-02-29", "1900-03-01", "1969-12-31"]))])
    encoder = Dates("", Number(0.0, 1e-9, True), tuple(CYCLES))
    seconds = ((moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(copy=True)[:, None]
    from metabalance.study.graph import _encoded

    found = torch.cat(_encoded(encoder, torch.from_numpy(seconds)), dim=1)
    np.testing.assert_allclose(found, encoder.encode(moments, "when"), rtol=0, atol=1e-6)


def test_inputs_can_be_made_from_the_description_alone(models):
    """The lists in the file are enough: a reader that knows pandas and nothing of this library."""
    model, frame = models["plain"], unseen()
    for told in table_inputs(model.preprocessor):
        made = np.zeros((len(frame), told["shape"][1]))
        for column in told["columns"]:
            values, place = frame[column["name"]], column["position"]
            if told["name"] == "codes":
                made[:, place] = [
                    -1 if v is None else column["levels"].index(v) if v in column["levels"] else len(column["levels"])
                    for v in values.astype(object).where(values.notna(), None)
                ]  # fmt: skip
            elif told["name"] == "dates":
                made[:, place] = [v.timestamp() if v == v else np.nan for v in values]
            elif told["name"] == "numbers":
                made[:, place] = pd.to_numeric(values)
        if told["name"] != "texts":
            np.testing.assert_allclose(inputs_of(model.preprocessor, frame)[told["name"]], made, rtol=1e-15)
    assert set(inputs_of(model.preprocessor, frame)) == set(INPUTS) == set(columns_of(model.preprocessor))
    assert isinstance(whole_model(model), Whole)
    assert isinstance(whole_model(model).before, Columns)


def test_made_up_rows_visit_every_corner(models):
    made = probe_inputs(models["plain"], 200)
    assert np.isinf(made["numbers"]).any()
    assert np.isnan(made["numbers"]).any()
    assert np.isnan(made["dates"]).any()
    levels = len(models["plain"].preprocessor.encoders_["city"].levels)
    assert set(made["codes"].ravel()) == set(range(-1, levels + 1))


def test_nothing_of_this_machine_is_inside(models, tmp_path):
    for form in FORMATS:
        content = exported(models["prior"], form).content
        for path in (export.__file__, torch.__file__):
            assert path.rsplit("/", 2)[0].encode() not in content


def test_a_graph_that_differs_is_not_written(models, monkeypatch):
    monkeypatch.setattr(export, "_torch_run", lambda program: lambda inputs: (np.zeros((1, 2)), np.zeros(1)))
    with pytest.raises(DataError, match="differs from Python"):
        export_model(models["plain"], "torch")


# ------------------------------------------------------------------------------------------- command


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    goal = tmp_path_factory.mktemp("fit") / "model"
    models["prior"].save(goal)
    return goal


def test_the_command_writes_a_file_that_describes_itself(folder, models, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "export_model", lambda model, form, *_: exported(models["prior"], form))
    goal = tmp_path / "fraud.onnx"
    done = run("export", folder, "--out", goal)
    assert done.exit_code == 0, done.output
    told = read_document(goal)
    assert json.loads((tmp_path / "fraud.onnx.json").read_text()) == told
    assert told["classes"] == [0, 1]
    assert told["decision"]["threshold"] == models["prior"].decision.threshold
    assert 0 <= told["check"]["difference"] < 1e-5
    assert any("'note' is free text" in text for text in told["outside"])
    for text in told["outside"]:
        assert text in done.output
    assert run("export", folder, "--out", goal).exit_code == 2
    assert run("export", folder, "--out", goal, "--overwrite").exit_code == 0
    proto = pytest.importorskip("onnx").load(goal)
    pytest.importorskip("onnx").checker.check_model(proto, full_check=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "tflite"], "use onnx, torch or evidently"),
        (["--out", "x.pt2"], "must end in .onnx"),
        (["--format", "torch", "--out", "x.onnx"], "must end in .pt2"),
        (["--pixels", "bits"], "use uint8, or float32"),
    ],
)
def test_unusable_options(folder, arguments, said):
    done = run("export", folder, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_trees_are_refused_with_a_way_out(tmp_path):
    pytest.importorskip("lightgbm", reason="needs the extra 'trees'")
    with pytest.raises(DataError, match="serve the file lightgbm"):
        export_model(trained("lightgbm"))


def test_without_the_packages_the_extra_is_named(models, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(DataError, match=r"metabalance\[export\]"):
        export_model(models["plain"])


def test_a_file_of_others_is_refused(tmp_path):
    for suffix in FORMATS.values():
        path = tmp_path / f"other{suffix}"
        path.write_bytes(b"PK\x03\x04 nothing")
        with pytest.raises(DataError, match="no file that metabalance export wrote"):
            read_document(path)
    assert Exported(b"", {}).content == b""
    assert callable(export_command)
