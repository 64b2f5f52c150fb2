import json

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.data.streamed import ArrayRows
from metabalance.estimator import MetaBalanceClassifier
from metabalance.judge import average_precision
from metabalance.recipes import RECIPES
from metabalance.streams import Elsewhere, Task, stream
from metabalance.study.candidates import parse_candidates
from metabalance.study.load import make_table
from metabalance.study.ship import TrainedModel
from metabalance.study.train import train_table
from metabalance.study.train_streamed import STREAMED, check_streamed, open_streamed, train_streamed


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(done, *said):
    assert done.exit_code == 2, done.output
    assert all(part in done.output for part in said), done.output


def made(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame["shop"] = rng.choice(["n", "s", "w"], rows)
    logit = 1.2 * x[:, 0] - x[:, 1] + np.sin(2 * x[:, 2]) + (frame["shop"] == "w") - 5
    frame["y"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-logit)), "bad", "good")
    return frame


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for shop, part in made(20_000).groupby("shop"):
        (folder / f"shop={shop}").mkdir()
        part.drop(columns="shop").to_parquet(
            folder / f"shop={shop}" / "0.parquet", row_group_size=1500, index=False
        )
    return folder


@pytest.mark.parametrize("recipe", ["erm", "metabalance"])
def test_a_streamed_fit_is_worth_as_much_as_one_in_memory(data, recipe):
    test = made(30_000, seed=1)
    truth = (test.pop("y") == "bad").to_numpy().astype(int)
    network = {"epochs": 4, "batch_size": 256}
    streamed = train_streamed(open_streamed(data, "y"), recipe, network=network).model
    whole = train_table(make_table(made(20_000), "y"), recipe, network=network).model
    values = [average_precision(m.predict_proba(test)[:, m.positive], truth) for m in (streamed, whole)]
    assert values[0] > 0.15  # the positives' share is 0.03
    assert abs(values[0] - values[1]) < 0.03, values
    assert streamed.predict_proba(test)[:, streamed.positive].mean() == pytest.approx(truth.mean(), rel=0.25)


def test_recipes_that_can_be_streamed_are_those_that_are_named(monkeypatch):
    monkeypatch.setattr("metabalance.recipes.base.MIN_STEPS_PER_EPOCH", 2)
    torch.manual_seed(0)
    y = (torch.arange(120) % 4 == 0).long()
    X = torch.randn(120, 3) + y[:, None]
    works = []
    for name in RECIPES:
        model = MetaBalanceClassifier(
            name, preprocess=None, hidden=(8,), epochs=2, batch_size=64, random_state=0
        )
        try:
            model.fit_rows(ArrayRows(X, y, unit=50, kept=40), 2)
        except ValueError:
            continue
        works.append(name)
        assert torch.isfinite(torch.as_tensor(model.predict_proba(X.numpy()))).all()
    assert works == list(STREAMED)


def test_the_prior_of_a_streamed_task_is_that_of_one_in_memory():
    y = (torch.arange(400) % 8 == 0).long()
    rows = ArrayRows(torch.randn(400, 2), y, unit=50, kept=60)
    task, lazy = Task(rows.inputs, y, 2), Task.of_rows(rows, 2)
    assert task.size == lazy.size == 400
    assert not lazy.images
    for name in ("natural", "class_balanced", "square_root", "random_over", "random_under"):
        _, expected, _ = stream(task, name)
        loader, prior, _ = stream(lazy, name)
        torch.testing.assert_close(prior, expected)
        drawn = torch.bincount(torch.cat([batch[1] for batch in loader]), minlength=2).double()
        torch.testing.assert_close(drawn / drawn.sum(), expected, atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="'smote' needs all rows"):
        stream(lazy, "smote")
    with pytest.raises(ValueError, match="streamed"):
        len(lazy.target)
    with pytest.raises(ValueError, match="streamed"):
        Elsewhere()[0]


def test_a_killed_fit_ends_with_the_same_bits(tmp_path):
    y = (torch.arange(600) % 12 == 0).long()
    X = torch.randn(600, 3, generator=torch.Generator().manual_seed(0)) + y[:, None]

    def model(**options):
        return MetaBalanceClassifier(
            "metabalance", preprocess=None, epochs=3, batch_size=64, random_state=0, **options
        )

    def rows():
        return ArrayRows(X, y, unit=90, kept=60)

    whole = model().fit_rows(rows(), 2)
    path = str(tmp_path / "c")
    for _ in range(40):  # each call takes one step
        part = model(checkpoint=path, max_seconds=1e-9).fit_rows(rows(), 2)
        if part.history_.stopped != "deadline":
            break
    assert part.history_.stopped == "finished"
    for a, b in zip(whole.module_.parameters(), part.module_.parameters()):
        assert torch.equal(a, b)


def test_the_command_streams_and_says_so(data, tmp_path, monkeypatch):
    arguments = ("fit", data, "--target", "y", "--recipe", "erm", "--epochs", "1", "--holdout", "0.2")
    done = run(*arguments, "--stream", "--out", tmp_path / "m")
    assert done.exit_code == 0, done.output
    assert "20,000 rows in 3 files, 5 features, streamed" in done.output
    assert "held-out average_precision" in done.output
    record = json.loads((tmp_path / "m" / "manifest.json").read_text())["content"]
    assert record["data"]["rows"] == 20_000
    assert record["schema"]["columns"]["shop"] == "category"
    model = TrainedModel.load(tmp_path / "m")
    assert model.predict_proba(made(50)).shape == (50, 2)
    assert len(record["data"]["fingerprint"]) == 32
    made(500, seed=2).to_csv(tmp_path / "new.csv", index=False)
    for command in (
        ("report", tmp_path / "m", "--out", tmp_path / "m.html"),
        ("export", tmp_path / "m", "--out", tmp_path / "m.onnx"),
        ("monitor", tmp_path / "m", tmp_path / "new.csv", "--target", "y"),
    ):
        done = run(*command)
        assert done.exit_code in (0, 1 if command[0] == "monitor" else 0), done.output
    assert record["data"]["fingerprint"] in (tmp_path / "m.html").read_text()
    monkeypatch.setattr("metabalance.study.load.MEMORY_SHARE", 1e-9)
    done = run(*arguments, "--out", tmp_path / "n")
    assert done.exit_code == 0, done.output
    assert "it is streamed" in done.output
    assert "streamed" not in run(*arguments, "--no-stream", "--out", tmp_path / "o").output


def test_the_same_seed_gives_the_same_model(data, tmp_path):
    for name in "ab":
        run("fit", data, "--target", "y", "--stream", "--epochs", "1", "--out", tmp_path / name)
    a, b = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_what_cannot_be_streamed_is_refused_before_any_work(data, tmp_path):
    out = ("--out", tmp_path / "m", "--stream")
    refused(
        run("fit", data, "--target", "y", "--recipe", "smote", *out), "smote needs all rows", "metabalance"
    )
    refused(run("fit", data, "--target", "y", "--recipe", "lightgbm", *out), "lightgbm needs all rows")
    refused(
        run("fit", data, "--target", "y", "--groups", "shop", *out), "--groups needs all rows", "--no-stream"
    )
    refused(run("fit", data, *out), "--target")
    refused(run("fit", data, "--target", "z", *out), "'z'")
    refused(run("fit", tmp_path / "no", "--target", "y", *out), "does not exist")
    with pytest.raises(DataError, match=r"cannot be trained on streamed rows.*streamed"):
        check_streamed(parse_candidates("oversample(ratio=0.5)")[0])
    assert not (tmp_path / "m").exists()


def test_row_groups_too_large_to_shuffle_are_refused(data, monkeypatch):
    monkeypatch.setattr("metabalance.study.train_streamed.UNIT_BYTES", 1000)
    with pytest.raises(DataError, match="row groups of at most"):
        open_streamed(data, "y")


def test_samples_are_bounded_and_keep_the_rare(data, monkeypatch):
    monkeypatch.setattr("metabalance.study.train_streamed.SAMPLE", 1000)
    monkeypatch.setattr("metabalance.study.train_streamed.KEPT_ROWS", 1000)
    opened = open_streamed(data, "y", holdout=0.2)
    rare = opened.labelled.unit_counts[:, :, 0].sum(axis=1)
    assert list(opened.rows.kept) == [0]  # "bad"
    assert len(opened.rows.kept[0]) == rare[0]
    assert opened.validation < 3300
    assert (opened.table.target[: opened.validation] == 0).sum() >= rare[1]
