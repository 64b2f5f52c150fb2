"""The pages of a continuous target: no word of classes, the user's text harmless, odd targets, the command line."""

import copy
import json
import re
import sys
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from test_report import Reader
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.study.report import render_report
from metabalance.study.report.value_comparison import values_view
from metabalance.study.report.value_figures import pooled_by_density
from metabalance.study.report.words import SCIENTIFIC, digits_for, fixed
from metabalance.study.values.evidence import values_evidence
from metabalance.study.values.figures import density_of, figures
from metabalance.study.values.summary import SHOWN, regions_of, value_fit_metrics, value_metric_info

NAN = float("nan")
HOSTILE = "<script>alert(1)</script>"
OF_CLASSES = re.compile(
    r"\b(positives?|negatives?|class|classes|thresholds?|recall|precision|calibrat\w*|ROC)\b", re.I
)


def comparison(names=("depth",), unit=1.0, rows=600, spread=8.0):
    rng = np.random.default_rng(0)
    size = len(names)
    train, y = rng.gamma(1.5, spread, (2 * rows, size)) * unit, rng.gamma(1.5, spread, (rows, size)) * unit
    regions = regions_of(train)
    recipes = []
    for name, slope in (("erm", 0.5), ("lds", 0.9), ("conr", 0.52)):
        p = slope * y + (1 - slope) * 12 * unit + rng.normal(size=y.shape) * 3 * unit
        limits = np.stack([p - 6 * unit, p + 6 * unit], axis=2)
        found = value_fit_metrics(p, y, regions, names)
        keys = [k for k in found if k in SHOWN or k.endswith("]")]
        recipes.append(
            {
                "name": name, "label": "erm (untouched)" if name == "erm" else name, "stage": "loss", "status": "ok",
                "note": "", "fits": 15, "seconds": {"mean": 1.2}, "values": figures(p, y, regions, names, limits),
                "metrics": {k: _interval(found[k]) for k in keys},
                "training": {"monitor_name": "mae@few", "best_epoch": 1, "epoch": [0, 1], "train_loss": [1, 0.5],
                             "loss": [1, 0.6], "monitor": [5.0, 4.0]},
            }
        )  # fmt: skip
    base = recipes[0]["metrics"]
    for recipe in recipes:
        gaps = {k: v["value"] - base[k]["value"] for k, v in recipe["metrics"].items()}
        recipe["difference"] = {} if recipe["name"] == "erm" else {
            k: _interval(gap) | {"p": 0.001, "p_holm": 0.004 if recipe["name"] == "lds" else 0.6} for k, gap in gaps.items()
        }  # fmt: skip
    return {
        "kind": "values",
        "title": f"lakes.csv · target {', '.join(names)}",
        "created": "2026-11-27T10:00:00+00:00",
        "version": "0.9",
        "command": "metabalance compare lakes.csv --target depth",
        "data": {
            "rows": 2 * rows, "columns": 12, "target": ", ".join(names), "targets": list(names),
            "density": density_of(train, names, regions), "fingerprint": "abc", "findings": [],
        },
        "protocol": {
            "folds": 5, "seeds": 3, "metric": "bmae", "splits": "stratified", "validation_fraction": 0.2, "cost": None,
            "tune": None, "level": 0.95, "interval_method": "corrected resampled t",
        },
        "metrics": value_metric_info(keys),
        "recipes": recipes,
        "advice": {"headline": "Use lds.", "details": ["Because."], "winner": "lds"},
    }  # fmt: skip


def _interval(value):
    return {"value": value, "low": value - 0.05 * abs(value), "high": value + 0.05 * abs(value)}


def render(result, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_report(result, path)
    return read(path)


def read(path):
    html = path.read_text(encoding="utf-8")
    page = Reader(html)
    told = " ".join(page.text) + " ".join(
        v for k, v in page.attributes if k in ("aria-label", "title", "alt") and v
    )
    style = html[html.index("<style>") : html.index("</style>")]
    return html, told.replace(style.removeprefix("<style>"), "")


def test_no_word_of_classes(tmp_path):
    html, told = render(comparison(), tmp_path / "r.html")
    assert "<script" not in html
    assert OF_CLASSES.findall(told) == []
    for expected in (
        "Use lds.",
        "Balanced mean absolute error",
        "And where the target is rare?",
        "many",
        "(tertiles)",
    ):
        assert expected in told


def test_the_view_by_hand():
    result = comparison()
    view = values_view(result)
    assert [c["key"] for c in view["columns"]] == ["bmae", "mae", "rmse", "gm", "r2", "pearson", "spearman"]
    assert [t["title"] for t in view["by_region"]][:2] == ["Mean absolute error", "Root mean squared error"]
    few = result["recipes"][1]["metrics"]["mae@few"]["value"]
    row = next(r for r in view["by_region"][0]["rows"] if r["label"] == "lds")
    assert row["cells"][2]["value"] == fixed(few, 2)
    assert row["cells"][2]["verdict"] == "better"
    assert (view["forest"]["better"], view["forest"]["same"]) == (1, 1)
    assert view["rare_forest"]["title"] == "Mean absolute error, few"
    share = sum(
        c
        for c, g in zip(result["data"]["density"][0]["counts"], result["data"]["density"][0]["groups"])
        if g == "few"
    )
    assert f"({share} few)" in view["facts"][1][1]


def test_several_targets_with_hostile_names(tmp_path):
    names = (HOSTILE, "age $x$ \x00\x1b[2J" + "a" * 80)
    html, told = render(comparison(names), tmp_path / "r.html")
    assert HOSTILE not in html
    assert "<script" not in html
    assert "\x00" not in html
    assert "Target by target" in told
    assert "&lt;script&gt;" in html
    assert OF_CLASSES.findall(told) == []


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_wild_units_can_be_read(tmp_path, unit):
    result = comparison(unit=unit, rows=200)
    _, told = render(result, tmp_path / "r.html")
    value = result["recipes"][0]["metrics"]["mae"]["value"]
    assert (f"{value:.2e}".replace("e-", "e−") if unit < 1 else f"{value:,.0f}") in told


def test_undefined_figures_say_why_and_break_nothing(tmp_path):
    result = comparison()
    for recipe in result["recipes"]:
        for key in ("r2@few", "mae@few", "bmae"):
            recipe["metrics"][key] = {
                "value": NAN,
                "low": NAN,
                "high": NAN,
                "reason": "no row lies in the region 'few'",
            }
            if recipe["difference"]:
                recipe["difference"][key] = dict.fromkeys(("value", "low", "high", "p", "p_holm"), NAN)
    _, told = render(result, tmp_path / "r.html")
    assert "R², few: no row lies in the region" in told
    assert "undefined" in told


def test_parts_that_are_missing_are_left_out(tmp_path):
    result = copy.deepcopy(comparison())
    for recipe in result["recipes"]:
        del recipe["values"], recipe["training"]
        recipe["metrics"] = {"bmae": recipe["metrics"]["bmae"]}
    result["metrics"] = {"bmae": result["metrics"]["bmae"]}
    _, told = render(result, tmp_path / "r.html")
    assert "What the errors look like" not in told
    assert "where it is rare" not in told


def test_a_constant_target_is_one_region(tmp_path):
    result = comparison()
    y = np.full((50, 1), 3.0)
    regions = regions_of(y)
    result["data"]["density"] = density_of(y, ["depth"], regions)
    for recipe in result["recipes"]:
        recipe["values"] = figures(y + 0.1, y, regions, ["depth"])
    _, told = render(result, tmp_path / "r.html")
    assert "too few rows for the usual limits" in told


def test_the_same_page_twice(tmp_path):
    result = comparison(rows=100)
    assert render(result, tmp_path / "a.html") == render(result, tmp_path / "b.html")


def test_pooled_by_density_is_a_weighted_mean():
    x, y = pooled_by_density(np.array([0, 6, 8, 150.0]), np.array([9.0, 4, 2, 1]), np.array([2, 1, 3, 5.0]))
    assert x == pytest.approx([0, np.exp((np.log(6) + 3 * np.log(8)) / 4), 150])
    assert y == pytest.approx([9, 2.5, 1])


def test_digits_of_any_unit():
    assert digits_for([{"value": 3e-9, "low": 2e-9, "high": 4e-9}]) == SCIENTIFIC
    assert fixed(-3.14e-9, SCIENTIFIC, signed=True) == "−3.14e−09"
    assert digits_for([{"value": 3.0, "low": 2.9, "high": 3.1}]) == 2
    assert digits_for([{"value": 1234.0}]) == 0
    assert digits_for([{"value": NAN}]) == 3


# ------------------------------------------------------------------------------------- from the command line


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def predicted(tmp_path):
    rng = np.random.default_rng(1)
    y = rng.gamma(1.5, 8.0, 400)
    p = 0.6 * y + 5 + rng.normal(size=400)
    frame = pd.DataFrame(
        {"depth": y, "prediction": p, "low": p - 4, "high": p + 4, "other": y + rng.normal(size=400)}
    )
    frame["lake"] = np.where(np.arange(400) % 3, "north", HOSTILE)
    frame.to_csv(tmp_path / "predicted.csv", index=False)
    pd.DataFrame({"depth": rng.gamma(1.5, 8.0, 3000), "id": range(3000)}).to_csv(
        tmp_path / "train.csv", index=False
    )
    return tmp_path / "predicted.csv"


def test_a_table_of_predictions(predicted, tmp_path):
    out = tmp_path / "r.html"
    done = run("report", predicted, "--target", "depth", "--train", tmp_path / "train.csv", "--out", out)
    assert done.exit_code == 0, done.output
    html, told = read(out)
    assert "Predictions miss by" in told
    assert "3,000 rows of train.csv" in told
    assert "hold" in told
    assert OF_CLASSES.findall(told) == []
    assert "<script" not in html
    alone = run("report", predicted, "--target", "depth", "--out", tmp_path / "s.html")
    assert alone.exit_code == 0
    assert "not by the training rows" in read(tmp_path / "s.html")[1]


def test_whole_numbers_are_values_when_asked(predicted, tmp_path):
    frame = pd.read_csv(predicted).assign(age=lambda f: f.depth.round().astype(int))
    frame = frame.rename(
        columns={"prediction": "guess"}
    )  # beside a column "prediction" nobody would have to ask
    frame.to_csv(tmp_path / "ages.csv", index=False)
    out = tmp_path / "r.html"
    refused = run("report", tmp_path / "ages.csv", "--target", "age", "--out", out)
    assert refused.exit_code == 2
    asked = run(
        "report",
        tmp_path / "ages.csv",
        "--target",
        "age",
        "--score",
        "guess",
        "--task",
        "regression",
        "--bin-width",
        1,
        "--out",
        out,
    )
    assert asked.exit_code == 0, asked.output


def test_judge(predicted, tmp_path):
    out = tmp_path / "j.json"
    done = run(
        "judge", predicted, "--target", "depth", "--train", tmp_path / "train.csv", "--against", "other", "--groups", "lake",
        "--resamples", 100, "--json", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    frame = pd.read_csv(predicted)
    by_name = {row["name"]: row for row in found["metrics"]}
    assert by_name["mae"]["value"] == pytest.approx((frame.depth - frame.prediction).abs().mean())
    assert found["coverage"][0]["all"]["value"] == pytest.approx(
        ((frame.depth - frame.prediction).abs() <= 4).mean()
    )
    gap = next(row for row in found["against"][0]["rows"] if row["name"] == "mae")
    assert gap["verdict"] == "better"
    assert gap["difference"] == pytest.approx(
        (frame.depth - frame.other).abs().mean() - by_name["mae"]["value"]
    )
    assert [g["rows"] for g in found["per_group"]] == [266, 134]
    assert sum(found["regions"][0]["rows"].values()) == 400
    named = run(
        "judge",
        predicted,
        "--target",
        "depth",
        "--metrics",
        "mae@few,r2",
        "--resamples",
        20,
        "--json",
        out,
        "--overwrite",
    )
    assert named.exit_code == 0
    assert {row["name"] for row in json.loads(out.read_text())["metrics"]} == {
        "mae@few", "r2", "r2@many", "r2@medium", "r2@few",
    }  # fmt: skip


def test_judge_several_targets(tmp_path):
    rng = np.random.default_rng(2)
    y = rng.gamma(1.5, 8.0, (200, 2))
    frame = pd.DataFrame(y, columns=["a", "b, c"])
    frame["prediction_a"], frame["prediction_b, c"] = y[:, 0] + 1, y[:, 1] - 2
    frame.to_parquet(tmp_path / "p.parquet")
    done = run(
        "judge",
        tmp_path / "p.parquet",
        "--target",
        'a,"b, c"',
        "--resamples",
        20,
        "--json",
        tmp_path / "j.json",
    )
    assert done.exit_code == 0, done.output
    by_name = {row["name"]: row["value"] for row in json.loads((tmp_path / "j.json").read_text())["metrics"]}
    assert (by_name["mae[a]"], by_name["mae[b, c]"]) == pytest.approx((1, 2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cost", "fn=5,fp=1"], "--cost is for classes"),
        (["--positive", "1"], "--positive is for classes"),
        (["--task", "ranking"], "--task 'ranking' is unknown"),
        (["--score", "nothing"], "there is no column 'nothing'"),
        (["--score", "lake"], "is no finite number"),
        (["--metrics", "auc"], "unknown for a continuous target"),
        (["--against", "gone"], "there is no column 'gone'"),
        (["--bin-width", "-1"], "above 0"),
        (["--train", "gone.csv"], "gone.csv"),
        (["--task", "classification"], "say --task regression"),
        (["--stream", "--task", "regression"], "--stream is for classes"),
    ],
)
def test_judge_refuses_in_one_sentence(predicted, options, said):
    done = run("judge", predicted, "--target", "depth", *options)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_options_of_values_are_refused_for_classes(tmp_path):
    pd.DataFrame({"y": ["a", "b"] * 20, "score": np.linspace(0, 1, 40)}).to_csv(
        tmp_path / "c.csv", index=False
    )
    done = run("judge", tmp_path / "c.csv", "--target", "y", "--score", "score", "--bin-width", 1)
    assert done.exit_code == 2
    assert "--bin-width is for predicted values" in done.output


def test_a_missing_prediction_is_told(tmp_path):
    pd.DataFrame({"y": np.linspace(0, 1, 40), "p": 0.5}).to_csv(tmp_path / "p.csv", index=False)
    done = run("judge", tmp_path / "p.csv", "--target", "y")
    assert done.exit_code == 2
    assert "has no column 'prediction'" in done.output


class Model:
    """What the report asks of a trained regressor."""

    names, image_shape, kind = ("depth",), None, "values"

    def __init__(self, evidence):
        self.evidence = evidence
        data = {"name": "lakes.csv", "rows": 3000, "fingerprint": "f"}
        self.record = {"recipe": "lds", "data": data, "command": "metabalance fit"}
        self.regions = regions_of(np.random.default_rng(3).gamma(1.5, 8.0, (3000, 1)))

    def promise(self, by, level):
        return by, 0.9

    def outputs(self, frame):
        p = frame[["prediction"]].to_numpy(float)
        return p, np.stack([p - 4, p + 4], axis=2)


@pytest.fixture
def folder(tmp_path, predicted, monkeypatch):
    frame = pd.read_csv(predicted)
    p, y = frame[["prediction"]].to_numpy(), frame[["depth"]].to_numpy()
    model = Model({})
    found = values_evidence(
        p, y, model.regions, model.names, np.stack([p - 4, p + 4], 2), level=0.9, n_boot=20
    )
    model.evidence = {
        "held_out": found, "validation": found,
        "training": {"monitor_name": "bmae", "best_epoch": 0, "epoch": [0, 1], "train_loss": [1, 0.5], "loss": [1, 0.6],
                     "monitor": [5.0, 4.0]},
    }  # fmt: skip
    ship = types.ModuleType("ship")
    ship.TrainedRegressor = types.SimpleNamespace(load=lambda folder: model)
    monkeypatch.setitem(sys.modules, "metabalance.study.values.ship", ship)
    (tmp_path / "model").mkdir()
    stored = {"kind": "values", "regions": [r.to_dict() for r in model.regions]}
    (tmp_path / "model" / "manifest.json").write_text(json.dumps({"created": "2026", "content": stored}))
    return tmp_path / "model"


def test_a_model_shows_what_was_recorded_and_new_rows(folder, predicted, tmp_path):
    done = run("report", folder, "--out", tmp_path / "m.html")
    assert done.exit_code == 0, done.output
    _, told = read(tmp_path / "m.html")
    assert "meant: 90.0 %" in told
    assert "How training went" in told
    assert OF_CLASSES.findall(told) == []
    new = run("report", folder, "--data", predicted, "--out", tmp_path / "n.html")
    assert new.exit_code == 0, new.output
    assert "rows (predicted.csv)" in read(tmp_path / "n.html")[1]
    wrong = run("report", folder, "--data", predicted, "--cost", "fn=1,fp=1", "--out", tmp_path / "o.html")
    assert wrong.exit_code == 2


def test_a_model_folder_says_what_is_rare(folder, predicted, tmp_path):
    done = run("report", predicted, "--target", "depth", "--train", folder, "--out", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert "training rows of the model model" in read(tmp_path / "r.html")[1]
