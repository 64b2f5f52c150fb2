"""Checks: each finding is found where it is planted, and nowhere else."""

import uuid

import numpy as np
import pandas as pd
import pytest

from metabalance.data import DataError, Finding, apply_findings, check_table, encode_target, row_hashes

N = 200


def clean(seed=0, rows=N):
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 5 == 0
    frame = pd.DataFrame({
        "a": rng.normal(size=rows),
        "b": rng.integers(0, 9, rows),
        "c": rng.choice(["red", "green", "blue"], rows),
        "y": y,
    })  # fmt: skip
    return frame, encode_target(frame["y"])


def codes(frame, target, **options):
    return {finding.code: finding for finding in check_table(frame, "y", target, **options)}


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_table_has_no_findings(seed):
    assert codes(*clean(seed)) == {}


rng = np.random.default_rng(7)
Y = clean()[0]["y"].to_numpy()


@pytest.mark.parametrize(
    ("column", "code", "action"),
    [
        (np.full(N, np.nan), "MB001", "drop"),
        ([None] * N, "MB001", "drop"),
        (np.full(N, 3.0), "MB002", "drop"),
        (["same"] * N, "MB002", "drop"),
        (np.where(np.arange(N) == 5, np.inf, rng.normal(size=N)), "MB004", "stop"),
        (np.arange(N) + 1000, "MB005", "drop"),
        (rng.permutation(N), "MB005", "drop"),
        (np.sort(rng.choice(10**6, N, replace=False))[::-1], "MB005", "drop"),
        ([str(uuid.UUID(int=i << 64)) for i in range(N)], "MB005", "drop"),
        ([f"CUST-{i:05d}" for i in range(N)], "MB005", "drop"),
        (Y + 0.0, "MB006", "keep"),
        (np.where(Y, 0.0, 1.0) * 9 + rng.random(N), "MB006", "keep"),
        (np.where(Y, "paid", "late"), "MB006", "keep"),
        (np.where(Y, np.nan, rng.normal(size=N)), "MB006", "keep"),
        (
            [" ".join(w) for w in rng.choice(["oak", "elm", "ash", "fir", "yew", "box", "bay"], (N, 4))],
            "MB010",
            "keep",
        ),
        (rng.choice(["1", "2", "3", "x"], N), "MB011", "keep"),
    ],
)
def test_a_planted_fault_is_found_alone(column, code, action):
    frame, target = clean()
    found = codes(frame.assign(planted=column), target)
    assert set(found) == {code}
    assert found[code].columns == ("planted",)
    assert found[code].action == action
    assert "'planted'" in found[code].message


@pytest.mark.parametrize(
    "column",
    [
        rng.permutation(10**6)[:N],  # different amounts, in no order
        np.cumsum(rng.random(N)),  # rising, but measured
        [f"{d}/{m}/1998" for m in range(1, 11) for d in range(1, 21)],  # a different day in every row
        np.where(Y, rng.normal(3, 1, N), rng.normal(0, 1, N)),  # informative, no more
    ],
)
def test_a_fair_column_is_left_alone(column):
    found = codes(*((frame := clean()[0]).assign(fair=column), encode_target(frame["y"])))
    assert not {"MB005", "MB006"} & set(found)


def test_groups_and_times_are_no_features():
    frame, target = clean()
    frame = frame.assign(patient=[f"P{i}" for i in range(N)], day=np.arange(N))
    assert set(codes(frame, target)) == {"MB005"}
    assert codes(frame, target, groups="patient", time="day") == {}


def test_a_leak_of_several_classes_fills_one_interval_each():
    y = np.repeat([0, 1, 2], 50)
    frame = pd.DataFrame({"noise": rng.normal(size=150), "leak": (y * 7 + 3) % 11 + rng.random(150), "y": y})
    assert codes(frame, encode_target(frame["y"]))["MB006"].columns == ("leak",)
    frame.loc[0, "leak"] = frame.loc[149, "leak"]  # one tie between two classes
    assert "MB006" not in codes(frame, encode_target(frame["y"]))


def test_in_a_few_rows_a_perfect_column_is_luck():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 0, 1, 1]})
    assert codes(frame, encode_target(frame["y"])) == {}


def test_a_leak_is_found_among_many_rows():
    frame, target = clean(rows=60_000)
    frame["leak"] = frame["y"] + 0.1 * frame["a"].rank(pct=True)
    assert codes(frame, target)["MB006"].columns == ("leak",)


def test_equal_rows_are_counted_within_and_across_classes():
    frame = pd.DataFrame(
        {"a": [1, 1, 2, 2, 3, 4], "b": [0.0, -0.0, 5, 5, np.nan, 6], "y": [0, 0, 0, 1, 1, 1]}
    )
    found = codes(frame, encode_target(frame["y"]))
    assert found["MB007"].message.startswith("1 of 6 rows")
    assert found["MB008"].message.startswith("2 of 6 rows")


def test_equal_rows_have_equal_hashes_and_others_do_not():
    frame = pd.DataFrame({"a": [0.0, -0.0, np.nan, np.nan, 1.0], "b": ["x", "x", None, None, "x"]})
    assert pd.factorize(row_hashes(frame))[0].tolist() == [0, 0, 1, 1, 2]


def test_nothing_left_is_an_error_that_keeping_settles():
    frame = pd.DataFrame({"id": np.arange(40), "k": 1, "y": np.arange(40) % 2})
    findings = check_table(frame, "y", encode_target(frame["y"]))
    assert [f.code for f in findings] == ["MB002", "MB003", "MB005"]
    with pytest.raises(DataError, match="no feature column is left"):
        apply_findings(frame, findings)
    assert list(apply_findings(frame, findings, keep=["id"]).columns) == ["id", "y"]


def test_findings_are_applied_unless_overruled():
    frame, target = clean()
    frame = frame.assign(id=np.arange(N), k=1, z=np.r_[np.inf, frame["a"][1:]])
    findings = check_table(frame, "y", target)
    with pytest.raises(DataError, match=r"infinite numbers in 'z' \(1\)"):
        apply_findings(frame, findings)
    assert list(apply_findings(frame, findings, drop=["z"]).columns) == ["a", "b", "c", "y"]
    assert list(apply_findings(frame, findings, keep=["id"], drop=["z", "a"]).columns) == [
        "b",
        "c",
        "y",
        "id",
    ]
    with pytest.raises(DataError, match="no column 'w' to keep or drop"):
        apply_findings(frame, findings, drop=["w"])
    assert findings[0] == Finding(**vars(findings[0]))


@pytest.mark.slow
def test_ten_thousand_columns_are_checked_too():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 10_000))).rename(columns=str)
    frame["y"] = np.arange(200) % 4 == 0
    assert set(codes(frame, encode_target(frame["y"]))) == {"MB009"}


def test_real_tables(real_data):
    from metabalance.data import read_table

    frame = read_table(real_data / "credit-default-uci" / "UCI_Credit_Card.csv.xz")
    target = encode_target(frame["default.payment.next.month"])
    found = {f.code: f for f in check_table(frame, "default.payment.next.month", target)}
    assert found["MB005"].columns == ("ID",)
    assert set(found) == {"MB005", "MB007", "MB008"}
