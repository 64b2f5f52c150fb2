"""Splits: every class in every part, groups whole, time one way, and a clear refusal when that cannot be."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from metabalance.data import DataError, read_table
from metabalance.study.splits import (
    Duplicates,
    Split,
    carve_validation,
    duplicate_groups,
    duplicates_across,
    make_splits,
)


def assert_promises(y, splits, groups=None, time=None):
    """What every set of splits owes, spelled out row by row."""
    y = np.asarray(y)
    for split in splits:
        train, test = set(split.train.tolist()), set(split.test.tolist())
        assert not train & test
        assert set(y[split.train]) == set(y[split.test]) == set(y)
        assert split.train.tolist() == sorted(train)
        if groups is not None:
            assert not {groups[i] for i in train} & {groups[i] for i in test}
        if time is not None:
            assert max(time[i] for i in train) < min(time[i] for i in test)
        elif groups is None:
            assert train | test == set(range(len(y)))


labels = st.integers(2, 4).flatmap(lambda c: st.lists(st.integers(0, c - 1), min_size=20, max_size=80))


@given(y=labels, folds=st.integers(2, 5), seed=st.integers(0, 99))
@settings(deadline=None)
def test_rows_are_dealt_evenly_within_each_class(y, folds, seed):
    y = np.unique(y, return_inverse=True)[1]
    if np.bincount(y).min() < folds:
        with pytest.raises(DataError, match="too few for"):
            make_splits(y, folds=folds, seed=seed)
        return
    splits = make_splits(y, folds=folds, seed=seed)
    assert_promises(y, splits)
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(len(y)))
    table = np.array([np.bincount(y[s.test]) for s in splits])
    assert np.ptp(table, axis=0).max() <= 1
    assert np.ptp(table.sum(axis=1)) <= 1
    assert [(s.fold, s.seed) for s in splits] == [(k, seed) for k in range(folds)]


def test_a_seed_is_a_split_and_another_seed_another():
    y = np.arange(60) % 3
    first, again, other = (make_splits(y, folds=3, seed=s) for s in (0, 0, 1))
    assert all((a.test == b.test).all() for a, b in zip(first, again))
    assert any((a.test != b.test).any() for a, b in zip(first, other))


@given(y=labels, size=st.integers(1, 6), folds=st.integers(2, 4), seed=st.integers(0, 99))
@settings(deadline=None)
def test_groups_stay_whole(y, size, folds, seed):
    y = np.unique(y, return_inverse=True)[1]
    groups = [f"g{i // size}" for i in np.random.default_rng(seed).permutation(len(y))]
    holds = [len({g for g, label in zip(groups, y) if label == c}) for c in range(y.max() + 1)]
    try:
        splits = make_splits(y, folds=folds, seed=seed, groups=groups)
    except DataError:
        # It may only give up when groups are scarce.
        assert min(holds) < 2 * folds
        return
    assert_promises(y, splits, groups)
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(len(y)))


def test_what_scikit_learn_splits_badly_is_split_well():
    # Of its issue 28218: six rows, four groups, and only one good division.
    y, groups = np.array([1, 1, 0, 0, 2, 2]), np.array(list("abbccd"))
    theirs = StratifiedGroupKFold(2, shuffle=True, random_state=3).split(y, y, groups)
    assert any(len(set(y[test])) < 3 for _, test in theirs)
    for seed in range(10):
        assert_promises(y, make_splits(y, folds=2, seed=seed, groups=groups), groups)


def test_groups_are_stratified_as_well_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 150, 2000)
    y = (rng.random(2000) < 0.1 + 0.2 * (groups % 7 == 0)).astype(int)

    def unevenness(tests):
        table = np.array([np.bincount(y[test], minlength=2) for test in tests])
        return (table.std(axis=0) / table.mean(axis=0)).max()

    ours = unevenness([s.test for s in make_splits(y, folds=5, seed=0, groups=groups)])
    theirs = unevenness(
        [t for _, t in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(y, y, groups)]
    )
    assert ours <= max(theirs, 0.02)


@given(y=labels, folds=st.integers(1, 4), ties=st.integers(1, 4))
@settings(deadline=None)
def test_training_is_always_earlier(y, folds, ties):
    y = np.unique(y, return_inverse=True)[1]
    time = np.random.default_rng(0).permutation(len(y)) // ties
    try:
        splits = make_splits(y, folds=folds, seed=0, time=time)
    except DataError:
        return
    assert len(splits) == folds
    assert_promises(y, splits, time=time)


def test_time_cuts_equal_spans_and_takes_dates():
    y = np.arange(40) % 2
    time = pd.Series(pd.date_range("2020-01-01", periods=40))
    splits = make_splits(y, folds=3, seed=0, time=time)
    assert [(len(s.train), len(s.test)) for s in splits] == [(10, 10), (20, 10), (30, 10)]
    as_text = make_splits(y, folds=3, seed=0, time=time.dt.strftime("%d.%m.%Y"))
    assert all((a.test == b.test).all() for a, b in zip(splits, as_text))


def test_time_falls_back_on_the_rarest_class_when_equal_spans_lack_it():
    y = np.zeros(100, dtype=int)
    y[[1, 3, 5, 7, 99]] = 1
    splits = make_splits(y, folds=2, seed=0, time=np.arange(100))
    assert_promises(y, splits, time=np.arange(100))


def test_a_group_of_the_test_part_leaves_the_earlier_training_part():
    y, time = np.arange(40) % 2, np.arange(40)
    groups = np.arange(40) % 10 // 2
    splits = make_splits(y, folds=1, seed=0, time=time, groups=np.where(time % 10 < 4, groups, 100 + time))
    assert_promises(y, splits, np.where(time % 10 < 4, groups, 100 + time), time)
    assert len(splits[0].train) < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 5}, r"class 'rare' has 2 rows only, too few for 5 folds .* use 2 folds, merge"),
        (
            {"folds": 2, "groups": [*range(8), 8, 8]},
            "class 'rare' has rows in 1 groups only, too few for 2 folds",
        ),
        ({"folds": 2, "groups": [None] + [1] * 9}, "group is missing in 1 rows"),
        ({"folds": 2, "time": [np.nan] * 3 + [1.0] * 7}, "time is missing in 3 rows"),
        ({"folds": 2, "time": ["soon"] * 10}, "neither numbers nor dates"),
        ({"folds": 2, "time": [1, 2] * 5}, r"too few different times \(2\) for 2 folds"),
        ({"folds": 2, "time": range(10)}, "the training part of fold 1 in time has no row of class 'rare'"),
    ],
)
def test_a_refusal_names_the_class_and_the_cure(arguments, message):
    with pytest.raises(DataError, match=message):
        make_splits([0] * 8 + [1, 1], seed=0, classes=("common", "rare"), **arguments)


@pytest.mark.parametrize(
    "arguments", [{"folds": 1}, {"folds": 2, "dedupe": "group"}, {"folds": 2, "groups": [1, 2]}]
)
def test_misuse_is_a_value_error(arguments):
    with pytest.raises(ValueError, match=r"folds must|needs rows|group labels"):
        make_splits([0, 0, 1, 1], seed=0, **arguments)


@given(
    y=labels,
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["rows", "groups", "time"]),
)
@settings(deadline=None)
def test_validation_keeps_the_same_promises(y, fraction, seed, kind):
    y = np.unique(y, return_inverse=True)[1]
    train = np.flatnonzero(np.arange(len(y)) % 5 > 0)
    unit = np.random.default_rng(seed).permutation(len(y)) // 2
    options = {"rows": {}, "groups": {"groups": unit}, "time": {"time": unit}}[kind]
    try:
        fit, validation = carve_validation(train, y, fraction, seed, **options)
    except DataError:
        assert kind != "rows" or np.unique(y[train], return_counts=True)[1].min() < 2
        return
    assert sorted([*fit, *validation]) == train.tolist()
    assert set(y[fit]) == set(y[validation]) == set(y[train])
    if kind == "groups":
        assert not set(unit[fit]) & set(unit[validation])
    if kind == "time":
        assert unit[fit].max() < unit[validation].min()
    if kind == "rows":
        for c in np.unique(y[train]):
            n = int((y[train] == c).sum())
            assert (y[validation] == c).sum() == min(max(1, round(fraction * n)), n - 1)


def test_validation_meets_the_fraction_where_it_can():
    y = np.arange(400) % 2
    for options in ({}, {"groups": np.arange(400) // 4}, {"time": np.arange(400)}):
        fit, validation = carve_validation(np.arange(400), y, 0.2, seed=0, **options)
        assert len(validation) == 80
        assert len(fit) == 320


def test_validation_refuses_too_few_rows_of_a_class():
    with pytest.raises(DataError, match="class 'rare' has 2 rows in a training part, but validation needs 3"):
        carve_validation(
            np.arange(12), [0] * 10 + [1] * 2, 0.2, 0, min_per_class=3, classes=("common", "rare")
        )
    with pytest.raises(DataError, match="with groups kept apart"):
        carve_validation(np.arange(12), [0] * 10 + [1] * 2, 0.2, 0, groups=[0] * 10 + [1] * 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        carve_validation(np.arange(12), [0] * 10 + [1] * 2, 1.0, 0)


def test_duplicates_are_counted_as_loops_count_them():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 8, 60), "b": rng.choice(["x", None], 60)})
    y = rng.integers(0, 2, 60)
    splits = make_splits(y, folds=3, seed=0)
    for split, report in zip(splits, duplicates_across(frame, splits, y)):
        rows = [tuple(map(str, row)) for row in frame.itertuples(index=False)]
        again = [i for i in split.test if rows[i] in {rows[j] for j in split.train}]
        assert report.count == len(again)
        assert report.share == len(again) / len(split.test)
        for c in (0, 1):
            assert report.per_class[c] == sum(y[i] == c for i in again) / sum(y[i] == c for i in split.test)


def test_a_class_without_test_rows_has_no_share():
    report = duplicates_across(np.array([1, 1, 2]), [Split(np.array([0]), np.array([1]), 0, 0)], [0, 0, 1])[0]
    assert isinstance(report, Duplicates)
    assert report.count == 1
    assert report.per_class[0] == 1
    assert np.isnan(report.per_class[1])


def test_deduplication_leaves_none_and_respects_groups():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 40, 200)})
    y = rng.integers(0, 2, 200)
    assert duplicates_across(frame, make_splits(y, folds=2, seed=0))[0].count > 0
    splits = make_splits(y, folds=2, seed=0, dedupe="group", rows=frame)
    assert all(report.count == 0 for report in duplicates_across(frame, splits))
    merged = duplicate_groups(pd.DataFrame({"a": [1, 2, 2, 3, 4]}), groups=["p", "p", "q", "r", "r"])
    assert merged[0] == merged[1] == merged[2] != merged[3] == merged[4]


def test_real_table_with_many_duplicates(real_data):
    frame = read_table(real_data / "adbench-tabular" / "16_http.npz")
    y, X = frame["y"].to_numpy().astype(int), frame.drop(columns="y")
    plain = make_splits(y, folds=5, seed=0)
    assert duplicates_across(X, plain, y)[0].share == pytest.approx(0.743, abs=0.01)
    assert all(
        r.count == 0 for r in duplicates_across(X, make_splits(y, folds=5, seed=0, dedupe="group", rows=X))
    )


def test_real_groups(real_data):
    lesions = read_table(real_data / "ham10000-8x8" / "HAM10000_metadata.csv.xz")
    y = pd.factorize(lesions["dx"])[0]
    groups = lesions["lesion_id"].to_numpy()
    splits = make_splits(y, folds=5, seed=0, groups=groups)
    assert_promises(y, splits, groups)
    assert np.ptp([np.bincount(y[s.test]) for s in splits], axis=0).max() <= 2


def test_real_class_of_two_rows(real_data):
    ecoli = read_table(real_data / "imblearn-classics" / "ecoli.csv", header=False)
    y, classes = pd.factorize(ecoli["c7"], sort=True)
    with pytest.raises(DataError, match="class 'imL' has 2 rows only, too few for 5 folds"):
        make_splits(y, folds=5, seed=0, classes=list(classes))
    assert_promises(y, make_splits(y, folds=2, seed=0))
