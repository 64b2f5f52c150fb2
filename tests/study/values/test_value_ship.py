"""What ships for a continuous target: the folder gives back the same numbers to the bit, or is refused."""

import json

import numpy as np
import pytest

from metabalance.adjust import interval_coverage
from metabalance.data.errors import DataError
from metabalance.data.preprocess import TablePreprocessor
from metabalance.recipes import VALUE_RECIPES
from metabalance.study.artifact import MANIFEST, read_artifact, write_artifact
from metabalance.study.baselines import FITTERS
from metabalance.study.candidates import Candidate
from metabalance.study.opening import load_model
from metabalance.study.ship import TrainedModel
from metabalance.study.values.fitting import ValueSettings, fit_value_candidate
from metabalance.study.values.ship import TrainedRegressor, ValueNetwork

CASES = [
    ("erm", 1, "value", False),
    ("erm", 2, "quantiles", False),
    ("erm", 2, "gaussian", False),
    ("erm", 2, "value", True),
    ("dummy", 2, "", False),
    ("ridge", 2, "", False),
    ("ridge", 1, "", True),
    ("lightgbm", 2, "", False),
    ("xgboost", 2, "", False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
def test_the_folder_gives_back_the_same_numbers_to_the_bit(make, case, tmp_path):
    model, rows = make(*case)
    model.evidence = {"training": {"epochs": [1, 2]}}
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert isinstance(again, TrainedRegressor)
    assert again.kind == "values"
    prediction, ends = model.outputs(rows)
    assert prediction.shape == (400, case[1])
    assert prediction.dtype == np.float64
    assert ends.shape == (400, case[1], 2)
    np.testing.assert_array_equal(again.predict(rows), prediction)
    np.testing.assert_array_equal(again.intervals(rows), ends)
    np.testing.assert_array_equal(again.intervals(rows, 0.5, "target"), model.intervals(rows, 0.5, "target"))
    assert again.names == model.names == ("price", "depth")[: case[1]]
    assert again.evidence == model.evidence
    assert again.image_shape == model.image_shape
    assert [r.to_dict() for r in again.regions] == [r.to_dict() for r in model.regions]
    # What was loaded can be saved, and says the same.
    again.save(tmp_path / "n")
    first, second = (read_artifact(tmp_path / name) for name in "mn")
    assert first[0] == second[0]
    assert first[2] == second[2]
    assert first[1].keys() == second[1].keys()


def test_values_are_in_the_users_unit(make):
    model, rows = make("erm", 2)
    X = model.preprocessor.transform(rows)
    plain = ValueNetwork(model.model.module, model.model.readout, np.zeros(2), np.ones(2)).predict(X)
    np.testing.assert_allclose(model.predict(rows), plain * model.model.scale + model.model.mean, rtol=1e-15)
    assert model.model.limits(X) is None
    assert 1e4 < np.abs(model.predict(rows)[:, 0]).mean() < 1e8
    assert np.abs(model.predict(rows)[:, 1]).mean() < 1e-7


@pytest.mark.parametrize("readout", ["value", "quantiles", "gaussian"])
def test_intervals_hold_the_validation_rows_at_their_level(make, targets, readout):
    model, rows = make("erm", 2, readout)
    target = targets(400)
    for level in (0.5, 0.8, 0.9):
        ends = model.intervals(rows, level)
        for i in range(2):
            low, high = ends[200:, i].T
            held = interval_coverage(low, high, target[200:, i])["all"]
            assert level <= held + 1e-9
            assert held < level + 0.05
            low, high = model.intervals(rows, level, "target")[200:, i].T
            assert level <= interval_coverage(low, high, target[200:, i])["all"] + 1e-9
    limits = model.model.limits(model.preprocessor.transform(rows))
    assert (limits is None) == (readout == "value")
    if limits is not None:  # as wide as the network has them, moved by one margin for each group
        shift = limits[:, 0, 0] - model.intervals(rows)[:, 0, 0]
        assert len(np.unique(np.round(shift / model.model.scale[0], 9))) <= 3


def test_one_row_and_rows_in_any_order(make):
    model, rows = make("erm", 2)
    whole, ends = model.outputs(rows)
    alone = np.vstack([model.predict(rows.iloc[[i]]) for i in range(9)])
    np.testing.assert_allclose(alone / model.model.scale, whole[:9] / model.model.scale, atol=1e-6)
    np.testing.assert_array_equal(model.outputs(rows.iloc[:1])[1].shape, (1, 2, 2))
    assert (ends[..., 0] <= ends[..., 1]).all()


def test_too_few_validation_rows_leave_no_intervals_and_a_word(make, tmp_path):
    model, rows = make("ridge", 1, rows=16)
    assert model.conformal is None
    assert model.intervals(rows) is None
    assert "8 validation rows are too few for intervals" in model.record["notes"]
    with pytest.raises(DataError, match="has no intervals"):
        model.outputs(rows, 0.9)
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").intervals(rows) is None


def test_rare_values_with_too_few_validation_rows_are_told(make):
    notes = make("ridge", 2, rows=60)[0].record["notes"]
    told = [
        note for note in notes if "intervals by target are promised for them and their neighbours" in note
    ]
    assert notes[0] == "a note"
    assert told
    assert "validation rows have a depth that was" in told[-1]


def test_a_level_that_is_not_there_is_refused(make):
    model, rows = make("ridge", 2)
    with pytest.raises(
        DataError, match=r"by prediction at the levels 0.5, 0.8, 0.9, 0.95, 0.99, but 0.42 was asked for"
    ):
        model.intervals(rows, 0.42)


def test_missing_columns_follow_the_policy(make):
    strict, rows = make("ridge", 2)
    with pytest.raises(DataError, match="lacks 1 column"):
        strict.predict(rows.drop(columns="age"))
    lenient, rows = make("ridge", 2, missing_columns="impute")
    assert np.isfinite(lenient.predict(rows.drop(columns="age"))).all()


# ------------------------------------------------------------------------------------------- refusals


@pytest.fixture
def folder(make, tmp_path):
    make("erm", 2)[0].save(tmp_path / "m")
    return tmp_path / "m"


def test_what_was_changed_or_cut_short_is_refused(folder):
    for name in sorted(p.name for p in folder.iterdir()):
        good = (folder / name).read_bytes()
        for bad in (good[:-1], good[:40] + bytes([good[40] ^ 1]) + good[41:], b""):
            (folder / name).write_bytes(bad)
            with pytest.raises(DataError):
                load_model(folder)
        (folder / name).write_bytes(good)
    assert load_model(folder).names == ("price", "depth")


def test_nothing_in_it_is_a_pickle(make, tmp_path):
    for number, recipe in enumerate(("erm", "ridge", "lightgbm", "xgboost")):
        make(recipe, 2)[0].save(tmp_path / str(number))
        for path in (tmp_path / str(number)).iterdir():
            assert path.suffix in (".json", ".safetensors", ".txt", ".ubj")
            assert not path.read_bytes().startswith((b"\x80\x04", b"\x80\x05", b"PK"))


@pytest.mark.parametrize(
    "change",
    [
        {"targets": ["price"]},
        {"targets": ["a", "b", "c"]},
        {"regions": []},
        {"regions": [{}, {}]},
        {"intervals": {"stretches": [], "margins": []}},
        {"readout": {"kind": "value", "targets": 3, "levels": []}},
        {"readout": {"kind": "code", "targets": 2, "levels": []}},
        {"network": {}},
        {"schema": None},
    ],
    ids=str,
)
def test_a_manifest_that_tells_something_else_is_refused(folder, tmp_path, change):
    manifest, tensors, files = read_artifact(folder)
    write_artifact(tmp_path / "odd", manifest | change, tensors, files)
    with pytest.raises(DataError):
        load_model(tmp_path / "odd")


def test_a_tensor_or_file_that_is_not_there_is_refused(make, tmp_path):
    for number, (recipe, name) in enumerate(
        (
            ("erm", "target_scale"),
            ("ridge", "coef"),
            ("lightgbm", "lightgbm-1.txt"),
            ("xgboost", "target_mean"),
        )
    ):
        model, _rows = make(recipe, 2)
        model.save(tmp_path / f"{number}")
        manifest, tensors, files = read_artifact(tmp_path / f"{number}")
        tensors.pop(name, None)
        files.pop(name, None)
        write_artifact(tmp_path / f"{number}-odd", manifest, tensors, files)
        with pytest.raises(DataError, match="fit the model again"):
            load_model(tmp_path / f"{number}-odd")


def test_each_kind_is_read_as_what_it_is(make, folder, tmp_path):
    with pytest.raises(DataError, match="is a model of values, and cannot be read as one of classes"):
        TrainedModel.load(folder)
    manifest, tensors, files = read_artifact(folder)
    write_artifact(tmp_path / "new", manifest | {"kind": "rankings"}, tensors, files)
    with pytest.raises(DataError, match="'rankings', which this release does not know; upgrade"):
        load_model(tmp_path / "new")
    write_artifact(tmp_path / "old", {k: v for k, v in manifest.items() if k != "kind"}, tensors, files)
    with pytest.raises(DataError, match="not a complete model folder"):  # without a kind it is of classes
        load_model(tmp_path / "old")
    with pytest.raises(DataError, match="cannot be read as one of values"):
        TrainedRegressor.load(tmp_path / "old")
    assert json.loads((folder / MANIFEST).read_text())["content"]["kind"] == "values"
    assert "ridge" not in FITTERS


def test_a_model_of_classes_opens_as_before(tmp_path):
    import pandas as pd

    from metabalance.study.load import make_table
    from metabalance.study.train import train_table

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "y": np.arange(200) % 5 == 0})
    trained = train_table(make_table(frame, "y"), "logistic").model
    trained.save(tmp_path / "m")
    assert "kind" not in json.loads((tmp_path / "m" / MANIFEST).read_text())["content"]
    opened = load_model(tmp_path / "m")
    assert isinstance(opened, TrainedModel)
    np.testing.assert_array_equal(opened.predict_proba(frame), trained.predict_proba(frame))


def test_a_network_of_ones_own_cannot_be_saved(make):
    from types import SimpleNamespace

    from metabalance.study.values.ship import network_of

    model, _ = make("erm", 2)
    own = SimpleNamespace(
        module_=model.model.module, module=model.model.module, readout_=model.model.readout, hidden=(16,),
        dropout=0.1, image_shape_=None, n_features_in_=3,
    )  # fmt: skip
    with pytest.raises(DataError, match="is your own"):
        network_of(own)


# --------------------------------------------------------------------------------- models that were fitted


@pytest.mark.parametrize("recipe", VALUE_RECIPES)
@pytest.mark.parametrize("targets_", [1, 2])
def test_every_recipe_ships(recipe, targets_, targets, tmp_path):
    """Heads that recipes exchange, columns of quantiles, and the unit of the target come back to the bit."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)).astype(np.float32), targets(300)[:, :targets_]
    settings = ValueSettings(network={"epochs": 2, "batch_size": 64, "hidden": (8,)})
    train, valid = (X[:200], y[:200]), (X[200:], y[200:])
    try:
        fitted = fit_value_candidate(Candidate(recipe), train, valid, 0, settings)
    except ValueError as error:
        pytest.skip(f"{recipe} takes no such target: {error}")
    preprocessor = TablePreprocessor().fit(X[:200])
    names = ["a", "b"][:targets_]
    model = TrainedRegressor.assemble(fitted, preprocessor, names, fitted.regions, valid, {})
    model.save(tmp_path / "m")
    again, rows = load_model(tmp_path / "m"), X[200:]
    for one, other in zip(model.outputs(rows), again.outputs(rows)):
        np.testing.assert_array_equal(one, other)
    prediction, limits = fitted.outputs(rows := preprocessor.transform(rows))
    scale = model.model.scale
    np.testing.assert_allclose(again.model.predict(rows) / scale, prediction / scale, atol=1e-5)
    assert (limits is None) == (again.model.limits(rows) is None)
    if limits is not None:
        np.testing.assert_allclose(
            again.model.limits(rows)[..., 0] / scale, limits[..., 0] / scale, atol=1e-5
        )


def test_from_a_table_to_scores(tmp_path):
    import pandas as pd
    from typer.testing import CliRunner

    from metabalance.cli import app
    from metabalance.study.load import make_values
    from metabalance.study.values.train import train_values

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=400), "b": rng.choice(list("uvw"), 400)})
    frame["price"] = np.exp(frame["a"]) * 1e6 + 1e5 * rng.random(400)
    frame.to_csv(tmp_path / "t.csv", index=False)
    train_values(make_values(frame, "price"), "lightgbm").model.save(tmp_path / "m")
    arguments = [tmp_path / "m", tmp_path / "t.csv", "--out", tmp_path / "s.csv", "--interval-by", "target"]
    done = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    scored = pd.read_csv(tmp_path / "s.csv")
    assert scored["price"].between(scored["low"], scored["high"]).mean() > 0.88
    np.testing.assert_allclose(
        scored["prediction"], load_model(tmp_path / "m").predict(frame)[:, 0], rtol=1e-9
    )
