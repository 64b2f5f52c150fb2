"""What a killed fit leaves, and what is read from it."""

import numpy as np
import pandas as pd
import pytest

from metabalance import checkpoint
from metabalance.atomic import replacing, sync_folder
from metabalance.data.errors import DataError
from metabalance.study import unfinished as module
from metabalance.study.load import beyond_memory, make_table
from metabalance.study.train import fit_protocol
from metabalance.study.unfinished import (
    TUNING,
    Points,
    checkpoint_name,
    identity,
    may_be_saved,
    unfinished,
    was_saved,
    where_it_stands,
    working_folder,
)


def table(shift=0.0):
    rng = np.random.default_rng(0)
    return make_table(pd.DataFrame({"x": rng.normal(size=40) + shift, "y": [0, 0, 0, 1] * 10}), "y")


def test_the_protocol_follows_data_and_options():
    one = fit_protocol(table(), "erm", {"seed": 0, "cost": None})
    assert identity(one) == identity(fit_protocol(table(), "erm", {"seed": 0, "cost": None}))
    others = [
        fit_protocol(table(1.0), "erm", {"seed": 0, "cost": None}),
        fit_protocol(table(), "focal", {"seed": 0, "cost": None}),
        fit_protocol(table(), "erm", {"seed": 1, "cost": None}),
    ]
    assert len({identity(p) for p in (one, *others)}) == 4


def test_points_are_kept_and_only_the_best_checkpoint_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)
    points = Points(tmp_path)
    for number, value in enumerate([0.5, 0.7, 0.6]):
        (tmp_path / checkpoint_name(number)).touch()
        (tmp_path / f"{checkpoint_name(number)}.phase2").touch()
        points.add(value, (f"note {number}",))
    again = Points(tmp_path)
    assert [p["value"] for p in again.finished] == [0.5, 0.7, 0.6]
    assert sorted(f.name for f in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-1.phase2"]
    (tmp_path / "points.json").write_text("[")
    with pytest.raises(DataError, match=r"remove .* to start the fit anew"):
        Points(tmp_path)
    assert Points(None).finished == []


def test_where_it_stands_in_words(tmp_path, monkeypatch):
    assert where_it_stands(tmp_path) == ""
    checkpoint.save(tmp_path / "checkpoint-0", {"counters": {"epoch": 11}})
    assert where_it_stands(tmp_path) == "going on from epoch 12"
    checkpoint.save(tmp_path / "checkpoint-0.phase2", {"counters": {"epoch": 3}})
    assert where_it_stands(tmp_path) == "going on from epoch 4 of phase 2"
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)
    Points(tmp_path).add(0.5, ())
    assert where_it_stands(tmp_path) == "going on after 1 finished value of the options"


@pytest.mark.parametrize("left", ["checkpoint-0", TUNING, "points.json", None])
def test_the_folder_stays_when_there_is_something_to_go_on_from(tmp_path, left):
    out = tmp_path / "model"

    def killed():
        with unfinished(out, {"format": 1}, {}) as folder:
            if left:
                (folder / left).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert working_folder(out).exists() is (left is not None)


def test_another_model_at_the_goal_is_not_ours(tmp_path):
    out = tmp_path / "model"
    assert not was_saved(out, {"format": 1})
    assert not may_be_saved(out, "metabalance fit")
    out.mkdir()
    assert not may_be_saved(out, "metabalance fit")
    (out / "manifest.json").write_text('{"content": {"command": "metabalance fit"}}')
    assert may_be_saved(out, "metabalance fit")
    assert not may_be_saved(out, "metabalance fit --seed 1")
    assert not was_saved(out, {"format": 1})


def test_only_large_parquet_is_beyond_memory(tmp_path):
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "small.parquet")
    assert not beyond_memory(tmp_path / "small.parquet")
    (tmp_path / "a.csv").write_text("x\n1\n")
    assert not beyond_memory(tmp_path / "a.csv")


def test_a_file_takes_the_place_of_the_old_one_whole_or_not_at_all(tmp_path):
    goal = tmp_path / "goal"
    goal.write_text("old")

    def stopped():
        with replacing(goal) as place:
            place.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [f.read_text() for f in tmp_path.iterdir()] == ["old"]
    with replacing(goal) as place:
        place.write_text("new")
    assert [f.read_text() for f in tmp_path.iterdir()] == ["new"]
    sync_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none", strict=True)
