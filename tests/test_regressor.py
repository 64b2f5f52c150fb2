"""The regressor: scikit-learn's contract, weights, units, several targets, awkward tables, images, resumption."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from metabalance import MetaBalanceRegressor
from metabalance.heads import last_linear
from metabalance.judge import get_value_metric
from metabalance.regressor import MIN_HELD_OUT

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
Y = np.exp(X[:, :2] @ [0.6, 0.4] + 0.1 * rng.normal(size=300))


def quick(recipe="erm", **settings):
    return MetaBalanceRegressor(recipe, **{"epochs": 5, "random_state": 0, "batch_size": 64} | settings)


@parametrize_with_checks([MetaBalanceRegressor(epochs=12)])
def test_scikit_learn_checks_of_the_regressor_with_no_expected_failure(estimator, check):
    check(estimator)


def test_it_learns():
    model = quick(epochs=40).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert model.history_.best_epoch is not None
    (regions,) = model.regions_
    assert len(regions.edges) == 51
    assert regions.counts.sum() == 300 - 45  # of the rows that are trained on


def test_weights_of_a_regressor_are_copies_to_the_last_bit():
    weight = rng.integers(0, 4, 120)
    settings = {"batch_size": 256, "epochs": 10, "validation_fraction": 0}
    for recipe in ("erm", "lds", "balanced_mse", "dense_weight"):
        weighted = quick(recipe, **settings).fit(X[:120], Y[:120], sample_weight=weight)
        repeated = quick(recipe, **settings).fit(X[:120].repeat(weight, axis=0), Y[:120].repeat(weight))
        np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X), err_msg=recipe)


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1.0, 1e12, 1e200])
def test_wild_scales_change_nothing(scale):
    # A power of two is exact; these are not, and the standardised targets differ in their last bits.
    model, other = quick().fit(X, Y), quick().fit(X, Y * scale)
    np.testing.assert_allclose(other.predict(X) / scale, model.predict(X), rtol=1e-6)
    assert np.isfinite(other.history_.best_value)
    np.testing.assert_allclose(other.history_.best_value / scale, model.history_.best_value, rtol=1e-6)


def test_the_monitor_is_in_the_unit_of_the_target_and_is_the_judges():
    held = X[:60] + 0.01, Y[:60]
    for monitor in ("mae", "rmse", "bmae", "loss"):
        model = quick(monitor=monitor, patience=None).fit(X, Y, validation_data=held)
        best = min(row["monitor"] for row in model.history_.epochs)
        assert best == model.history_.best_value
        if monitor == "mae":
            np.testing.assert_allclose(best, mean_absolute_error(held[1], model.predict(held[0])), rtol=1e-9)
    model = quick(monitor="spearman", patience=None).fit(X, Y, validation_data=held)
    assert model.history_.best_value == max(row["monitor"] for row in model.history_.epochs)


@pytest.mark.parametrize("monitor", ["bmae", "gm", "rmse@many", "mae@few", "r2", "spearman@many"])
def test_every_monitor_is_the_judges_value_of_the_predictions(monitor):
    held = X[:100] + 0.01, Y[:100]
    model = quick(monitor=monitor, patience=None, epochs=3).fit(X, Y, validation_data=held)
    judged = get_value_metric(monitor)(model.predict(held[0]), held[1], regions=model.regions_)
    np.testing.assert_allclose(model.history_.best_value, judged, rtol=1e-6)


def test_monitors_of_several_targets():
    both = np.column_stack([Y, 1000 * X[:, 0]])
    for monitor in ("bmae", "mae[2]", "mae@few[1]", "r2"):
        model = quick(monitor=monitor, patience=None, epochs=3).fit(X, both, validation_data=(X, both))
        judged = get_value_metric(monitor)(model.predict(X), both, regions=model.regions_)
        np.testing.assert_allclose(model.history_.best_value, judged, rtol=1e-6)


def test_bins_by_width_are_multiples_of_it():
    model = quick(bin_width=0.5).fit(X, Y)
    edges = model.regions_[0].edges
    np.testing.assert_allclose(np.diff(edges), 0.5)
    np.testing.assert_allclose(edges / 0.5, np.round(edges / 0.5), atol=1e-9)
    two = quick(bin_width=[0.5, 0.25]).fit(X, np.column_stack([Y, Y]))
    assert [round(float(np.diff(r.edges)[0]), 9) for r in two.regions_] == [0.5, 0.25]


def test_several_targets_and_the_order_of_their_columns():
    both = np.column_stack([Y, 1000 * X[:, 0] ** 3])
    model = quick(epochs=20).fit(X, both)
    assert model.predict(X).shape == (300, 2)
    assert model.target_mean_.shape == model.target_scale_.shape == (2,)
    assert model.score(X, both) > 0.5
    # One column and two equal ones: a column for itself.
    assert quick().fit(X, Y[:, None]).predict(X).shape == (300,)
    one = quick(module=_zeros).fit(X, both).predict(X)
    other = quick(module=_zeros).fit(X, both[:, ::-1]).predict(X)
    np.testing.assert_allclose(one, other[:, ::-1], rtol=1e-9)


def _zeros(inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(300, 7.0), "the target is 7 in all rows"),
        (np.column_stack([Y, np.ones(300)]), "target 1 is 1 in all rows"),
        (np.where(np.arange(300) == 3, np.nan, Y), "NaN"),
        (np.where(np.arange(300) == 3, np.inf, Y), "infinity"),
        (Y[:-1], "inconsistent numbers of samples"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused_in_one_sentence(y, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "focal"}, "recipe 'focal' is not for values"),
        ({"recipe": "conrr"}, "did you mean conr"),
        ({"recipe_options": {"tau": 1}}, "has no option 'tau'"),
        ({"monitor": "roc_auc"}, "'roc_auc' is unknown for a continuous target"),
        ({"bin_width": -1.0}, "width of a bin must be finite and above 0"),
        ({"bin_width": 1e-12}, "take wider ones"),
        ({"bin_width": [1.0, 2.0]}, "one number or one for each target"),
        ({"num_bins": 0}, "num_bins must be at least 1"),
        ({"recipe": "conr", "accumulate": 2}, "does not go with accumulate"),
        ({"recipe": "fds", "compile": True}, "does not go with compile"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        quick(**settings).fit(X, Y)


def test_frames_without_numbers_in_the_target_are_refused_and_mixed_ones_are_learned():
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "yes", "no")})
    model = quick(epochs=10).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.predict(frame).shape == (300,)
    with pytest.raises(ValueError, match="y must hold numbers"):
        quick().fit(frame, np.where(Y > 1, "dear", "cheap"))
    with pytest.raises(ValueError, match="values of y are NaN or infinite"):
        quick().fit(frame, np.where(Y > 1, np.nan, Y))


AWKWARD = {
    "heavy ties": np.round(Y),
    "two values": (Y > 1.5).astype(int),
    "one region": np.linspace(0, 1, 300),
    "one far value": np.r_[np.zeros(299), 1e9] + X[:, 0],
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_targets(name):
    model = quick(epochs=2).fit(X, AWKWARD[name])
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_fewer_rows_than_bins(rows):
    model = quick(epochs=2).fit(X[:rows], Y[:rows])
    assert np.isfinite(model.predict(X)).all()
    assert model.history_.best_epoch is None  # nothing is held out


def test_held_out_rows_are_spread_over_the_values():
    from metabalance.regressor import _spread_out

    y = rng.exponential(size=(1000, 1))
    held = _spread_out(y, 0.15, seed=0)
    assert len(held) == len(set(held)) == 150
    np.testing.assert_allclose(
        np.quantile(y[held], [0.1, 0.5, 0.9]), np.quantile(y, [0.1, 0.5, 0.9]), rtol=0.1
    )
    assert int(0.15 * 130) < MIN_HELD_OUT


def test_images():
    images = (rng.random((80, 1, 8, 8)) * 255).astype(np.uint8)
    bright = images.mean(axis=(1, 2, 3))
    model = quick(module="mlp", epochs=10).fit(images, bright)
    assert model.predict(images).shape == (80,)
    assert model.image_shape_ == (1, 8, 8)
    assert quick(epochs=1).fit(images[:20], bright[:20]).predict(images).shape == (80,)


def test_copies_by_pickle_and_clone_predict_the_same():
    model = quick("quantile").fit(X, Y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    np.testing.assert_array_equal(copy.predict_limits(X), model.predict_limits(X))
    np.testing.assert_array_equal(clone(model).fit(X, Y).predict(X), model.predict(X))


def test_limits_and_raw_columns():
    model = quick("quantile", epochs=30, recipe_options={"levels": (0.1, 0.5, 0.9)}).fit(X, Y)
    raw, limits = model.predict_raw(X), model.predict_limits(X)
    assert raw.shape == (300, 3)
    assert raw.dtype == np.float64
    assert last_linear(model.module_).out_features == 3
    inside = (limits[:, 0, 0] <= Y) & (limits[:, 0, 1] >= Y)
    assert 0.6 < inside.mean() < 0.98
    sure = quick("gaussian", epochs=30).fit(X, Y)
    assert sure.predict_limits(X).shape == (300, 1, 2)
    assert sure.score(X, Y) > 0.8
    assert quick().fit(X, Y).predict_limits(X) is None


def test_a_module_of_the_users_own_is_copied_and_its_head_fitted():
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = quick("gaussian", module=module).fit(X, np.column_stack([Y, Y**2]))
    assert model.readout_.columns == 4
    assert model.predict(X).shape == (300, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("recipe", ["erm", "fds", "conr", "metabalance", "regressor_retraining"])
def test_a_regressor_killed_anywhere_ends_with_the_same_bits(recipe, tmp_path, monkeypatch):
    import metabalance.run as run_module

    settings = {"dropout": 0.2, "hidden": (8,), "epochs": 4}
    whole = quick(recipe, **settings).fit(X, Y)
    real, saves = run_module.Run.save, []

    def dies(self):
        real(self)
        saves.append(1)
        if len(saves) == 7:  # in the middle of the second epoch
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Run, "save", dies)
    monkeypatch.setattr(run_module.Run, "due", lambda self: True)
    path = {"checkpoint": str(tmp_path / "c"), "checkpoint_seconds": 1e-9}
    with pytest.raises(KeyboardInterrupt):
        quick(recipe, **settings, **path).fit(X, Y)
    monkeypatch.setattr(run_module.Run, "save", real)
    resumed = quick(recipe, **settings, **path).fit(X, Y)
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))
    assert resumed.history_.best_value == whole.history_.best_value


def test_what_smooths_features_is_gone_from_the_network():
    model = quick("fds").fit(X, Y)
    assert list(model.module_.state_dict()) == list(quick().fit(X, Y).module_.state_dict())
    assert not any(module._forward_pre_hooks for module in model.module_.modules())


def test_accumulated_batches_and_mixed_precision_train():
    plain = quick(batch_size=1000, epochs=3).fit(X, Y)
    assert np.isfinite(quick("lds", accumulate=2).fit(X, Y).predict(X)).all()
    half = quick(batch_size=1000, epochs=3, precision="bf16-mixed").fit(X, Y)
    np.testing.assert_allclose(half.predict(X), plain.predict(X), atol=0.1)


@pytest.mark.parametrize("recipe", ["quantile", "gaussian", "fds", "conr", "balanced_mse"])
def test_recipes_train_in_mixed_precision(recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(
            quick(recipe, epochs=2, precision="bf16-mixed").fit(X.astype("f4"), Y).predict(X)
        ).all()
