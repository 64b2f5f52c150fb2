"""`metabalance judge`: its figures are judge's own, undefined ones say why, and one pass agrees with all at once."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance import judge
from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.study.judging import judge_scored, rates
from metabalance.study.judging_priors import at_priors, parse_priors
from metabalance.study.judging_stream import judge_stream
from metabalance.study.scored import scored_table

FAST = ("--resamples", "30")


def frame(n=400, seed=0, rare="fraud"):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.15
    p = 1 / (1 + np.exp(-rng.normal(3 * y - 3)))
    table = pd.DataFrame(
        {"y": np.where(y, rare, "legal"), "probability_legal": 1 - p, f"probability_{rare}": p}
    )
    table["country"] = rng.choice(["DE", "FR"], n)
    table["amount"] = rng.integers(1, 5, n)
    return table


def many(n=300, seed=1):
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.7, 0.2, 0.1])
    z = rng.normal(size=(n, 3))
    z[np.arange(n), y] += 1
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    table = pd.DataFrame(p, columns=[f"probability_{c}" for c in "abc"])
    table["y"] = np.array(list("abc"))[y]
    return table


def run(*arguments):
    return CliRunner().invoke(app, ["judge", *map(str, arguments)])


def refused(result, *said):
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in said), lines[0]


def values(result):
    return {m["name"]: m["value"] for m in result["metrics"]}


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "scored.csv"
    frame().to_csv(path, index=False)
    return path


def test_figures_are_those_of_judge(csv, tmp_path):
    out = tmp_path / "out.json"
    done = run(csv, "--target", "y", "--groups", "country", "--cost", "fn=50,fp=1", "--json", out, *FAST)
    assert done.exit_code == 0, done.output
    told, table = json.loads(out.read_text()), frame()
    p, y = table["probability_fraud"].to_numpy(), (table["y"] == "fraud").to_numpy().astype(int)
    found = values(told)
    assert told["positive"] == "fraud"
    assert found["average_precision"] == pytest.approx(judge.average_precision(p, y))
    assert found["f1"] == pytest.approx(judge.f_beta(p, y))
    assert found["expected_cost"] == pytest.approx(
        judge.expected_cost((p > 0.5).astype(int), y, cost=[[0, 1], [50, 0]])
    )
    assert [c["class"] for c in told["per_class"]] == ["legal", "fraud"]
    assert told["per_class"][1]["recall"]["value"] == pytest.approx(found["recall"])
    assert told["per_class"][0]["recall"]["value"] == pytest.approx(found["specificity"])
    assert told["per_class"][0]["average_precision"] == pytest.approx(judge.average_precision(-p, 1 - y))
    rows = (table["country"] == "DE").to_numpy()
    group = next(g for g in told["per_group"] if g["group"] == "DE")
    assert values(group)["roc_auc"] == pytest.approx(judge.roc_auc(p[rows], y[rows]))
    assert "Recall at precision 0.9" in done.output
    assert "Each group" in done.output


def test_intervals_enclose_the_value_and_say_how_they_were_made():
    result = judge_scored(
        scored_table(frame(), target="y"), ["recall", "roc_auc", "f1", "accuracy"], resamples=30
    )
    assert [m["method"] for m in result["metrics"]] == ["wilson", "newcombe", "bca", "wilson"]
    for m in result["metrics"]:
        assert m["low"] <= m["value"] <= m["high"]


def test_weights_count_everywhere_and_take_wilson_away():
    table = frame()
    result = judge_scored(scored_table(table, target="y", weight="amount"), ["recall", "brier"], resamples=30)
    p, y, w = table["probability_fraud"], (table["y"] == "fraud").astype(int), table["amount"]
    assert values(result) == pytest.approx({"recall": judge.recall(p, y, w), "brier": judge.brier(p, y, w)})
    assert result["metrics"][0]["method"] == "bca"
    assert np.isnan(result["per_class"][1]["recall"]["low"])


def test_many_classes():
    result = judge_scored(scored_table(many(), target="y"), resamples=20)
    assert all(np.isfinite(m["value"]) for m in result["metrics"])
    assert len(result["per_class"]) == 3
    refusal = judge_scored(scored_table(many(), target="y"), ["h_measure"], resamples=20)["metrics"][0]
    assert "is for two classes" in refusal["reason"]


def test_the_undefined_is_null_with_its_reason(tmp_path):
    table, out = frame(), tmp_path / "o.json"
    table["y"] = "legal"
    table.to_csv(tmp_path / "one.csv", index=False)
    done = run(tmp_path / "one.csv", "--target", "y", "--positive", "fraud", "--json", out, *FAST)
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    area = next(m for m in told["metrics"] if m["name"] == "roc_auc")
    assert area["value"] is None
    assert area["reason"] == "the positive class has no rows"
    assert "fraud has no rows" in done.output


def test_scores_that_are_no_probabilities():
    table = frame()
    table["score"] = np.log(table["probability_fraud"] / table["probability_legal"])
    result = judge_scored(scored_table(table, target="y", score="score"), resamples=20)
    found = {m["name"]: m for m in result["metrics"]}
    assert np.isfinite(found["average_precision"]["value"])
    assert "probabilities" in found["brier"]["reason"]
    assert "--decision" in found["f1"]["reason"]


def test_decisions_in_the_file_are_the_ones_judged():
    table = frame()
    table["decision"] = np.where(table["probability_fraud"] > 0.1, "fraud", "legal")
    result = judge_scored(scored_table(table, target="y"), ["recall"], resamples=20)
    label = (table["decision"] == "fraud").to_numpy().astype(int)
    assert values(result)["recall"] == judge.recall(label, (table["y"] == "fraud").astype(int))
    assert result["decision"] == "the decisions in the file"


def test_rates_of_a_class_that_is_never_there():
    found = rates(np.array([[5.0, 2.0], [0.0, 0.0]]), 1, 0.95)
    assert np.isnan(found["recall"].value)
    assert np.isnan(found["precision"].value)
    assert found["specificity"].value == pytest.approx(5 / 7)


def test_few_positives_and_many_groups_are_said():
    table = frame(120)
    table["customer"] = np.arange(120) // 4
    result = judge_scored(scored_table(table, target="y", groups="customer"), ["recall"], resamples=20)
    assert any("fraud has" in note for note in result["notes"])
    assert any("20 largest of 30 groups" in note for note in result["notes"])


# -------------------------------------------------------------------------------------------- one pass


@pytest.mark.parametrize(
    ("made", "rare"), [(frame, "fraud"), (lambda: frame(rare="zombie"), "zombie"), (many, "c")]
)
def test_one_pass_agrees_with_all_at_once(tmp_path, made, rare, monkeypatch):
    monkeypatch.setattr("metabalance.study.judging_stream.BATCH", 64)
    made().to_parquet(tmp_path / "s.parquet")
    options = {"target": "y", "score": None, "positive": None, "decision": None, "weight": None}
    streamed = judge_stream(tmp_path / "s.parquet", metrics=(), level=0.95, **options)
    names = [m["name"] for m in streamed["metrics"]]
    whole = judge_scored(scored_table(made(), target="y"), names, resamples=10)
    for key in ("classes", "positive", "counts", "rows"):
        assert streamed[key] == whole[key]
    assert streamed["positive"] == rare
    for ours, exact in zip(streamed["metrics"], whole["metrics"]):
        assert ours["value"] == pytest.approx(exact["value"], abs=5e-3), ours["name"]
        if ours["kind"] == "score":
            assert ours["low"] - 1e-9 <= exact["value"] <= ours["high"] + 1e-9
        if ours["method"] == "wilson":
            assert (ours["low"], ours["high"]) == pytest.approx((exact["low"], exact["high"]))


def test_one_pass_with_numbers_as_classes_decisions_and_weights(tmp_path):
    table = frame()
    table = table.assign(
        y=(table["y"] == "fraud").astype(int), decision=(table["probability_fraud"] > 0.2).astype(float)
    )
    table.to_parquet(tmp_path / "s.parquet")
    done = run(tmp_path / "s.parquet", "--target", "y", "--score", "probability_fraud", "--positive", "1",
               "--decision", "decision", "--weight", "amount", "--metrics", "recall,brier", "--stream",
               "--json", tmp_path / "o.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    p, y, w, label = (table[c].to_numpy() for c in ("probability_fraud", "y", "amount", "decision"))
    found = values(json.loads((tmp_path / "o.json").read_text()))
    expected = {"recall": judge.recall(label.astype(int), y, w), "brier": judge.brier(p, y, w)}
    assert found == pytest.approx(expected)


# ------------------------------------------------------------------------------------------- refusals


def test_bad_input_is_one_sentence(csv, tmp_path):
    table = frame()
    table.to_parquet(tmp_path / "s.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    table.iloc[:0].to_parquet(tmp_path / "empty.parquet")
    table.assign(y=table["y"].where(table.index > 0)).to_parquet(tmp_path / "missing.parquet")
    table.assign(probability_fraud=7.0).to_parquet(tmp_path / "seven.parquet")
    (tmp_path / "there.json").touch()
    target = ("--target", "y")
    refused(run(csv, "--target", "nothing"), "nothing")
    refused(run(csv, *target, "--metrics", "roc_auk"), "did you mean 'roc_auc'")
    refused(run(csv, *target, "--metrics", "expected_cost"), "cost matrix")
    refused(run(csv, *target, "--level", "95"), "--level")
    refused(run(csv, *target, "--positive", "x"), "'x' is not a class")
    refused(run(csv, *target, "--json", tmp_path / "there.json"), "exists", "--json")
    refused(run(csv, *target, "--stream"), "reads Parquet")
    refused(run(tmp_path / "no.parquet", *target, "--stream"), "does not exist")
    refused(run(tmp_path / "broken.parquet", *target, "--stream"), "no parquet file")
    refused(run(tmp_path / "empty.parquet", *target, "--stream"), "no rows")
    refused(run(tmp_path / "missing.parquet", *target, "--stream"), "missing")
    refused(run(tmp_path / "seven.parquet", *target, "--stream"), "probabilities")
    refused(run(tmp_path / "s.parquet", "--target", "z", "--stream"), "no column 'z'")
    refused(run(tmp_path / "s.parquet", *target, "--stream", "--groups", "country"), "--stream")
    refused(run(tmp_path / "s.parquet", *target, "--stream", "--metrics", "roc_auc_ovo"), "histograms")
    refused(run(tmp_path / "s.parquet", *target, "--stream", "--weight", "absent"), "absent")


# ------------------------------------------------------------------------------------ against other scores


def test_other_scores_of_the_same_rows_are_compared_in_pairs(tmp_path):
    rng = np.random.default_rng(0)
    table = frame(800)
    table["same"] = table.probability_fraud
    table["blind"] = rng.random(len(table))
    table.to_csv(tmp_path / "s.csv", index=False)
    done = run(
        tmp_path / "s.csv", "--target", "y", "--positive", "fraud", "--against", "same,blind",
        "--metrics", "average_precision,brier,f1", "--resamples", 200, "--json", tmp_path / "j.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = {m["name"]: m for m in json.loads((tmp_path / "j.json").read_text())["against"]}
    assert set(found) == {"average_precision", "brier"}, "f1 judges decisions, not scores"
    truth = (table.y == "fraud").astype(int)
    for name, metric in found.items():
        same, blind = metric["rows"]
        assert (same["difference"], same["verdict"]) == (0, "not distinguishable")
        assert blind["verdict"] == "worse", "for the Brier score, too, of which less is better"
        own, other = (
            judge.get_metric(name)(table.probability_fraud, truth),
            judge.get_metric(name)(table.blind, truth),
        )
        assert blind["difference"] == pytest.approx(other - own)
        assert blind["sentence"] in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--against", "gone"], ["'gone'"]),
        (["--against", "country"], ["'country'", "no finite number"]),
        (["--against", "amount", "--metrics", "brier"], ["probabilities", "'amount'"]),
        (["--against", "amount", "--metrics", "f1"], ["of decisions"]),
        (["--against", "amount", "--stream"], ["--against"]),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(csv, options, said):
    refused(run(csv, "--target", "y", *options), *said)


def test_several_classes_are_not_compared(tmp_path):
    many().to_csv(tmp_path / "m.csv", index=False)
    refused(run(tmp_path / "m.csv", "--target", "y", "--against", "probability_a"), "two classes")


# ---------------------------------------------------------------------------------------- at other shares


def test_at_its_own_share_nothing_changes_and_elsewhere_precision_follows_bayes(tmp_path):
    table = frame(1000)
    table.to_csv(tmp_path / "s.csv", index=False)
    own = float((table.y == "fraud").mean())
    done = run(
        tmp_path / "s.csv", "--target", "y", "--positive", "fraud", "--priors", f"{own!r},1%", "--resamples", 50,
        "--json", tmp_path / "j.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "j.json").read_text())
    as_it_is = values(result)
    found = {m["name"]: m["points"] for m in result["priors"]}
    for name, points in found.items():
        assert points[0]["value"] == pytest.approx(as_it_is[name])
    hit, alarm = as_it_is["recall"], 1 - as_it_is["specificity"]
    assert found["precision"][1]["value"] == pytest.approx(0.01 * hit / (0.01 * hit + 0.99 * alarm))
    assert found["recall"][1]["value"] == pytest.approx(hit)
    assert found["roc_auc"][1]["value"] == pytest.approx(as_it_is["roc_auc"])
    assert found["average_precision"][1]["value"] < as_it_is["average_precision"]
    assert "1 %" in done.output


@pytest.mark.parametrize("text", ["0", "1", "2", "-1%", "some", "0.1,"])
def test_no_share_is_one_sentence(csv, text):
    refused(run(csv, "--target", "y", "--priors", text), "no share of positives")
    with pytest.raises(DataError):
        parse_priors(text)


def test_priors_need_two_classes_with_rows(tmp_path):
    many().to_csv(tmp_path / "m.csv", index=False)
    refused(run(tmp_path / "m.csv", "--target", "y", "--priors", "0.1"), "two classes")
    table = frame()
    table[table.y == "legal"].to_csv(tmp_path / "one.csv", index=False)
    refused(run(tmp_path / "one.csv", "--target", "y", "--priors", "0.1"), "only one")


def test_without_decisions_only_scores_are_weighted():
    table = frame().assign(margin=lambda t: 10 * t.probability_fraud)
    scored = scored_table(table, target="y", score="margin", positive="fraud")
    assert [m["name"] for m in at_priors(scored, None, [0.1], resamples=20)] == [
        "average_precision",
        "roc_auc",
    ]
