"""The audit: each planted fault is found by its code, clean data have none, and rivals' situations are told."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metabalance.data import DataError
from metabalance.data.findings import Check, Finding, known_codes, register
from metabalance.data.images import Images
from metabalance.study.audit import Audit, audit, audit_images, audit_table
from metabalance.study.audit.intake import image_subject, table_subject
from metabalance.study.audit.rows import blocks
from metabalance.study.audit.run import audit_subject
from metabalance.study.audit.subject import Plan

NO_MODEL = ("MB019", "MB022", "MB029", "MB031")


def clean(rows=600, share=0.25, shift=2.0, seed=0):
    """Two classes, told apart well but not perfectly by two of four columns of fine numbers."""
    rng = np.random.default_rng(seed)
    y = (rng.permutation(rows) < share * rows).astype(int)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    frame["a"] += shift * y
    frame["b"] += shift * y
    frame["kind"] = rng.choice(["red", "green", "blue"], rows)
    return frame.assign(y=y)


def look(frame, target="y", *, mute=(), **options):
    """Without the quick model."""
    return audit_table(frame, target, mute=(*NO_MODEL, *mute), **options)


def found(report, *codes):
    return [f for f in report.findings if not codes or f.code in codes]


def codes(report):
    return {f.code for f in report.findings}


@pytest.mark.parametrize("seed", range(2))
def test_clean_data_have_no_warnings(seed):
    report = audit_table(clean(rows=1200, shift=3.0, seed=seed), "y")
    assert [f for f in report.findings if f.severity != "info"] == []
    assert not report.stands
    assert report.headline.startswith("Nothing stands in the way")


# ------------------------------------------------------------------------- what is planted is found


def test_a_class_of_one_row_is_never_dropped_silently():
    """AutoGluon#201: rare classes vanished before training without a word."""
    frame = clean()
    frame["y"] = frame["y"].map({0: "ok", 1: "bad"})
    frame.loc[7, "y"] = "odd"
    report = audit_table(frame, "y")
    (finding,) = found(report, "MB017")
    assert finding.severity == "error"
    assert finding.classes == ("odd",)
    assert finding.rows == (7,)
    for choice in ("keep", "merge", "refuse", "abstain"):
        assert choice in finding.message
        assert choice in finding.cure.lower()
    assert "odd" in [c["label"] for c in report.facts["classes"]]
    assert report.facts["source"]["positive"] == "bad"  # the rarest that can be learned
    assert report.facts["quick_model"]["classes_left_out"] == ["odd"]
    assert report.headline.startswith("Training would be refused")
    with pytest.raises(DataError):
        audit_table(frame.assign(y=range(len(frame))), "y")  # identifiers are still refused


def test_one_positive_row_of_two_classes():
    frame = clean()
    frame["y"] = [1] + [0] * (len(frame) - 1)
    report = audit_table(frame, "y")
    assert {"MB016", "MB017"} <= codes(report)
    assert report.skipped["MB022"].startswith("fewer than two classes")


def test_rows_without_a_class_are_told_and_left_out():
    frame = clean().assign(y=lambda f: f["y"].astype(float))
    frame.loc[[3, 10], "y"] = np.nan
    frame.loc[20, list("abcd")] = frame.loc[500, list("abcd")] + 1e-6
    frame.loc[20, ["kind", "y"]] = [frame.loc[500, "kind"], 1 - frame.loc[500, "y"]]
    report = look(frame, "y")
    (finding,) = found(report, "MB033")
    assert finding.rows == (3, 10)
    assert "2 of 600" in finding.message
    assert report.facts["source"]["rows"] == 598
    (twins,) = found(report, "MB021")  # rows keep the numbers they had in the file
    assert twins.rows == (20, 500)
    assert "21 and 501" in twins.message


def test_near_duplicates_within_and_across_classes():
    frame = clean()
    same, other = np.flatnonzero(frame["y"] == 0)[:4], np.flatnonzero(frame["y"] == 1)[:2]
    for a, b in ((same[0], same[1]), (same[2], other[0])):
        frame.loc[a, ["a", "b", "c", "d", "kind"]] = frame.loc[b, ["a", "b", "c", "d", "kind"]]
        frame.loc[a, "a"] += 1e-5
    report = look(frame.astype({"a": float, "b": float, "c": float, "d": float}), "y")
    facts = report.facts["near_duplicates"]
    assert (facts["rows_within_classes"], facts["rows_across_classes"], facts["sets"]) == (2, 2, 2)
    assert sorted(found(report, "MB020")[0].rows) == sorted(same[:2])
    assert sorted(found(report, "MB021")[0].rows) == sorted([same[2], other[0]])
    assert not {"MB007", "MB008"} & codes(report)


def test_dense_rows_are_no_twins():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(np.round(rng.normal(size=(3000, 4)), 1), columns=list("abcd"))
    frame["y"] = rng.random(3000) < 0.2
    assert not {"MB020", "MB021"} & codes(look(frame, "y"))
    report = look(frame[["a", "b", "y"]], "y")
    assert "by chance" in report.skipped["MB020"]


def test_messages_that_differ_in_digits_only_are_twins():
    rng = np.random.default_rng(0)
    words = np.array(
        [
            "win",
            "cash",
            "now",
            "call",
            "free",
            "lunch",
            "meet",
            "home",
            "late",
            "train",
            "bus",
            "money",
            "bank",
        ]
    )
    texts = [" ".join(rng.choice(words, 7)) for _ in range(200)]
    texts[5], texts[9] = "WIN 900 pounds, call 0871-4455 today", "Win 750 pounds! Call 0871 9911 today"
    report = look(pd.DataFrame({"text": texts, "y": [0, 1] * 100}), "y")
    assert 5 in found(report, "MB020")[0].rows
    assert 9 in found(report, "MB020")[0].rows


def test_missing_values_that_tell_the_class():
    frame = clean(rows=2000)
    rng = np.random.default_rng(1)
    frame["income"] = np.where(
        rng.random(2000) < np.where(frame["y"] == 1, 0.4, 0.1), np.nan, rng.normal(size=2000)
    )
    frame["age"] = np.where(rng.random(2000) < 0.3, np.nan, rng.normal(size=2000))
    report = look(frame, "y")
    (finding,) = found(report, "MB024")
    assert finding.columns == ("income",)
    lines = {line["column"]: line for line in report.facts["missing"]}
    assert lines["income"]["material"]
    assert not lines["age"]["material"]
    assert lines["income"]["share_of_class"] == pytest.approx(frame["income"][frame["y"] == 1].isna().mean())


def test_a_time_that_was_not_declared_and_its_drift():
    frame = clean(rows=2000, shift=1.0)
    late = np.sort(np.random.default_rng(0).permutation(2000))[::-1]
    y = frame["y"].to_numpy()
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(y == 1, late // 2, late), unit="h")
    report = look(frame, "y")
    (finding,) = found(report, "MB025")
    assert finding.severity == "warning"
    assert finding.columns == ("day",)
    assert "future" in finding.message
    assert "share of class 1" in finding.message
    declared = look(frame, "y", time="day")
    assert "MB027" in codes(declared)
    assert "MB025" not in codes(declared)
    assert declared.facts["time"]["drifts"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("date", [f"{d}/{m}/2020" for m in range(1, 11) for d in range(1, 21)] * 3),
        ("TransactionTime", 1_600_000_000 + np.random.default_rng(0).permutation(600)),
        ("year", np.random.default_rng(0).integers(1990, 2020, 600)),
    ],
)
def test_what_looks_like_a_time(name, values):
    assert found(look(clean().assign(**{name: values}), "y"), "MB025")[0].columns == (name,)


@pytest.mark.parametrize("name", ["lifetime_value", "date_of_birth", "update", "overtime"])
def test_what_only_sounds_like_a_time(name):
    values = 1900 + np.random.default_rng(0).integers(0, 100, 600)
    assert "MB025" not in codes(look(clean().assign(**{name: values}), "y"))


def test_a_group_that_was_not_declared():
    frame = clean()
    order = np.random.default_rng(0).permutation(600)
    owner = np.empty(600, dtype=object)
    owner[np.argsort(frame["y"].to_numpy() + 1e-9 * order)] = [f"C{i // 4:04d}" for i in range(600)]
    report = look(frame.assign(owner=owner), "y")
    (finding,) = found(report, "MB026")
    assert finding.columns == ("owner",)
    assert report.facts["groups"]["candidates"][0]["rows_sharing"] == 1
    assert "of one class in" in finding.message
    assert list(table_subject(frame.assign(owner=owner), "y").honest.columns) == ["a", "b", "c", "d", "kind"]
    declared = look(frame.assign(owner=owner), "y", groups="owner")
    assert "MB026" not in codes(declared)
    assert found(declared, "MB028")[0].severity == "info"
    numbered = frame.assign(customer_id=np.arange(600) // 3, rooms=np.arange(600) // 3)
    assert found(look(numbered, "y"), "MB026")[0].columns == ("customer_id",)


def test_declared_groups_that_hold_a_class_alone():
    frame = clean()
    frame["site"] = np.where(frame["y"] == 1, np.arange(600) % 3, 3 + np.arange(600) % 30)
    report = look(frame, "y", groups="site")
    assert {"MB016", "MB028"} <= codes(report)
    assert "3" in found(report, "MB028")[0].message
    assert report.skipped["MB018"] == "the folds cannot be made"


def test_the_order_of_rows():
    frame = clean(rows=2000).sort_values("y", ignore_index=True)
    assert "sorted by class" in found(look(frame, "y"), "MB034")[0].message
    half = pd.concat([clean(rows=1000, share=0.1), clean(rows=1000, share=0.4, seed=1)], ignore_index=True)
    assert "down the file" in found(look(half, "y"), "MB034")[0].message


def test_rare_classes_and_folds():
    frame = clean(rows=400, share=0.04)
    report = look(frame, "y", folds=5)
    assert found(report, "MB018")[0].classes == (1,)
    assert found(report, "MB030")[0].message.startswith("1 (16, 9 left)")
    assert report.facts["plan"]["fewest_in_a_test_part"] == {"0": 76, "1": 3}
    assert found(look(frame, "y", folds=17), "MB016")[0].severity == "error"
    assert "MB018" not in codes(look(clean(rows=600, share=0.2), "y", folds=5))


def test_positives_that_an_interval_needs():
    report = audit_table(clean(rows=600, share=0.1), "y", half_width=0.01)
    facts = report.facts["positives"]
    assert facts["needed"] > facts["at_hand"] == 60
    assert found(report, "MB019")[0].severity == "warning"
    pooled = audit_table(clean(rows=600, share=0.5), "y", metric="roc_auc", half_width=0.03)
    facts = pooled.facts["positives"]
    assert facts["in_a_test_part"] < facts["needed"] <= facts["at_hand"]
    assert found(pooled, "MB019")[0].severity == "info"
    assert "MB019" not in codes(audit_table(clean(), "y", half_width=0.3))
    assert "no simple rule" in audit_table(clean(), "y", metric="mcc").skipped.get("MB019", "no simple rule")


@pytest.mark.parametrize(
    ("metric", "share", "told"),
    [("accuracy", 0.05, True), ("accuracy", 0.4, False), ("brier", 0.05, True), ("log_loss", 0.4, False),
     ("roc_auc", 0.008, True), ("roc_auc", 0.1, False), ("average_precision", 0.008, False), ("recall", 0.3, True)],
)  # fmt: skip
def test_a_metric_that_hides_the_rare_class(metric, share, told):
    report = look(clean(rows=1000, share=share), "y", metric=metric)
    assert ("MB032" in codes(report)) == told
    assert report.facts["metric"]["advice"][0]["metric"] == "average_precision"


# ------------------------------------------------------- what skore's checks say, ours say at least


def test_skd004_a_majority_of_eighty_percent():
    (finding,) = found(look(clean(share=0.18), "y"), "MB015")
    assert "82.0 %" in finding.message
    assert "always answering it" in finding.message
    assert "threshold" in finding.cure
    assert "MB015" not in codes(look(clean(share=0.25), "y"))


def test_skd005_a_class_of_ten_percent():
    frame = clean()
    frame["y"] = np.where(np.arange(600) % 15 == 0, "rare", np.where(frame["y"] == 1, "some", "most"))
    (finding,) = found(look(frame, "y"), "MB015")
    assert finding.classes == ("rare",)
    assert "6.7 %, 40" in finding.message
    ten = frame.assign(y=np.arange(600) % 10)  # equal classes are not underrepresented, however small
    assert "MB015" not in codes(look(ten, "y"))


def test_skd009_no_better_than_a_dummy():
    frame = clean(shift=0.0, rows=800)
    report = audit_table(frame, "y")
    (finding,) = found(report, "MB029")
    assert "guessing" in finding.message
    low = report.facts["quick_model"]["roc_auc"]["low"]
    assert (
        low <= 0.5
        or report.facts["quick_model"]["log_loss"] >= report.facts["quick_model"]["log_loss_of_shares"]
    )
    assert "MB029" not in codes(audit_table(clean(), "y"))


def test_skd011_a_golden_feature():
    frame = clean(shift=0.5, rows=1500)
    frame["fee"] = frame["y"] + np.random.default_rng(0).normal(size=1500) * 0.35  # not perfect: no MB006
    report = audit_table(frame, "y")
    (finding,) = found(report, "MB031")
    assert finding.columns == ("fee",)
    assert report.facts["quick_model"]["best_column"] == "fee"
    assert "MB006" not in codes(report)
    perfect = audit_table(frame.assign(fee=frame["y"] * 2.0 + frame["a"] / 100), "y")
    assert found(perfect, "MB006")[0].columns == ("fee",)
    assert perfect.facts["quick_model"]["without_columns"] == ["fee"]


def test_skd013_training_on_the_future():
    frame = clean().assign(when=pd.date_range("2020-01-01", periods=600, freq="h"))
    (finding,) = found(look(frame, "y"), "MB025")
    assert "train on the future and test on the past" in finding.message
    assert "--time" in finding.cure


# ---------------------------------------------------------------------------------- the interface


def test_muted_codes_are_not_told():
    frame = clean(share=0.1)
    report = look(frame, "y", mute=["mb015", "MB020", "MB021"])
    assert "MB015" not in codes(report)
    assert report.muted == ("MB015", "MB019", "MB020", "MB021", "MB022", "MB029", "MB031")
    assert "near_duplicates" not in report.facts  # what is muted is not looked for
    status = {c["code"]: c["status"] for c in report.to_dict()["checks"]}
    assert status["MB015"] == status["MB020"] == "muted"
    with pytest.raises(DataError, match="no check 'MB999'"):
        look(frame, "y", mute=["MB999"])


def test_json_is_plain_and_its_keys_are_stable():
    report = audit_table(clean(share=0.1), "y")
    told = report.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(told) == [
        "format",
        "version",
        "headline",
        "summary",
        "counts",
        "findings",
        "checks",
        "muted",
        "facts",
    ]
    assert set(told["findings"][0]) == {
        "code", "severity", "title", "message", "explanation", "cure", "page", "columns", "classes", "row_numbers",
    }  # fmt: skip
    assert set(told["facts"]) == {
        "source", "classes", "imbalance", "plan", "metric", "near_duplicates", "overlap", "missing", "time", "groups",
        "quick_model", "label_errors", "positives",
    }  # fmt: skip
    assert [c["code"] for c in told["checks"]] == list(register())
    assert {c["status"] for c in told["checks"]} <= {"found", "clear", "skipped", "muted"}
    assert told == audit_table(clean(share=0.1), "y").to_dict()  # same data, same answer


def test_frames_matrices_and_arrays_say_the_same():
    frame = clean()
    whole = look(frame, "y")
    apart = look(frame.drop(columns="y"), frame["y"].to_numpy())
    assert [f.message for f in whole.findings] == [f.message for f in apart.findings]
    numbers = frame[list("abcd")].to_numpy()
    matrix = audit(numbers, frame["y"], mute=NO_MODEL)
    assert matrix.facts["source"]["columns"] == 4
    assert isinstance(matrix, Audit)
    by_groups = look(frame, "y", groups=np.arange(600) // 2, time=np.arange(600))
    assert by_groups.facts["groups"]["groups"] == 300
    assert by_groups.facts["time"]["declared"] == "time"
    subject = table_subject(frame, "y")
    assert audit_subject(subject, Plan(), NO_MODEL).headline == whole.headline


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "z"}, "z"),
        ({"groups": "y"}, "cannot also be the groups"),
        ({"drop": ["q"]}, "no column 'q'"),
        ({"drop": ["y"]}, "cannot be dropped"),
        ({"folds": 1}, "folds"),
        ({"half_width": 0.7}, "half_width"),
        ({"model_rows": 3}, "model_rows"),
        ({"metric": "acuracy"}, "accuracy"),
        ({"positive": "x"}, "is not a class"),
        ({"groups": [1, 2]}, "2 values for 600 rows"),
    ],
)
def test_wrong_options_are_one_sentence(options, said):
    with pytest.raises(DataError, match=said):
        audit_table(clean(), **({"target": "y"} | options))


def test_infinite_and_useless_columns_do_not_stop_an_audit():
    frame = clean().assign(k=1, e=np.nan, i=np.r_[np.inf, np.zeros(599)])
    report = audit_table(frame, "y")
    assert {"MB001", "MB002", "MB004"} <= codes(report)
    assert report.facts["quick_model"]["roc_auc"]["value"] > 0.9
    nothing = audit_table(frame[["k", "e", "y"]], "y")
    assert "MB003" in codes(nothing)
    assert nothing.skipped["MB022"] == "no column is left"


def test_images():
    rng = np.random.default_rng(0)
    labels = (np.arange(120) % 6 == 0).astype(int)
    pixels = rng.integers(0, 200, (120, 1, 12, 12)).astype(np.uint8)
    pixels[labels == 1, :, :6] //= 2
    pixels[7] = np.minimum(pixels[1].astype(int) + 1, 255)  # a frame later, one class
    images = Images(
        pixels, labels, ("no", "yes"), tuple(f"{i}.png" for i in range(120)), np.full((120, 2), 12)
    )
    report = audit_images(images)
    assert "1.png and 7.png" in found(report, "MB020")[0].message
    assert report.facts["source"]["shape"] == [1, 12, 12]
    assert report.facts["quick_model"]["roc_auc"]["value"] > 0.8
    assert json.dumps(report.to_dict(), allow_nan=False)
    assert image_subject(images).noun == "image"
    whole = blocks(np.full((1, 1, 9, 7), 255, dtype=np.uint8), 4)
    assert whole.shape == (1, 16)
    assert whole == pytest.approx(1)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_small_table_is_audited_or_refused(data):
    rows = data.draw(st.integers(3, 40))
    values = st.one_of(
        st.none(), st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=3), st.booleans()
    )
    columns = {
        f"c{i}": data.draw(st.lists(values, min_size=rows, max_size=rows))
        for i in range(data.draw(st.integers(1, 3)))
    }
    target = data.draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=rows, max_size=rows))
    try:
        report = audit_table(pd.DataFrame(columns | {"y": target}), "y")
    except DataError:
        return
    json.dumps(report.to_dict(), allow_nan=False)
    assert report.summary


def test_every_code_explains_itself():
    for code, check in register().items():
        assert isinstance(check, Check)
        assert Finding(code, check.severity, "x").page == f"docs/checks/{code}.md"
        for text in (check.title, check.looks, check.explanation, check.cure, check.ignore):
            assert len(text) > 10
    assert list(register()) == [f"MB{i:03d}" for i in range(1, len(register()) + 1)]
    assert known_codes(["MB002", " mb001", ""]) == ("MB001", "MB002")
