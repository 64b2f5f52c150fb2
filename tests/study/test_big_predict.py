import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.parts import BLOCK
from metabalance.study import predict_parts as module
from metabalance.study.load import make_table
from metabalance.study.train import train_table

ROWS = 2 * BLOCK + 5000


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(done, *said):
    assert done.exit_code == 2, done.output
    assert all(part in done.output for part in said), done.output


def made(rows, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"a": rng.normal(size=rows), "b": rng.integers(0, 9, rows), "c": rng.choice(["u", "v"], rows)}
    )
    frame.loc[frame["b"] == 8, "a"] = np.nan
    frame["y"] = (rng.random(rows) < 0.1 + 0.3 * (frame["a"] > 1)).astype(int)
    return frame


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "model"
    table = make_table(made(1000), "y")
    train_table(table, "erm", network={"epochs": 2}).model.save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "data"
    frame = made(ROWS, seed=1)
    for c, part in frame.groupby("c"):
        (folder / f"c={c}").mkdir(parents=True)
        part.drop(columns="c").to_parquet(folder / f"c={c}" / "0.parquet", row_group_size=30_000, index=False)
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "PART", BLOCK)


def test_parts_hold_the_scores_of_the_table_in_memory_to_the_bit(model, data, tmp_path):
    done = run("predict", model, data, "--out", tmp_path / "scored")
    assert done.exit_code == 0, done.output
    assert f"{ROWS:,} rows scored" in done.output
    assert sorted(f.name for f in (tmp_path / "scored").iterdir()) == [
        "_SUCCESS", "_manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet",
    ]  # fmt: skip
    assert run("predict", model, data, "--out", tmp_path / "one.parquet").exit_code == 0
    parts, whole = pd.read_parquet(tmp_path / "scored"), pd.read_parquet(tmp_path / "one.parquet")
    for name in ("probability_0", "probability_1", "decision"):
        np.testing.assert_array_equal(parts[name].to_numpy(), whole[name].to_numpy())
    assert parts["c"].tolist() == whole["c"].tolist()
    share = (parts["decision"] == 1).mean()
    assert f"{share:.2%} decided" in done.output


def test_a_killed_run_goes_on_with_the_parts_that_are_there(model, data, tmp_path, monkeypatch):
    out = tmp_path / "scored"
    write, written = module._write, []

    def dies(path, tables):
        if len(written) == 1:
            (out / ".part-00001.parquet.1.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, tables)

    monkeypatch.setattr(module, "_write", dies)
    assert run("predict", model, data, "--out", out).exit_code != 0
    assert not (out / "_SUCCESS").exists()
    before = (out / "part-00000.parquet").stat().st_mtime_ns
    monkeypatch.setattr(module, "_write", write)
    done = run("predict", model, data, "--out", out)
    assert done.exit_code == 0, done.output
    assert "1 parts were there already" in done.output
    assert (out / "_SUCCESS").exists()
    assert (out / "part-00000.parquet").stat().st_mtime_ns == before
    assert not list(out.glob(".*"))
    fresh = tmp_path / "fresh"
    assert run("predict", model, data, "--out", fresh).exit_code == 0
    for part in sorted(fresh.glob("part*")):
        assert part.read_bytes() == (out / part.name).read_bytes()
    # A part cut short by a full disk of some sort is written anew.
    (out / "part-00001.parquet").write_bytes((fresh / "part-00001.parquet").read_bytes()[:1000])
    assert run("predict", model, data, "--out", out).exit_code == 0
    assert (out / "part-00001.parquet").read_bytes() == (fresh / "part-00001.parquet").read_bytes()


def test_what_changed_since_is_said(model, tmp_path):
    data, out = tmp_path / "data", tmp_path / "scored"
    data.mkdir()
    for i in range(2):
        made(500, seed=i).to_parquet(data / f"{i}.parquet", index=False)
    assert run("predict", model, data, "--out", out).exit_code == 0
    refused(run("predict", model, data, "--out", out, "--prior", "0.5"), "another prior")
    refused(run("predict", model, data, "--out", out, "--prefix", "n_"), "names of the added columns")
    made(500, seed=7).to_parquet(data / "1.parquet", index=False)
    made(500, seed=8).to_parquet(data / "2.parquet", index=False)
    refused(run("predict", model, data, "--out", out), "another data: changed 1.parquet; new 2.parquet")
    other = tmp_path / "other"
    train_table(make_table(made(1000, seed=3), "y"), "erm", network={"epochs": 1}).model.save(other)
    refused(run("predict", other, data, "--out", out), "another model")
    assert run("predict", other, data, "--out", out, "--overwrite").exit_code == 0
    assert json.loads((out / "_manifest.json").read_text())["rows"] == 1500
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    refused(run("predict", model, data, "--out", tmp_path / "mine"), "not empty")
    refused(run("predict", model, data, "--out", tmp_path / "mine", "--overwrite"), "holds no scores")
    assert (tmp_path / "mine" / "letter.txt").exists()


def test_types_are_those_of_the_data_whatever_a_part_holds(model, tmp_path):
    frame = made(BLOCK + 10, seed=2)
    frame["b"] = frame["b"].astype("Int64").mask(np.arange(len(frame)) == 0)
    frame.to_parquet(tmp_path / "d.parquet", index=False)
    assert run("predict", model, tmp_path / "d.parquet", "--out", tmp_path / "s").exit_code == 0
    schemas = [pq.read_schema(f) for f in sorted((tmp_path / "s").glob("part*"))]
    assert schemas[0].equals(schemas[1])
    assert pq.read_table(tmp_path / "s").num_rows == len(frame)


def test_scored_parts_are_judged_as_one_file_is(model, data, tmp_path):
    run("predict", model, data, "--out", tmp_path / "scored")
    frame = pd.read_parquet(tmp_path / "scored")
    frame.to_parquet(tmp_path / "one.parquet", index=False)
    results = []
    for path in (tmp_path / "scored", tmp_path / "scored" / "part-*.parquet", tmp_path / "one.parquet"):
        done = run("judge", path, "--target", "y", "--stream", "--json", tmp_path / f"{len(results)}.json")
        assert done.exit_code == 0, done.output
        results.append(json.loads((tmp_path / f"{len(results)}.json").read_text()))
    assert results[0]["counts"] == results[2]["counts"] == frame["y"].value_counts().sort_index().tolist()
    for other in results[1:]:
        for a, b in zip(results[0]["metrics"], other["metrics"]):
            assert a["value"] == b["value"] or a["value"] == pytest.approx(b["value"], rel=1e-12), a["name"]
    refused(run("judge", tmp_path / "0.json", "--target", "y", "--stream"), "--stream reads Parquet")


def test_larger_than_memory_asks_for_a_folder(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr("metabalance.study.load.MEMORY_SHARE", 1e-9)
    refused(run("predict", model, data, "--out", tmp_path / "s.parquet"), "let --out be a folder")
