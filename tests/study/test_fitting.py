"""One candidate on one training part: tuning, calibration, decisions, priors, and what ships."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score

from metabalance.judge.metrics import get_metric
from metabalance.study.candidates import DEFAULT_RECIPES, Candidate, parse_candidates
from metabalance.study.fitting import Fitted, Settings, binary_or_all, fit_candidate
from metabalance.study.jobs import FoldData, fit_arrays, fit_fold, prepare_arrays, prepare_fold
from metabalance.study.load import make_table
from metabalance.study.ship import Network, TrainedModel
from metabalance.study.sources import Table, load_rows
from metabalance.study.store import RunStore
from metabalance.study.train import Training, train_table

X, Y = make_classification(1200, n_features=6, n_informative=4, weights=[0.9], class_sep=1.2, random_state=1)
X = X.astype(np.float32)
TRAIN, VALID, TEST = slice(0, 600), slice(600, 900), slice(900, 1200)
QUICK = Settings(network={"epochs": 5, "batch_size": 64})


def fitted(text, settings=QUICK, seed=0) -> Fitted:
    (candidate,) = parse_candidates(text)
    return fit_candidate(candidate, (X[TRAIN], Y[TRAIN]), (X[VALID], Y[VALID]), 2, seed, settings)


def test_the_default_recipes_exist_and_hold_the_baseline():
    names = [c.name for c in parse_candidates(DEFAULT_RECIPES)]
    assert names[0] == "erm"
    assert "metabalance" in names


@pytest.mark.parametrize("text", ["erm", "oversample", "metabalance(order=2)", "logistic", "lightgbm"])
def test_probabilities_are_calibrated_on_average(text):
    probabilities = fitted(text).predict_proba(X[TEST])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    assert probabilities[:, 1].mean() == pytest.approx(Y[TEST].mean(), abs=0.04)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    a, b, c = (fitted("metabalance", seed=s).predict_proba(X[TEST]) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_several_values_are_tuned_on_the_validation_part_alone():
    tuned = fitted("erm(lr=1e-6|0.01)")
    assert tuned.options == {"lr": 0.01}
    best = fitted("erm(lr=0.01)")
    np.testing.assert_array_equal(tuned.predict_proba(X[TEST]), best.predict_proba(X[TEST]))
    assert tuned.validation == best.validation
    few = Settings(network=QUICK.network, min_positives=1000)
    told = fitted("erm(lr=1e-6|0.01)", few)
    assert told.options == {"lr": 1e-6}
    assert "too few validation rows to tune" in told.notes[0]


def test_an_undefined_validation_value_is_never_the_best(monkeypatch):
    from metabalance.study import fitting

    defined, undefined = (lambda *_: 0.3), (lambda *_: float("nan"))
    for values in ([undefined, defined], [defined, undefined]):
        metric = get_metric("average_precision")
        remaining = iter(values)
        chosen = dataclasses.replace(metric, function=lambda *given, r=remaining: next(r)(*given))
        monkeypatch.setattr(fitting, "get_metric", lambda name, chosen=chosen: chosen)
        assert fitted("logistic(C=1|2)").validation == {"average_precision": 0.3}


def test_the_validation_metric_is_what_it_says():
    model = fitted("erm")
    scores = binary_or_all(model.model.predict_proba(X[VALID]), 1)
    assert model.validation["average_precision"] == pytest.approx(average_precision_score(Y[VALID], scores))


def test_decisions_follow_their_objective():
    cost = ((0.0, 1.0), (30.0, 0.0))
    model = fitted("erm", Settings(network=QUICK.network, cost=cost))
    called = {
        name: (d.decide(model.predict_proba(X[TEST])) == 1).mean() for name, d in model.decisions.items()
    }
    assert set(called) == {"f1", "balanced_accuracy", "cost"}
    assert called["cost"] > called["f1"]


def test_a_deployment_prior_moves_probabilities_and_threshold():
    prior = (0.99, 0.01)
    there = fitted("oversample", Settings(network=QUICK.network, prior=prior))
    weight = np.where(Y[TEST] == 1, 0.01 / Y[TEST].mean(), 0.99 / (1 - Y[TEST].mean()))
    assert np.average(there.predict_proba(X[TEST])[:, 1], weights=weight) == pytest.approx(0.01, abs=0.006)


def test_the_time_limit_is_told():
    assert "time limit" in " ".join(fitted("erm", Settings(network={"epochs": 500}, max_seconds=1e-3)).notes)


def test_a_shipped_network_gives_the_probabilities_of_the_estimator():
    model = fitted("oversample").model
    network = Network(model.module_, model.training_prior_, model.source_prior_)
    np.testing.assert_allclose(network.predict_proba(X[TEST]), model.predict_proba(X[TEST]), atol=1e-12)


def test_a_fold_is_prepared_from_its_fit_rows_and_stored(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(X, columns=list("abcdef"))
    source = Table("made", frame, Y, (0, 1), 1, "y").write(tmp_path)
    parts = {"fit": np.arange(600), "validation": np.arange(600, 900), "test": np.arange(900, 1200)}
    data = FoldData(tmp_path, seed=0, fold=0)
    assert prepare_fold(data, source, parts) == 6
    inputs, target = data.load("test")
    assert inputs.shape == (300, 6)
    np.testing.assert_array_equal(target, Y[TEST])
    store = RunStore(tmp_path / "run")
    record = fit_fold(data, Candidate("erm"), 2, QUICK, store.path("erm", 0, 0))
    stored = store.load("erm", 0, 0)
    assert stored["decisions"] == record["decisions"]
    assert stored["outputs"].shape == (300, 2)
    # Another engine has no files: the same bits from arrays that cannot be written to.
    arrays = prepare_arrays(load_rows(source), parts)
    for array in (a for pair in arrays.values() for a in pair):
        array.flags.writeable = False
    again, probabilities = fit_arrays(arrays, Candidate("erm"), 2, QUICK, 0, 0)
    np.testing.assert_array_equal(probabilities.astype(np.float32), stored["outputs"])
    assert again | {"seconds": 0} == record | {"seconds": 0}
    data.remove()
    assert not list(tmp_path.glob("seed*"))


def test_training_a_table_keeps_rows_aside():
    import pandas as pd

    frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=Y)
    training = train_table(make_table(frame, "y"), "erm", holdout=0.25, network=QUICK.network)
    assert isinstance(training, Training)
    assert len(training.held_out) == 300
    assert training.model.record["split"] == {"fit": 720, "validation": 180, "held_out": 300}
    found = training.metrics["roc_auc"]
    assert found.low < found.value < found.high


def test_held_out_figures_are_those_of_the_place_where_the_model_works():
    """At a prior of its own, the rows kept aside count by the class shares there."""
    import pandas as pd
    from sklearn.metrics import average_precision_score

    frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=Y)
    table = make_table(frame, "y")
    prior = np.array([0.99, 0.01])
    training = train_table(table, "logistic", holdout=0.25, prior=prior)
    target = table.target[training.held_out]
    scores = training.model.predict_proba(table.frame.iloc[training.held_out])[:, 1]
    weight = (prior / np.bincount(target))[target]
    expected = average_precision_score(target, scores, sample_weight=weight)
    assert training.metrics["average_precision"].value == pytest.approx(expected)
    assert expected < average_precision_score(target, scores) - 0.05


@pytest.mark.parametrize("mode", ["temperature", "vector", "isotonic", "beta", "sigmoid", "none"])
def test_every_calibration_is_fitted_stored_and_read_again(mode, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=Y)
    table = make_table(frame, "y")
    model = train_table(
        table, "logistic", calibration=mode, objective="recall@precision>=0.6", network={"epochs": 2}
    ).model
    assert model.calibrator.mode == mode
    assert model.decision.objective == "recall@precision>=0.6"
    model.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    assert again.calibrator.to_dict() == model.calibrator.to_dict()
    assert again.decision == model.decision
    np.testing.assert_array_equal(again.predict_proba(frame[:50]), model.predict_proba(frame[:50]))
    called = again.decide(again.predict_proba(frame)) == model.classes[model.positive]
    assert Y[called].mean() > 0.5


def test_a_constraint_that_cannot_be_met_is_told_in_the_decision():
    noise = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    frame = pd.DataFrame(noise, columns=list("abcdef")).assign(y=Y[:600])
    model = train_table(make_table(frame, "y"), "logistic", objective="recall@precision>=0.99").model
    assert "not attainable" in model.decision.note or model.decision.achieved < 0.3
