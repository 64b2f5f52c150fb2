"""Each check of values tells its own codes only, whatever the rows are; and the pieces that both audits share."""

import numpy as np
import pandas as pd
import pytest

from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.study.audit.groups import tell_groups
from metabalance.study.audit.intake import Roles, read_roles, table_subject
from metabalance.study.audit.kind import ask_again, asked_kind
from metabalance.study.audit.parts import Part
from metabalance.study.audit.quick_model import coarse
from metabalance.study.audit.result import concluded
from metabalance.study.audit.run import audit_subject
from metabalance.study.audit.subject import Plan
from metabalance.study.audit.times import tell_undeclared, times_in
from metabalance.study.audit.twins import comparable
from metabalance.study.values.audit.columns import check_missing_values, nearly_the_target
from metabalance.study.values.audit.density import check_density, whole_levels
from metabalance.study.values.audit.equal import check_contradictions, check_near
from metabalance.study.values.audit.order import check_order, check_value_groups
from metabalance.study.values.audit.planning import (
    check_rare_rows,
    check_value_folds,
    check_value_metric,
    value_splits,
)
from metabalance.study.values.audit.quick_model import ValueModel, check_value_signal, fit_value_model
from metabalance.study.values.audit.run import ON_MODEL, ON_ROWS, audit_values
from metabalance.study.values.audit.shape import check_shape
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject, value_subject
from metabalance.study.values.audit.ties import check_ties
from metabalance.study.values.audit.words import value_sentences

CHECKS = {
    check_density: ("MB101", "MB106", "MB108", "MB119"),
    check_shape: ("MB102", "MB104"),
    check_ties: ("MB103", "MB105", "MB111"),
    check_value_folds: ("MB016", "MB116"),
    check_value_metric: ("MB118",),
    check_contradictions: ("MB112",),
    check_near: ("MB113",),
    check_missing_values: ("MB110",),
    check_order: ("MB025", "MB114", "MB115"),
    check_value_groups: ("MB026", "MB028"),
}
ON_A_MODEL = {check_value_signal: ("MB029", "MB031"), check_rare_rows: ("MB117",)}


def frame(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    made["gap"] = np.where(rng.random(rows) < 0.3, np.nan, made["a"])
    made["customer_id"] = rng.integers(0, max(rows // 3, 1), rows)
    made["day"] = pd.date_range("2024-01-01", periods=rows, freq="h")
    return made


def nasty(rows=200):
    """Targets of every kind of trouble."""
    rng = np.random.default_rng(1)
    skewed = rng.lognormal(0, 2, rows)
    return {
        "skewed": skewed, "constant": np.full(rows, 3.0), "two": np.arange(rows) % 2.0, "grades": rng.integers(0, 7, rows),
        "tiny": skewed * 1e-12, "huge": skewed * 1e12, "sorted": np.arange(rows) * 0.5,
        "capped": np.minimum(skewed.round(2), 1.0), "coded": np.where(rng.random(rows) < 0.05, -999, skewed),
        "far": np.r_[1e9, rng.normal(size=rows - 1)], "near a million": 1e6 + rng.normal(size=rows) * 1e-3,
    }  # fmt: skip


@pytest.mark.parametrize("name", nasty())
def test_checks_tell_their_own_codes_of_any_target(name):
    made = frame().assign(y=nasty()[name])
    subjects = [
        value_subject(made, "y"),
        value_subject(made, "y", groups="customer_id", time="day"),
        value_subject(made.assign(z=made["a"]), ["y", "z"]),
    ]
    for subject in subjects:
        for check, codes in CHECKS.items():
            part = check(subject, ValuePlan())
            assert {f.code for f in part.findings} <= set(codes), check.__name__
            assert set(part.skipped) <= set(codes), check.__name__
            assert all(0 <= row < len(made) for f in part.findings for row in f.rows)


def test_every_check_is_made():
    assert {check for _, check in ON_ROWS} | {check_density} == set(CHECKS)
    assert {check: codes for codes, check in ON_MODEL} == ON_A_MODEL
    assert all(CHECKS[check] == codes for codes, check in ON_ROWS)


def test_checks_of_a_model_take_a_reason_in_its_place():
    subject = value_subject(frame(20).assign(y=np.repeat([0.5, 1.5, 2.5, 3.5], [10, 6, 3, 1])), "y")
    why = fit_value_model(subject, ValuePlan())
    assert why == "there are fewer than 30 rows"
    assert check_value_signal(subject, ValuePlan(), why).skipped == {"MB029": why, "MB031": why}
    assert check_rare_rows(subject, ValuePlan(), why).facts["rare"]["assumed"]


def test_a_model_and_what_is_told_of_it():
    subject = value_subject(frame(150).assign(y=lambda f: 3 * f["a"] + f["b"]), "y")
    assert isinstance(subject, ValueSubject)
    model = fit_value_model(subject, ValuePlan())
    assert isinstance(model, ValueModel)
    assert model.best == "ridge regression"
    assert sorted(np.unique(model.fold)) == [0, 1, 2, 3, 4]
    report = audit_values(subject, ValuePlan())
    sentences = list(value_sentences(report.facts))
    assert sentences == list(report.summary)
    assert any("ridge regression" in s for s in sentences)
    assert list(value_sentences({"values": []})) == []


def test_whole_levels():
    assert whole_levels(np.array([3.0, 5.0, 3.0])).tolist() == [3.0, 5.0]
    assert whole_levels(np.array([3.5, 5.0])) is None
    assert whole_levels(np.arange(21.0)) is None


def test_few_rows_give_nothing_away():
    made = frame(19)
    assert nearly_the_target(made[["a"]], made[["a"]].to_numpy()) == []
    made = frame(40)
    assert nearly_the_target(made[["a"]], made[["a"]].to_numpy())[0].columns == ("a",)


def test_folds_fall_back_where_groups_hold_the_rare_rows():
    y = np.r_[np.zeros(100), np.linspace(5, 9, 100)][:, None]
    groups = np.r_[np.arange(100) % 7, np.full(100, 8)]
    splits = value_splits(y, folds=4, seed=0, groups=groups)
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(200))
    assert all(not set(groups[s.train]) & set(groups[s.test]) for s in splits)
    with pytest.raises(DataError):
        value_splits(y, folds=9, seed=0, groups=groups)
    for split in value_splits(y, folds=3, seed=0, time=np.arange(200)):
        assert split.train.max() < split.test.min()


# ------------------------------------------------------------------------------------- what both share


def test_roles_of_columns():
    made = frame().assign(y=1.0)
    roles = read_roles(made, "y", groups="customer_id", time=np.arange(200), drop=("gap",))
    assert isinstance(roles, Roles)
    assert list(roles.targets.columns) == ["y"]
    assert list(roles.features.columns) == ["a", "b", "c", "d", "day"]
    kept = roles.kept(np.arange(200) >= 50)
    assert kept["position"][0] == 50
    assert (kept["groups_name"], kept["time_name"]) == ("customer_id", "time")
    assert len(kept["frame"]) == len(kept["groups"]) == len(kept["time"]) == 150
    with pytest.raises(DataError, match="add features"):
        read_roles(made[["y"]], "y")
    with pytest.raises(DataError, match="cannot also be the target"):
        read_roles(made, ["y", "y"])


def test_the_kind_that_was_asked_for():
    made = frame().assign(y=np.arange(200) % 2, z=1.5)
    assert asked_kind(made, "y", None, None) == ("y", "classes")
    assert asked_kind(made, "y", "regression", None) == ("y", "values")
    assert asked_kind(made, "a,b", None, None) == (["a", "b"], "values")
    assert asked_kind(made, ["a", "b"], None, None) == (["a", "b"], "values")
    assert asked_kind(made, list("xyx") * 66 + ["x", "y"], None, None)[1] == "classes"
    assert asked_kind(made, made["a"].to_numpy(), None, None)[1] == "values"
    assert asked_kind(made, made[["a", "b"]], None, None)[1] == "values"
    with pytest.raises(DataError, match="several targets"):
        asked_kind(made, ["a", "b"], "classification", None)


def test_classes_are_asked_again_only_where_they_are_whole_numbers():
    mute = ("MB019", "MB022", "MB023", "MB029", "MB031")
    for labels, asked in (
        (np.arange(200) % 5, True),
        (np.arange(200) % 4, False),
        (np.array(list("abcde") * 40), False),
    ):
        subject = table_subject(frame().assign(y=labels), "y")
        report = audit_subject(subject, Plan(), mute)
        assert any(f.code == "MB108" for f in ask_again(report, subject).findings) == asked


def test_what_was_found_is_ordered_muted_and_numbered_as_given():
    found = [
        Finding("MB104", "info", "b", rows=(1,)),
        Finding("MB107", "error", "a", rows=(0,)),
        Finding("MB102", "info", "c"),
    ]
    report = concluded(found, {"source": {"task": "regression"}}, {}, ("MB102",), np.array([5, 7]))
    assert [(f.code, f.rows) for f in report.findings] == [("MB107", (0,)), ("MB104", (7,))]


def test_times_and_groups_in_words():
    subject = value_subject(frame().assign(y=np.arange(200) + 0.5), "y")
    assert list(times_in(subject)) == ["day"]
    part = Part()
    tell_undeclared(
        [{"column": "day", "kind": "dates", "drifts": True}], part, lambda line: f"{line['column']} goes up"
    )
    tell_groups([{"column": "customer_id", "groups": 7, "rows_sharing": 0.5}], part, "; and so on")
    assert [f.code for f in part.findings] == ["MB025", "MB026"]
    assert part.findings[0].message.endswith("along 'day' day goes up")
    assert part.findings[1].message.endswith("on both sides; and so on")


def test_coarse_columns_keep_the_order_and_comparable_ones_the_scale():
    x = np.random.default_rng(0).normal(size=(2000, 2))
    coarsened = coarse(x)
    assert coarsened.max() <= 255
    order = np.argsort(x[:, 0])
    assert (np.diff(coarsened[order, 0]) >= 0).all()
    subject = value_subject(frame().assign(y=np.arange(200) + 0.5), "y")
    matrix, keys, hashes, within, why = comparable(subject, 0)
    assert matrix.shape == (200, 6)
    assert len(keys) == len(hashes) == 200
    assert within > 0
    assert not why
