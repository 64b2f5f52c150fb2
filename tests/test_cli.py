"""The command: help at once, bad input in one sentence with status 2, nothing overwritten, the main job end to end."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from typer.testing import CliRunner

from metabalance.cli import app

ROWS = 300


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        ROWS, n_features=4, n_informative=3, n_redundant=0, weights=[0.85], class_sep=1.5, random_state=0
    )
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["kind"] = np.where(X[:, 0] > 0, "left", "right")
    frame.loc[::11, "b"] = np.nan
    frame["y"] = np.where(y == 1, "bad", "good")
    return frame


@pytest.fixture(scope="module")
def csv(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "table.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(csv, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "model"
    done = run(
        "fit",
        csv,
        "--target",
        "y",
        "--recipe",
        "oversample",
        "--epochs",
        5,
        "--cost",
        "fn=10,fp=1",
        "--out",
        folder,
    )
    assert done.exit_code == 0, done.output
    return folder


def refused(result, *said):
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for part in said:
        assert part in lines[0]


# ------------------------------------------------------------------------------------------------ at once


def test_help_and_methods_import_nothing_heavy():
    code = (
        "import sys; from metabalance.cli import app; from typer.testing import CliRunner; r = CliRunner()\n"
    )
    for command in (["--help"], ["compare", "--help"], ["methods"], ["cite", "smote"], ["--version"]):
        code += f"assert r.invoke(app, {command!r}).exit_code == 0, {command!r}\n"
    code += (
        "heavy = {'torch', 'sklearn', 'pandas', 'numpy', 'scipy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_methods_and_cite():
    listed = json.loads(run("methods", "--json").output)
    assert {"metabalance", "smote", "lightgbm"} <= {m["name"] for m in listed}
    assert "2106.09643" in run("cite", "metabalance").output
    assert "| metabalance" in run("methods", "--markdown").output.replace("`", "").replace("[", "")
    refused(run("cite", "metabalnce"), "did you mean metabalance")
    refused(run("methods", "--stage", "losses"), "stage")


# ------------------------------------------------------------------------------------------------ bad input


def files(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


BODY = "\n".join(f"{i % 7},{i % 5}.5,{'yes' if i % 4 == 0 else 'no'}" for i in range(80))


@pytest.mark.parametrize("command", ["compare", "fit"])
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.csv", "", "empty"),
        ("header.csv", "a,b,y\n", "row"),
        ("one_class.csv", "a,b,y\n" + BODY.replace("yes", "no"), "class"),
        ("all_unique.csv", "a,b,y\n" + "\n".join(f"{i % 3},2,name {i}" for i in range(50)), "identifier"),
        ("nan_target.csv", "a,b,y\n" + BODY + "\n1,2,", "missing"),
        ("lonely.csv", "a,b,y\n" + BODY + "\n1,2,perhaps", "perhaps"),
        ("twice.csv", "a,a,y\n" + BODY, "'a'"),
        (
            "constant.csv",
            "a,b,y\n" + "\n".join(f"1,2,{'yes' if i % 4 == 0 else 'no'}" for i in range(80)),
            "constant",
        ),
        ("infinite.csv", "a,b,y\n" + BODY + "\ninf,2,no", "infinit"),
        (
            "mixed.csv",
            "a,b,y\n"
            + "\n".join(f"{i},{i % 5},{'yes' if i % 4 == 0 else 'no'}" for i in range(200))
            + "\nlots,2,no",
            "lots",
        ),
        ("ragged.csv", "a,b,y\n" + BODY + "\n1,2,no,4,5", "row 82 has 5 cells"),
        ("binary.csv", b"\x00\xff\x13\x37" * 50, ""),
        ("broken.parquet", "not a parquet file", ""),
        ("broken.csv.gz", "not gzip", ""),
        ("notes.docx", "text", ".docx"),
    ],
)
def test_unusable_tables(command, name, text, said, tmp_path):
    out = tmp_path / "out"
    refused(run(command, files(tmp_path, name, text), "--target", "y", "--out", out), said)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "z"], "'z'"),
        (["--target", "y", "--positive", "worse"], "worse"),
        (["--target", "y", "--recipes", "smot"], "did you mean smote"),
        (["--target", "y", "--recipes", "focal(gama=1)"], "no option 'gama'"),
        (["--target", "y", "--metric", "acuracy"], "accuracy"),
        (["--target", "y", "--cost", "expensive"], "cost"),
        (["--target", "y", "--cost", "fn=-3,fp=1"], "cost"),
        (["--target", "y", "--cost", "fn=3,xy=1"], "xy"),
        (["--target", "y", "--budget", "soon"], "is no time"),
        (["--target", "y", "--groups", "nobody"], "nobody"),
        (["--target", "y", "--time", "kind"], "no readable time"),
        (["--target", "y", "--folds", "200"], "fold"),
        (["--target", "y", "--drop", "nothing"], "nothing"),
        (["--target", "y", "--delimiter", ";"], ""),
    ],
)
def test_unusable_options(arguments, said, csv, tmp_path):
    out = tmp_path / "out"
    refused(run("compare", csv, "--out", out, *arguments), said)
    assert not (out / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare"], "missing argument 'data'"),
        (["compare", "x.csv"], "missing option '--target'"),
        (["compare", "x.csv", "--target", "y", "--folds", "1"], "'--folds'"),
        (["compare", "x.csv", "--target", "y", "--seeds", "0"], "'--seeds'"),
        (["compare", "x.csv", "--target", "y", "--fold", "3"], "--folds"),
        (["fit", "x.csv", "--target", "y", "--holdout", "-1"], "'--holdout'"),
        (["comapre"], "comapre"),
    ],
)
def test_wrong_usage_is_one_line_too(arguments, said):
    refused(run(*arguments), said, "--help")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cost", "."], "is a folder"),
        (["--keep", "y"], "'y' is no feature"),
        (["--drop", "y"], "'y' is no feature"),
        (["--keep", "a", "--drop", "a,b"], "both kept and dropped"),
        (["--groups", "y"], "cannot also be the groups column"),
        (["--groups", "kind", "--time", "y"], "cannot also be the time column"),
        (["--recipes", "erm(lr=0.1,lr=0.2)"], "lr twice"),
    ],
)
def test_contradictions_are_refused(arguments, said, csv, tmp_path):
    refused(run("compare", csv, "--target", "y", "--out", tmp_path / "out", *arguments), said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "folds", "said"), [(2, 5, "add rows"), (3, 2, "--folds 3"), (4, 5, "--folds 4")]
)
def test_a_class_too_small_for_the_folds_is_named_and_leaves_no_folder(rows, folds, said, table, tmp_path):
    few = table.assign(y=np.where(np.arange(ROWS) < rows, "odd one", table["y"]))
    few.to_csv(tmp_path / "few.csv", index=False)
    done = run("compare", tmp_path / "few.csv", "--target", "y", "--folds", folds, "--out", tmp_path / "out")
    refused(done, f"class 'odd one' has {rows} rows", said)
    assert not (tmp_path / "out").exists()


def test_a_goal_that_cannot_be_written_is_refused_before_the_work(csv, model, tmp_path):
    refused(run("fit", csv, "--target", "y", "--out", csv / "model"), "is a file")
    refused(run("predict", model, csv, "--out", csv / "scores.csv"), "is a file")
    refused(run("compare", csv, "--target", "y", "--out", csv / "run"), "cannot be written")
    refused(run("fit", csv, "--target", "y", "--out", csv, "--overwrite"), "is no model folder")
    before = csv.read_bytes()
    refused(run("predict", model, csv, "--out", csv, "--overwrite"), "is the table to be scored")
    assert csv.read_bytes() == before


def test_missing_files_and_folders(csv, tmp_path):
    refused(run("compare", csv.parent / "tabel.csv", "--target", "y"), "table.csv")
    refused(run("compare", tmp_path, "--target", "y"), "folder")
    refused(run("fit", csv, "--target", "y", "--recipe", "erm,focal"), "one recipe")
    refused(run("fit", csv, "--target", "y", "--prior", "7"), "--prior")
    refused(run("fit", csv, "--target", "y", "--objective", "cost"), "--cost")
    refused(run("fit", csv, "--target", "y", "--objective", "precision<=0.9"), ">=")
    refused(run("fit", csv, "--target", "y", "--objective", "alerts<=5"), "alert_rate<=1%")
    refused(run("fit", csv, "--target", "y", "--calibration", "spline"), "isotonic")


def test_nothing_is_overwritten(csv, model, tmp_path):
    refused(run("fit", csv, "--target", "y", "--out", model), "exists")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("work")
    refused(run("compare", csv, "--target", "y", "--out", tmp_path / "thesis"), "holds no run")
    refused(run("fit", csv, "--target", "y", "--epochs", 1, "--out", tmp_path / "thesis", "--overwrite"), "")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    scores = tmp_path / "scores.csv"
    scores.write_text("precious")
    refused(run("predict", model, csv, "--out", scores), "exists")
    assert scores.read_text() == "precious"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200), st.text(alphabet="a1,;\n\"'.-é\t ", max_size=200).map(str.encode)
    )
)
def test_any_file_is_read_or_refused(content, tmp_path):
    path = files(tmp_path, "fuzz.csv", content)
    result = run("compare", path, "--target", "y", "--out", tmp_path / "fuzz")
    refused(result)
    assert not (tmp_path / "fuzz").exists()


# ------------------------------------------------------------------------------------------------ the main job


def test_compare_ends_with_a_table_and_a_sentence(csv, tmp_path):
    done = run(
        "compare",
        csv,
        "--target",
        "y",
        "--recipes",
        "erm,undersample",
        "--folds",
        3,
        "--seeds",
        1,
        "--epochs",
        3,
        "--out",
        tmp_path / "run",
    )
    assert done.exit_code == 0, done.output
    assert "undersample" in done.output
    assert "untouched" in done.output
    assert "report.html" in done.output
    assert {"report.html", "results.parquet", "advice.json", "figures.json", "run.json", "fits"} == {
        p.name for p in (tmp_path / "run").iterdir()
    }


def test_when_no_fit_succeeds_the_status_says_so(csv, tmp_path, monkeypatch):
    from metabalance.study import commands

    def all_failed(*arguments):
        made = run_comparison(*arguments)
        made.failures |= {("erm", 0, fold): ("failed", "the disk is full") for fold in range(2)}
        for path in (made.store.folder / "fits").iterdir():
            path.unlink()
        return made

    run_comparison = commands.run_comparison
    monkeypatch.setattr(commands, "run_comparison", all_failed)
    arguments = ["--recipes", "erm", "--folds", 2, "--seeds", 1, "--epochs", 1, "--out", tmp_path / "run"]
    done = run("compare", csv, "--target", "y", *arguments)
    refused(done, "no fit succeeded: the disk is full")
    assert (tmp_path / "run" / "report.html").exists()


def test_ctrl_c_keeps_finished_fits_and_leaves_no_process(csv, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "metabalance.cli", "compare", str(csv), "--target", "y", "--recipes", "erm,focal",
               "--epochs", "300", "--seeds", "9", "--workers", "1", "--out", str(folder)]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(folder.glob("fits/*.npz")):
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == "Interrupted. Finished fits are kept: run the same command again to go on.\n"
    assert 1 <= len(list(folder.glob("fits/*.npz"))) < 90
    assert not (folder / "scratch").exists()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_long_labels_are_broken_between_options():
    from metabalance.study.showing import _folded

    label = "metabalance(order=2,inner_lr=0.1|0.01,leak=0.005)"
    lines = _folded(label, 19).splitlines()
    assert lines == ["metabalance(", " order=2,", " inner_lr=0.1|0.01,", " leak=0.005)"]
    assert _folded(label, 80) == label


def test_the_model_folder_tells_what_it_is(model):
    manifest = json.loads((model / "manifest.json").read_text())
    text = json.dumps(manifest)
    for part in (
        "oversample",
        "fingerprint",
        "source_prior",
        "training_prior",
        "versions",
        "torch",
        "schema",
        "calibrator",
        "decision",
        '"seed"',
    ):
        assert part in text, part
    assert {p.name for p in model.iterdir()} == {
        "manifest.json",
        "weights.safetensors",
        "preprocess.safetensors",
        "evidence.json",  # what a report shows
        "reference.json",  # what monitor compares with
    }


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv", "feather"])
def test_predict_gives_the_probabilities_of_python(model, csv, table, tmp_path, suffix):
    from metabalance.study.ship import TrainedModel

    scores = tmp_path / f"scored.{suffix}"
    done = run("predict", model, csv, "--out", scores)
    assert done.exit_code == 0, done.output
    read = {
        "csv": pd.read_csv,
        "tsv": lambda p: pd.read_csv(p, sep="\t"),
        "parquet": pd.read_parquet,
        "feather": pd.read_feather,
    }[suffix](scores)
    trained = TrainedModel.load(model)
    expected = trained.predict_proba(table.drop(columns="y"))
    np.testing.assert_allclose(read[["probability_bad", "probability_good"]], expected, atol=1e-6)
    assert (read["decision"] == trained.decide(expected)).all()
    assert (read["decision"] == "bad").mean() > 0.1


@pytest.mark.parametrize("recipe", ["logistic", "lightgbm", "xgboost", "metabalance(order=2)"])
def test_every_kind_of_model_is_saved_and_loaded_to_the_same_bits(recipe, csv, table, tmp_path):
    from metabalance.study.load import make_table
    from metabalance.study.ship import TrainedModel
    from metabalance.study.train import train_table

    trained = train_table(make_table(table, "y"), recipe, network={"epochs": 3}).model
    trained.save(tmp_path / "model")
    np.testing.assert_array_equal(
        TrainedModel.load(tmp_path / "model").predict_proba(table), trained.predict_proba(table)
    )


def test_a_prior_moves_probabilities_and_threshold(csv, table, tmp_path):
    done = run(
        "fit",
        csv,
        "--target",
        "y",
        "--recipe",
        "erm",
        "--epochs",
        20,
        "--prior",
        "0.01",
        "--holdout",
        0.3,
        "--out",
        tmp_path / "rare",
    )
    assert done.exit_code == 0, done.output
    assert "held-out roc_auc" in done.output
    from metabalance.study.ship import TrainedModel

    probabilities = TrainedModel.load(tmp_path / "rare").predict_proba(table)[:, 0]
    share = (table["y"] == "bad").to_numpy()
    weight = np.where(share, 0.01 / share.mean(), 0.99 / (1 - share.mean()))
    assert np.average(probabilities, weights=weight) == pytest.approx(0.01, abs=0.006)


def test_labels_and_paths_that_look_like_markup(table, tmp_path):
    odd = tmp_path / "table[x].csv"
    table.assign(y=np.where(table["y"] == "bad", "[/red] a, b=c", "<b>ok</b>")).to_csv(odd, index=False)
    prior = '"[/red] a, b=c"=0.2,<b>ok</b>=0.8'
    done = run(
        "fit", odd, "--target", "y", "--recipe", "logistic", "--prior", prior, "--out", tmp_path / "m[b]"
    )
    assert done.exit_code == 0, done.output
    assert "decision: [/red] a, b=c from a probability of" in done.stdout
    assert "m[b]" in done.stdout
    done = run("predict", tmp_path / "m[b]", odd, "--out", tmp_path / "s[i].csv")
    assert done.exit_code == 0, done.output
    assert "decided '[/red] a, b=c'" in done.stdout
    assert "s[i].csv" in done.stdout


def test_features_named_like_the_added_columns(table, tmp_path):
    named = table.rename(columns={"a": "decision", "c": "probability_bad"})
    named.to_csv(tmp_path / "named.csv", index=False)
    arguments = ["--target", "y", "--recipe", "logistic", "--out", tmp_path / "model"]
    assert run("fit", tmp_path / "named.csv", *arguments).exit_code == 0
    arguments = [tmp_path / "model", tmp_path / "named.csv", "--out", tmp_path / "s.csv"]
    refused(run("predict", *arguments), "'probability_bad'", "--prefix")
    assert run("predict", *arguments, "--prefix", "model_").exit_code == 0
    scored = pd.read_csv(tmp_path / "s.csv")
    assert list(scored.columns[-3:]) == ["model_probability_bad", "model_probability_good", "model_decision"]
    np.testing.assert_allclose(scored["decision"], table["a"])


def test_a_row_gets_the_same_probabilities_in_any_batch(model, table):
    from metabalance.study.ship import TrainedModel

    trained = TrainedModel.load(model)
    whole = trained.predict_proba(table)
    alone = np.vstack([trained.predict_proba(table.iloc[[i]]) for i in range(20)])
    np.testing.assert_allclose(alone, whole[:20], atol=1e-6)
    shuffled = table[table.columns[::-1]].iloc[::-1]
    np.testing.assert_allclose(trained.predict_proba(shuffled)[::-1], whole, atol=1e-6)


def test_predict_checks_the_schema(model, csv, table, tmp_path):
    missing = tmp_path / "missing.csv"
    table.drop(columns=["b", "y"]).to_csv(missing, index=False)
    refused(run("predict", model, missing, "--out", tmp_path / "s.csv"), "'b'")
    wrong = tmp_path / "wrong.csv"
    table.assign(a="word").to_csv(wrong, index=False)
    refused(run("predict", model, wrong, "--out", tmp_path / "s.csv"), "'a'")
    unknown = tmp_path / "unknown.csv"
    table.assign(kind="up").to_csv(unknown, index=False)
    assert run("predict", model, unknown, "--out", tmp_path / "ok.csv").exit_code == 0
    assert not (tmp_path / "s.csv").exists()
    refused(run("predict", tmp_path, csv, "--out", tmp_path / "s.csv"), "model")


@pytest.mark.parametrize(
    "name", ["manifest.json", "weights.safetensors", "preprocess.safetensors", "reference.json"]
)
def test_damaged_models_are_refused(model, csv, tmp_path, name):
    import shutil

    for kind in ("truncated", "changed", "gone"):
        copy = tmp_path / f"{kind}-{name}"
        shutil.copytree(model, copy)
        content = (copy / name).read_bytes()
        if kind == "gone":
            (copy / name).unlink()
        else:
            changed = content[: len(content) // 2] if kind == "truncated" else content.replace(b"0", b"1", 1)
            (copy / name).write_bytes(changed)
        refused(run("predict", copy, csv, "--out", tmp_path / "s.csv"))
    assert not (tmp_path / "s.csv").exists()
