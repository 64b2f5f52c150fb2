"""Decisions on a scored file: never judged on the rows they were chosen on, and the same figures as by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score
from typer.testing import CliRunner

from metabalance.adjust import Decision, choose_decision, choose_threshold
from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.plain import plain
from metabalance.study.decide import Wish, decide
from metabalance.study.decide_command import decide_command, show_decision
from metabalance.study.decide_rows import decide_by_row
from metabalance.study.decision_figures import calibration_note, judged, mean, rate, told
from metabalance.study.scored import Scored, scored_table
from metabalance.study.splits import make_splits

QUICK = {"n_boot": 40}


def frame(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-(1.8 * rng.normal(size=n) - 3.2)))
    y = rng.random(n) < p
    return pd.DataFrame(
        {
            "fraud": np.where(y, "yes", "no"),
            "probability_no": 1 - p,
            "probability_yes": p,
            "amount": rng.lognormal(3, 1, n).round(2),
            "card": rng.integers(0, 300, n),
            "w": rng.integers(1, 4, n),
        }
    )


@pytest.fixture(scope="module")
def scored() -> Scored:
    return scored_table(frame(), target="fraud")


def test_each_fold_is_decided_by_what_was_chosen_on_the_others(scored):
    found = decide(scored, Wish("f1", **QUICK))
    labels = np.zeros(len(scored.target), int)
    for split, part in zip(make_splits(scored.target, folds=5, seed=0), found["parts"]):
        best = choose_threshold(scored.scores[split.train], scored.target[split.train], "f1")
        assert part["decision"]["threshold"] == best.value
        labels[split.test] = scored.scores[split.test] >= best.value
    y = scored.target
    assert found["judged"]["confusion"] == confusion_matrix(y, labels).tolist()
    assert found["judged"]["figures"]["precision"]["value"] == pytest.approx(precision_score(y, labels))
    assert found["judged"]["figures"]["recall"]["value"] == pytest.approx(recall_score(y, labels))
    everything = choose_threshold(scored.scores, y, "f1")
    assert Decision.from_dict(found["decision"]).threshold == everything.value == found["threshold"]["value"]
    assert found["threshold"]["low"] <= everything.value <= found["threshold"]["high"]


def test_by_halves_nothing_of_the_judged_half_is_seen(scored):
    found = decide(scored, Wish("g_mean", judge="half", **QUICK))
    split = make_splits(scored.target, folds=2, seed=0)[0]
    p, y = scored.scores[split.train], scored.target[split.train]
    assert found["decision"]["threshold"] == choose_threshold(p, y, "g_mean").value
    assert found["judged"]["rows"] == len(split.test)
    # Other scores on the judged half change no choice.
    turned = scored_table(frame(), target="fraud")
    turned.scores[split.test] = np.random.default_rng(0).permutation(turned.scores[split.test])
    again = decide(turned, Wish("g_mean", judge="half", **QUICK))
    assert again["threshold"] == found["threshold"]
    assert again["judged"]["confusion"] != found["judged"]["confusion"]


def test_on_noise_the_judged_figure_is_not_flattered():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"y": ["a"] * 900 + ["b"] * 100, "s": rng.random(1000)})
    found = decide(scored_table(table, target="y", score="s"), Wish("recall@precision>=0.2", **QUICK))
    limit = found["judged"]["constraint"]
    assert limit["value"] is None or limit["low"] < 0.2
    assert limit["held"] is not True


def test_what_cannot_be_had_is_said(scored):
    found = decide(scored, Wish("recall@precision>=0.99", confidence=0.95, **QUICK))
    assert not found["attainable"]
    assert "not attainable" in found["notes"][0]
    assert found["threshold"]["not_attainable_share"] == 1
    assert found["threshold"]["low"] is None
    assert found["threshold"]["parts"] == [None] * 5


def test_a_threshold_behind_which_few_alerts_stand_is_told(scored):
    found = decide(scored, Wish("recall@precision>=0.75", **QUICK))
    assert any("alerts stand behind" in note for note in found["notes"])


def test_alerts_are_counted_by_the_day_and_the_limit_is_judged(scored):
    found = decide(scored, Wish("alerts<=50", rows_per_day=1000, **QUICK))
    figures = found["judged"]["figures"]
    assert figures["alerts"]["value"] == pytest.approx(1000 * figures["alert_rate"]["value"])
    limit = found["judged"]["constraint"]
    assert limit["value"] == figures["alerts"]["value"]
    assert 30 < limit["value"] < 70
    wide = decide(scored, Wish("specificity>=0.5", **QUICK))["judged"]
    assert wide["constraint"]["value"] == pytest.approx(1 - wide["figures"]["fpr"]["value"])


def test_costs_of_classes_and_of_rows(scored):
    found = decide(scored, Wish("cost", cost=((0, 1), (30, 0)), **QUICK))
    table = np.array(found["judged"]["confusion"])
    assert found["judged"]["figures"]["cost per row"]["value"] == pytest.approx(
        (table[0, 1] + 30 * table[1, 0]) / table.sum()
    )
    rows = decide(scored, Wish(cost_columns={"fn": "amount", "fp": 5.0}, **QUICK))
    amount, p, y = scored.frame["amount"].to_numpy(), scored.scores, scored.target
    called = (p * amount > (1 - p) * 5).astype(int)
    paid = np.where(called == 1, 5 * (1 - y), amount * y)
    assert rows["judged"]["total_cost"]["by row"] == pytest.approx(paid.sum())
    assert rows["judged"]["confusion"] == confusion_matrix(y, called).tolist()
    assert rows["judged"]["total_cost"]["no alarm"] == pytest.approx((amount * y).sum())
    assert rows["judged"]["total_cost"]["by row"] < rows["judged"]["total_cost"]["one threshold"]
    saved = rows["judged"]["figures"]["saved per row against no alarm"]["value"]
    assert saved == pytest.approx(((amount * y) - paid).mean())
    assert rows["notes"] == []


def test_probabilities_that_promise_too_much_are_told(scored):
    table = frame().assign(probability_yes=lambda f: np.sqrt(f.probability_yes))
    table["probability_no"] = 1 - table.probability_yes
    found = decide(
        scored_table(table, target="fraud"), Wish(cost_columns={"fn": "amount", "fp": 5.0}, **QUICK)
    )
    assert "only right for calibrated ones" in found["notes"][0]


def test_groups_stay_on_one_side_and_widen_the_intervals():
    table = frame()
    table = pd.concat([table] * 4, ignore_index=True)  # each row four times: one group
    group = np.tile(np.arange(1500), 4).astype(str)
    scored = scored_table(table, target="fraud")
    alone = decide(scored, Wish("f1", **QUICK))["judged"]["figures"]["recall"]
    together = decide(scored, Wish("f1", **QUICK), group)["judged"]["figures"]["recall"]
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])
    assert together["method"] == "percentile"


def test_weights_count(scored):
    weighted = scored_table(frame(), target="fraud", weight="w")
    found = decide(weighted, Wish("f1", **QUICK))["judged"]
    assert np.sum(found["confusion"]) == frame()["w"].sum()
    assert found["figures"]["recall"]["high"] - found["figures"]["recall"]["low"] > 0


@pytest.mark.parametrize("per_class", [False, True])
def test_several_classes(per_class):
    rng = np.random.default_rng(0)
    y = rng.choice(3, 900, p=[0.7, 0.2, 0.1])
    p = rng.dirichlet([2, 1, 0.5], size=900) + 0.7 * np.eye(3)[y]
    p /= p.sum(1, keepdims=True)
    table = pd.DataFrame(p, columns=[f"probability_{c}" for c in "abc"]).assign(y=np.array(list("abc"))[y])
    scored = scored_table(table, target="y")
    found = decide(scored, Wish("f1", per_class=per_class, **QUICK))
    assert found["threshold"] is None
    assert len(found["decision"]["multipliers"]) == 3
    confusion = np.array(found["judged"]["confusion"])
    assert found["judged"]["figures"]["recall of c"]["value"] == pytest.approx(
        confusion[2, 2] / confusion[2].sum()
    )
    if not per_class:
        assert found["decision"] == choose_decision(p, y).to_dict()
    with pytest.raises(DataError, match="two classes"):
        decide(scored, Wish("fpr<=0.1"))
    with pytest.raises(DataError, match="two classes"):
        decide(scored, Wish(cost_columns={"fn": 1.0, "fp": 1.0}))


def test_the_figures_alone(scored):
    y = np.array([0, 0, 1, 1, 1])
    wish = Wish(**QUICK)
    share = rate(np.array([0, 0, 1, 1, 0], bool), y == 1, y, np.ones(5), None, wish)
    assert share.value == pytest.approx(2 / 3)
    assert rate(y == 1, y == 7, y, np.ones(5), None, wish).reason == "there are no such rows"
    assert mean(np.arange(5.0), y, np.ones(5), None, wish).value == 2
    assert plain(float("nan")) is None
    assert told(share)["method"] == "wilson"
    assert callable(judged)
    assert callable(decide_by_row)
    assert calibration_note.__doc__


def run(*arguments):
    return CliRunner().invoke(app, ["decide", *[str(a) for a in arguments]])


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("scored") / "scored.csv"
    frame(600).to_csv(path, index=False)
    return path


def test_the_command_prints_and_writes_and_overwrites_nothing(csv, tmp_path):
    out = tmp_path / "decision.json"
    done = run(csv, "--target", "fraud", "--objective", "precision@recall>=0.6", "--out", out)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "Decision: yes from a probability of" in text
    assert "each fold of 5 by what was chosen on the others" in text
    stored = json.loads(out.read_text())
    assert stored["format"] == "metabalance-decision"
    assert (
        Decision.from_dict(stored["decision"]).objective == "precision@recall>=0.6"
        or "recall>=" in stored["objective"]
    )
    again = run(csv, "--target", "fraud", "--out", out)
    assert again.exit_code == 2
    assert "exists" in again.output
    assert (
        run(
            csv, "--target", "fraud", "--alerts", 20, "--rows-per-day", 600, "--out", out, "--overwrite"
        ).exit_code
        == 0
    )
    assert json.loads(out.read_text())["objective"] == "alerts<=20"


def test_the_command_by_row_and_by_halves(csv):
    text = " ".join(run(csv, "--target", "fraud", "--cost-columns", "fn=amount,fp=5").output.split())
    assert "each row the class of least expected cost, with fn=amount, fp=5" in text
    assert "saved per row against one threshold" in text
    text = " ".join(run(csv, "--target", "fraud", "--cost", "fn=50,fp=1", "--judge", "half").output.split())
    assert "chosen on one half, judged on the other" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "accuracy"], "unknown"),
        (["--objective", "precision<=0.9"], "limited by >="),
        (["--objective", "alerts<=5"], "--rows-per-day"),
        (["--objective", "cost"], "needs costs"),
        (["--confidence", "0.95"], "for a constraint"),
        (["--objective", "fpr<=0.1", "--confidence", "2"], "between 0 and 1"),
        (["--level", "0"], "between 0 and 1"),
        (["--judge", "all"], "use folds or half"),
        (["--cost", "fn=1"], "lacks a cost"),
        (["--cost", "nowhere.json"], "no file"),
        (["--cost-columns", "fn=price,fp=1"], "neither a number nor a column"),
        (["--cost-columns", "fn=fraud,fp=1"], "no finite number"),
        (["--cost-columns", "fn=1,fp=1", "--objective", "f1"], "leave out"),
        (["--alerts", "5", "--objective", "fpr<=0.1", "--rows-per-day", "10"], "one already"),
        (["--groups", "nothing"], "nothing"),
        (["--folds", "5000"], "folds"),
    ],
)
def test_bad_usage_is_one_sentence_and_status_2(csv, arguments, message):
    done = run(csv, "--target", "fraud", *arguments)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())


def test_scores_that_are_no_probabilities_are_refused(tmp_path):
    table = frame(200).assign(margin=lambda f: 5 * f.probability_yes)[["fraud", "margin"]]
    table.to_csv(tmp_path / "m.csv", index=False)
    done = run(tmp_path / "m.csv", "--target", "fraud", "--score", "margin")
    assert done.exit_code == 2
    assert "calibrate" in done.output
    assert callable(decide_command)
    assert callable(show_decision)
