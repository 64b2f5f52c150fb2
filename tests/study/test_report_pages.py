"""The pages of a run, a model and a scored file, from the command line."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from test_report import Reader, comparison, recipe
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.judge import average_precision, roc_auc, subpopulation_bias
from metabalance.plain import plain
from metabalance.study.evidence import evidence, training_record
from metabalance.study.load import make_table
from metabalance.study.report.command import report_command
from metabalance.study.report.explorer import as_json, costs_of, explorer_view
from metabalance.study.report.page import TEMPLATES, write_page
from metabalance.study.report.single import evidence_of, single_view
from metabalance.study.scored import scored_table
from metabalance.study.ship import TrainedModel
from metabalance.study.summary import read_results, write_results
from metabalance.study.train import train_table

HOSTILE = "</script><script>alert(1)</script>"


def frame_of(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    target = (rng.random(rows) < 0.15).astype(int)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)) + target[:, None], columns=["a", "b", "c"])
    frame["fraud"] = np.where(target, "yes", "no")
    frame["bank"] = np.where(np.arange(rows) % 3, "north", HOSTILE)
    return frame


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def read(path):
    html = path.read_text(encoding="utf-8")
    return html, Reader(html)


@pytest.fixture
def scored_file(tmp_path):
    frame = frame_of()
    frame["score"] = 1 / (1 + np.exp(-frame[["a", "b"]].sum(axis=1) + 2.5))
    frame.to_csv(tmp_path / "scored.csv", index=False)
    return tmp_path / "scored.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "model"
    table = make_table(frame_of().drop(columns="bank"), "fraud", name="cards.csv")
    train_table(
        table, "focal", holdout=0.3, network={"epochs": 4, "hidden": (8,), "batch_size": 64}
    ).model.save(folder)
    return folder


# --------------------------------------------------------------------------------------- a scored file


def test_a_scored_file(scored_file, tmp_path):
    out = tmp_path / "r.html"
    done = run(
        scored_file, "--target", "fraud", "--score", "score", "--positive", "yes", "--groups", "bank",
        "--cost", "fn=20,fp=1", "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    html, reader = read(out)
    frame = pd.read_csv(scored_file)
    truth = (frame.fraud == "yes").astype(int)
    assert f"ROC AUC {roc_auc(frame.score, truth):.3f}" in reader.words
    assert f"Average precision is {average_precision(frame.score, truth):.3f}" in reader.words
    assert "threshold 0.04762" in reader.words, "one in twenty-one, for these costs"
    assert HOSTILE in reader.words
    assert html.count("<script") == 2, "the explorer's data and the explorer"
    for heading in (
        "All figures",
        "Ranking and calibration",
        "Group by group",
        "Whose mistakes average precision sees",
        "Choose a threshold",
        "papers",
    ):
        assert heading in reader.words
    assert "@article{delong1988" in html
    assert "@inproceedings{mcdermott2024" in html, "whose finding the section on groups is"
    bias = subpopulation_bias(frame.score, truth, frame.bank.astype(str))
    assert f"{bias.groups[0].average_precision_at_common_prevalence:.3f}" in reader.words


def test_the_page_can_be_read_without_its_script(scored_file, tmp_path):
    run(scored_file, "--target", "fraud", "--score", "score", "--out", tmp_path / "r.html")
    html, reader = read(tmp_path / "r.html")
    assert '<div class="explorer" hidden>' in html, "what cannot work is not shown"
    assert "Key thresholds" in reader.words
    assert re.search(r"finds 80 % 0\.\d+ \d+", reader.words)


def test_headings_go_down_one_by_one_and_tables_are_named(scored_file, tmp_path):
    run(scored_file, "--target", "fraud", "--score", "score", "--out", tmp_path / "r.html")
    html, reader = read(tmp_path / "r.html")
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert html.count("<table") == html.count("<caption") > 3
    for landmark in ("<header>", "<main id=", "<footer>", "<nav "):
        assert html.count(landmark) == 1
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "missing option '--target'"),
        (["--target", "none"], "there is no column 'none'"),
        (["--target", "fraud", "--score", "nope"], "has no column 'nope'"),
        (["--target", "fraud", "--score", "score", "--groups", "gone"], "'gone'"),
        (["--target", "fraud", "--score", "score", "--data", "x.csv"], "--data goes with a model folder"),
        (["--target", "fraud", "--score", "score", "--cost", "fn=a"], "fn"),
        (["--target", "fraud", "--score", "score", "--out", "r.pdf"], "must end in .html"),
    ],
)
def test_bad_input_is_one_sentence(scored_file, tmp_path, options, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(scored_file, *options)
    assert done.exit_code == 2
    message = done.stderr.strip()
    assert said in message
    assert "\n" not in message
    assert not (tmp_path / "report.html").exists()


def test_nothing_is_overwritten_unasked(scored_file, tmp_path):
    out = tmp_path / "r.html"
    out.write_text("mine")
    assert run(scored_file, "--target", "fraud", "--score", "score", "--out", out).exit_code == 2
    assert out.read_text() == "mine"
    assert (
        run(scored_file, "--target", "fraud", "--score", "score", "--out", out, "--overwrite").exit_code == 0
    )
    assert out.read_text() != "mine"


@pytest.mark.parametrize("scores", ["constant", "no probabilities", "one class", "weights"])
def test_strange_files(tmp_path, scores):
    frame = frame_of(60)
    frame["score"] = {"constant": 0.5, "no probabilities": frame.a * 100}.get(scores, np.linspace(0, 1, 60))
    if scores == "one class":
        frame["fraud"] = "no"
        frame["probability_yes"] = frame.pop("score")
        frame["probability_no"] = 1 - frame["probability_yes"]
    frame["w"] = np.arange(60) % 4
    frame.to_csv(tmp_path / "s.csv", index=False)
    chosen = [] if scores == "one class" else ["--score", "score"]
    chosen += ["--weight", "w"] if scores == "weights" else []
    done = run(tmp_path / "s.csv", "--target", "fraud", *chosen, "--out", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    _, reader = read(tmp_path / "r.html")
    if scores == "one class":
        assert "No row is yes" in reader.words
        assert "undefined" in reader.words
    if scores == "no probabilities":
        assert "which flatters" in reader.words
        assert "Brier" not in reader.words


# --------------------------------------------------------------------------------------------- a model


def test_a_model_shows_what_was_recorded_when_it_was_fitted(model, tmp_path):
    done = run(model, "--out", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    _, reader = read(tmp_path / "r.html")
    for expected in (
        "held-out",
        "validation",
        "How training went",
        "focal",
        "cards.csv, 400 rows",
        "optimistic",
    ):
        assert expected in reader.words, expected
    assert "\n  title         = {{Focal Loss" in "".join(reader.text), "BibTeX keeps its lines"


def test_a_model_with_new_rows(model, tmp_path):
    frame = frame_of(seed=5)
    frame.to_csv(tmp_path / "test.csv", index=False)
    done = run(model, "--data", tmp_path / "test.csv", "--groups", "bank", "--out", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    _, reader = read(tmp_path / "r.html")
    trained = TrainedModel.load(model)
    scores = trained.predict_proba(frame)[:, trained.positive]
    assert f"ROC AUC {roc_auc(scores, (frame.fraud == 'yes').astype(int)):.3f}" in reader.words
    assert "Group by group" in reader.words


def test_what_is_recorded_of_a_fit(model):
    trained = TrainedModel.load(model)
    history = trained.evidence["training"]
    assert history["monitor_name"] == "average_precision"
    assert len(history["epoch"]) == len(history["train_loss"]) == 4
    assert trained.evidence["held_out"]["rows"] == 120
    assert trained.evidence["validation"]["estimates"][0]["name"] == "roc_auc"
    assert "evidence.json" in json.loads((model / "manifest.json").read_text())["files"], "under its hash"


def test_a_model_without_records_says_so(model, tmp_path):
    bare = TrainedModel.load(model)
    bare.evidence = {}
    bare.save(tmp_path / "old")
    done = run(tmp_path / "old", "--out", tmp_path / "r.html")
    assert done.exit_code == 2
    assert "give --data" in done.stderr
    assert run(model, "--groups", "bank", "--out", tmp_path / "r.html").exit_code == 2
    assert run(tmp_path, "--out", tmp_path / "r.html").exit_code == 2


def test_a_long_history_is_thinned_and_keeps_its_best():
    class Model:
        class history_:
            epochs = [{"epoch": i, "train_loss": 1.0, "monitor": float("nan")} for i in range(1_000)]  # noqa: RUF012
            best_epoch, stopped = 777, "finished"

    record = training_record(Model, "f1")
    assert len(record["epoch"]) <= 202
    assert {0, 777, 999} <= set(record["epoch"])
    assert record["monitor"][0] is None
    assert training_record(object(), "f1") is None


# ----------------------------------------------------------------------------------------------- a run


def test_a_run_is_shown_again_as_it_was(tmp_path):
    result = comparison(recipe("focal", 0.78, p=0.001)) | {"rows": [{"recipe": "erm", "f1": 0.5}]}
    scores = np.linspace(0, 1, 1_000)
    found = evidence(scores, (scores > 0.97).astype(int), ["no", "yes"], 1)
    for one in result["recipes"]:
        one["evidence"] = found
    write_results(result, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{}")
    done = run(tmp_path / "run", "--out", tmp_path / "again.html")
    assert done.exit_code == 0, done.output
    first, again = (p.read_text() for p in (tmp_path / "run" / "report.html", tmp_path / "again.html"))
    assert first == again
    assert "Choose a threshold" in first
    kept = [r["name"] for r in read_results(tmp_path / "run")["recipes"] if "evidence" in r]
    assert kept == ["focal"], "the advised one"
    refused = run(tmp_path / "run", "--target", "y", "--out", tmp_path / "x.html")
    assert refused.exit_code == 2
    (tmp_path / "run" / "advice.json").write_text("{")
    assert "compare again" in run(tmp_path / "run", "--out", tmp_path / "x.html").stderr


# ------------------------------------------------------------------------------------ the page's parts


def test_json_in_a_script_cannot_end_it():
    text = as_json({"a": HOSTILE, "b": "&<!--\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": HOSTILE, "b": "&<!--\u2028"}


def test_costs_of_a_matrix_are_those_of_the_positive_class():
    assert costs_of([[0.5, 1], [50, -2]], 1) == {"fn": 50, "fp": 1, "tp": -2, "tn": 0.5}
    assert costs_of([[0.5, 1], [50, -2]], 0) == {"fn": 1, "fp": 50, "tp": 0.5, "tn": -2}
    assert costs_of(None, 1) == {"fn": 1, "fp": 1, "tp": 0, "tn": 0}


def test_key_thresholds_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    truth = (rng.random(500) < 0.2).astype(int)
    scores = (rng.random(500) + truth).round(2)
    found = evidence(scores, truth, ["no", "yes"], 1)
    rows = {key["name"]: key for key in explorer_view(found, cost=[[0, 1], [5, 0]])["keys"]}
    threshold = float(rows["finds 80 %"]["threshold"])
    called = scores >= threshold
    assert truth[called].sum() >= 0.8 * truth.sum()
    assert truth[scores > scores[called].min()].sum() < 0.8 * truth.sum()
    best = min((5 * truth[scores < t].sum() + (1 - truth)[scores >= t].sum()) / 500 for t in scores)
    assert float(rows["lowest cost"]["cells"][-1]) == pytest.approx(best, rel=1e-3)
    assert explorer_view(evidence(scores, np.zeros(500, int), ["no", "yes"], 1)) is None


def colours(theme):
    css = (TEMPLATES / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = dict(re.findall(r"--([\w]+): (#[0-9a-f]{3,6})", blocks[0]))
    return found | dict(
        re.findall(r"--([\w]+): (#[0-9a-f]{3,6})", blocks[("light", "dark", "print").index(theme)])
    )


def luminance(code):
    code = code[1:] if len(code) == 7 else "".join(2 * c for c in code[1:])
    channels = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_text_stands_out_from_its_ground(theme, ground):
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for the lines of a figure."""
    palette = colours(theme)
    for name in ("ink", "muted", "accent", "better", "worse", "warn", *(f"c{i}" for i in range(6))):
        one, other = sorted((luminance(palette[name]), luminance(palette[ground])), reverse=True)
        least = 3 if re.fullmatch(r"c\d", name) else 4.5
        assert (one + 0.05) / (other + 0.05) >= least, f"{name} on {ground}, {theme}"


def test_what_json_has_not():
    assert plain({"a": [np.float64("nan"), np.int64(3)], 1: (float("inf"),)}) == {
        "a": [None, 3],
        "1": [None],
    }


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        (50_000, 2),
        (2_500, 50),
        pytest.param(1_000_000, 2, marks=pytest.mark.slow),
        pytest.param(100_000, 50, marks=pytest.mark.slow),
    ],
)
def test_the_largest_pages_stay_small(tmp_path, rows, classes):
    rng = np.random.default_rng(0)
    target = np.append(np.arange(classes), np.minimum(rng.geometric(0.2, rows - classes) - 1, classes - 1))
    if classes == 2:
        frame = pd.DataFrame({"y": target, "probability_1": rng.beta(1, 9, rows)})
    else:
        scores = rng.dirichlet(np.ones(classes), rows) + 0.1 * np.eye(classes)[target]
        frame = pd.DataFrame(scores / scores.sum(1, keepdims=True)).add_prefix("probability_")
        frame["y"] = target
    data = scored_table(frame, target="y", score="probability_1" if classes == 2 else None)
    found, rule, threshold = evidence_of(data)
    view = single_view([("t", found)], kind="scored file", title="t", decision=rule, threshold=threshold)
    write_page("single", view, tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 600_000, "2 MB are allowed"


def test_the_command_is_the_function_of_its_name():
    assert report_command.__module__ == "metabalance.study.report.command"
