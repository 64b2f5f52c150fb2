"""Preprocessing: the same as known scalers and encoders where they apply, total on whatever comes later."""

import copy
import hashlib
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks
from skrub import SquashingScaler

from metabalance.data import DataError, encode_target, read_table
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.splits import make_splits

rng = np.random.default_rng(0)
N = 400


def mixed(rows=N, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "number": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(size=rows)),
        "whole": rng.integers(-5, 99, rows),
        "flag": rng.random(rows) < 0.3,
        "city": pd.Series(rng.choice(["Bonn", "Rome", "Oslo", None], rows), dtype="str"),
        "grade": pd.Categorical(rng.choice(["1", "2", "3"], rows)),
        "name": [f"{a} {b}" for a, b in zip(rng.choice(["Anna", "Berta"], rows), rng.integers(0, 99, rows))],
        "day": pd.date_range("2020-01-01", periods=rows, freq="7h"),
        "text_day": pd.date_range("2020-01-01", periods=rows, freq="D").strftime("%d.%m.%Y"),
        "void": np.full(rows, np.nan),
        "one": 1,
    })  # fmt: skip


@parametrize_with_checks([TablePreprocessor()])
def test_scikit_learn_habits(estimator, check):
    check(estimator)


# Thousandths: skrub leaves spreads below 1e-15 alone, here a column of tiny numbers is scaled like any other.
thousandths = st.integers(-(10**9), 10**9).map(lambda i: i / 1000)
floats = st.one_of(thousandths, st.sampled_from([np.inf, -np.inf, np.nan]))


@given(st.lists(floats, min_size=3, max_size=30))
@settings(deadline=None)
def test_numbers_are_those_of_skrub(values):
    X = np.array(values)[:, None]
    assume(np.isfinite(X).any() and np.ptp(X[np.isfinite(X)]) > 0)
    expected = np.nan_to_num(SquashingScaler().fit_transform(X), nan=0.0)
    preprocessor = TablePreprocessor().fit(X)
    np.testing.assert_allclose(preprocessor.transform(X)[:, :1], expected, atol=2e-6)
    assert list(preprocessor.feature_names_out_[1:]) == ["x0 is missing"] * bool(np.isnan(X).any())
    if np.isnan(X).any():
        np.testing.assert_array_equal(preprocessor.transform(X)[:, 1], np.isnan(X)[:, 0])


def test_the_unit_of_a_number_does_not_matter():
    X = rng.normal(size=(50, 1))
    expected = TablePreprocessor().fit_transform(X)
    for unit in (1e-30, 1e30):
        np.testing.assert_allclose(TablePreprocessor().fit_transform(X * unit), expected, atol=1e-6)


def test_categories_are_those_of_scikit_learn():
    frame = pd.DataFrame({"c": rng.choice(list("abcd"), N)})
    expected = OneHotEncoder(sparse_output=False).fit_transform(frame)
    np.testing.assert_array_equal(TablePreprocessor().fit_transform(frame), expected)


def test_a_pinned_table():
    frame = pd.DataFrame(
        {"x": [1.0, 2.0, 3.0, 4.0, 5.0], "c": ["a", "b", "a", None, "b"], "f": [True, False] * 2 + [True]}
    )
    preprocessor = TablePreprocessor().fit(frame)
    assert preprocessor.feature_names_out_.tolist() == ["x", "c=a", "c=b", "c is missing", "f"]
    assert preprocessor.dtypes_ == {"x": "number", "c": "category", "f": "boolean"}
    # Median 3, quartiles 2 and 4: z = (5 - 3) / 2 = 1, squashed to 1 / sqrt(1 + 1/9).
    np.testing.assert_allclose(preprocessor.transform(frame)[-1], [0.9486833, 0, 1, 0, 1], atol=1e-6)


def test_kinds_names_and_width():
    preprocessor = TablePreprocessor(text_dim=8).fit(mixed())
    assert preprocessor.dtypes_ == {
        "number": "number", "whole": "number", "flag": "boolean", "city": "category", "grade": "category",
        "name": "text", "day": "date", "text_day": "date", "void": "empty", "one": "empty",
    }  # fmt: skip
    Z = preprocessor.transform(mixed())
    assert Z.dtype == np.float32
    assert (
        Z.shape == (N, len(preprocessor.get_feature_names_out())) == (N, preprocessor.feature_names_out_.size)
    )
    assert np.isfinite(Z).all()
    names = preprocessor.feature_names_out_.tolist()
    assert len(set(names)) == len(names)
    assert [n for n in names if n.startswith("name")] == [f"name {i}" for i in range(8)]
    assert Z[:, [n.startswith("name ") for n in names]].std() == pytest.approx(1, abs=0.05)


def test_the_target_and_the_order_of_calls_change_nothing():
    frame = mixed()
    first = TablePreprocessor().fit(frame, np.arange(N) % 2).transform(frame)
    again = TablePreprocessor().fit(frame).transform(frame[frame.columns[::-1]].assign(extra=1))
    np.testing.assert_array_equal(first, again)
    rows = np.concatenate([TablePreprocessor().fit(frame).transform(frame.iloc[[i]]) for i in range(9)])
    np.testing.assert_allclose(rows, first[:9], atol=1e-6)


def test_test_rows_do_not_leak_into_the_fit():
    train = mixed(seed=1)
    a = TablePreprocessor().fit(train)
    b = copy.deepcopy(a)
    a.transform(mixed(seed=2).assign(number=1e9))
    np.testing.assert_array_equal(a.transform(train), b.transform(train))


def test_rare_levels_are_pooled_and_unknown_ones_join_them():
    frame = pd.DataFrame({"c": ["a"] * 600 + ["b"] * 390 + ["r1"] * 4 + ["r2"] * 3 + [None] * 3})
    preprocessor = TablePreprocessor().fit(frame)
    assert preprocessor.feature_names_out_.tolist() == ["c=a", "c=b", "c is rare", "c is missing"]
    later = pd.DataFrame({"c": ["b", "r2", "new", None, "  ", " a "]})
    np.testing.assert_array_equal(preprocessor.transform(later).argmax(axis=1), [1, 2, 2, 3, 3, 0])
    no_rare = TablePreprocessor().fit(frame[:900])
    assert no_rare.transform(later).sum(axis=1).tolist() == [1, 0, 0, 0, 0, 1]


def test_codes_are_the_same_level_as_numbers_and_as_text():
    train = pd.DataFrame({"c": pd.Categorical(["1", "2"] * 20), "x": range(40)})
    preprocessor = TablePreprocessor().fit(train)
    for codes in ([1, 2], [1.0, 2.0], ["1", "2 "]):
        later = pd.DataFrame({"c": codes, "x": [0, 1]})
        np.testing.assert_array_equal(preprocessor.transform(later)[:, :2], np.eye(2))


def test_numbers_truth_values_and_dates_in_text_are_recognised():
    frame = pd.DataFrame({
        "n": ["1", " 2.5", "3", None], "b": pd.Series([True, None, False, True], dtype=object),
        "d": ["1/31/2020", "2/1/2020", None, "2/2/2020"],
    })  # fmt: skip
    preprocessor = TablePreprocessor().fit(frame)
    assert preprocessor.dtypes_ == {"n": "number", "b": "boolean", "d": "date"}
    as_types = frame.assign(n=pd.to_numeric(frame["n"]), d=pd.to_datetime(frame["d"], format="%m/%d/%Y"))
    np.testing.assert_array_equal(preprocessor.transform(frame), preprocessor.transform(as_types))


def test_a_time_zone_is_taken_into_account():
    days = pd.DataFrame({"d": pd.date_range("2020-01-01", periods=50, freq="5h")})
    preprocessor = TablePreprocessor().fit(days)
    zoned = days.assign(d=days["d"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    np.testing.assert_array_equal(preprocessor.transform(zoned), preprocessor.transform(days))


def test_a_column_empty_in_training_stays_silent_later():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "v": [None] * 3})
    preprocessor = TablePreprocessor().fit(frame)
    assert preprocessor.transform(pd.DataFrame({"a": [1.0], "v": ["at last"]})).shape == (1, 1)


def test_a_column_empty_later_is_missing():
    frame = mixed()
    preprocessor = TablePreprocessor().fit(frame)
    names = preprocessor.feature_names_out_.tolist()
    Z = preprocessor.transform(
        frame.assign(number=np.nan, city=None, name=None, day=pd.NaT, flag=None, grade=None)
    )
    assert np.isfinite(Z).all()
    assert (Z[:, names.index("number is missing")] == 1).all()
    assert (Z[:, names.index("city is missing")] == 1).all()
    assert (Z[:, names.index("number")] == 0).all()


def test_an_absent_column_is_an_error_or_counts_as_missing():
    frame = mixed()
    less = frame.drop(columns=["number", "name"])
    with pytest.raises(DataError, match=r"lacks 2 column\(s\) of the training rows: 'number', 'name'"):
        TablePreprocessor().fit(frame).transform(less)
    lenient = TablePreprocessor(missing_columns="impute").fit(frame)
    expected = lenient.transform(frame.assign(number=np.nan, name=None))
    np.testing.assert_array_equal(lenient.transform(less), expected)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("number", "much", r"row 1, column 'number': 'much' is no number"),
        ("whole", pd.Timestamp(0), "column 'whole' held numbers in training, but is of type datetime64"),
        ("flag", 2, r"row 1, column 'flag': .*2.* is neither true nor false"),
        ("day", "soon", r"row 1, column 'day': 'soon' is not a date"),
        ("text_day", "2020-01-01", r"'2020-01-01' is not of the form %d.%m.%Y"),
    ],
)
def test_another_type_is_refused_by_row_and_column(column, value, message):
    with pytest.raises(DataError, match=message):
        TablePreprocessor().fit(mixed()).transform(mixed().assign(**{column: value}))


def test_cells_must_hold_one_value():
    with pytest.raises(DataError, match="'a' holds lists or the like"):
        TablePreprocessor().fit(pd.DataFrame({"a": [[1], [2]]}))


def test_a_table_that_tells_nothing_is_refused():
    with pytest.raises(DataError, match="no column tells anything"):
        TablePreprocessor().fit(pd.DataFrame({"a": [1, 1], "b": [None, None]}))


def test_matrices_and_polars_frames_give_the_same():
    polars = pytest.importorskip("polars")
    frame = mixed()[["number", "whole"]]
    expected = TablePreprocessor().fit(frame).transform(frame)
    np.testing.assert_array_equal(
        TablePreprocessor().fit(frame.to_numpy()).transform(frame.to_numpy()), expected
    )
    theirs = polars.from_pandas(frame)
    np.testing.assert_array_equal(TablePreprocessor().fit(theirs).transform(theirs), expected)


@given(
    st.lists(st.floats(width=64), min_size=2, max_size=12),
    st.lists(st.floats(width=64), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_any_floats_come_out_finite_and_bounded(train, later):
    try:
        preprocessor = TablePreprocessor().fit(np.array(train)[:, None])
    except DataError:
        return
    Z = preprocessor.transform(np.array(later)[:, None])
    assert np.isfinite(Z).all()
    assert (np.abs(Z) <= 3).all()


cells = st.one_of(st.none(), st.text(max_size=6), st.integers(-9, 9), st.floats(), st.booleans(), st.dates())


@given(st.lists(cells, min_size=2, max_size=60), st.lists(cells, min_size=1, max_size=20))
@settings(deadline=None, max_examples=150)
def test_any_cells_come_out_finite_or_are_refused(train, later):
    try:
        preprocessor = TablePreprocessor(max_levels=4, text_dim=3).fit(
            pd.DataFrame({"a": pd.Series(train, dtype=object)})
        )
        Z = preprocessor.transform(pd.DataFrame({"a": pd.Series(later, dtype=object)}))
    except DataError:
        return
    assert np.isfinite(Z).all()


@pytest.fixture(scope="module")
def fitted():
    return TablePreprocessor(text_dim=5).fit(mixed())


def test_a_round_trip_keeps_every_bit(fitted, tmp_path):
    fitted.save(tmp_path / "preprocess.safetensors")
    for copied in (
        TablePreprocessor.load(tmp_path / "preprocess.safetensors"),
        pickle.loads(pickle.dumps(fitted)),
    ):
        np.testing.assert_array_equal(copied.transform(mixed(seed=3)), fitted.transform(mixed(seed=3)))
        assert copied.get_params() == fitted.get_params()
        assert copied.dtypes_ == fitted.dtypes_
        assert copied.feature_names_out_.tolist() == fitted.feature_names_out_.tolist()
        assert copied.dumps() == fitted.dumps()
    assert not hasattr(clone(fitted), "encoders_")


def test_the_file_is_small(fitted):
    assert len(fitted.dumps()) < 150_000


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_refused(fitted, place, flip, cut):
    data = bytearray(fitted.dumps())
    at = int(place * len(data))
    if cut:
        del data[at:]
    else:
        data[at] ^= flip
    with pytest.raises(DataError, match="no usable preprocessor"):
        TablePreprocessor.loads(bytes(data))


def signed(payload):
    return hashlib.sha256(payload).digest() + payload


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": "metabalance-preprocessor"', '"format": "metabalance-preprocessoR"', "its format is"),
        ('"version": 1', '"version": 2', "needs a newer metabalance"),
        ('"kind": "number"', '"kind": "pickle"', "unknown kind of column 'pickle'"),
        ('"params"', '"parems"', "'params'"),
    ],
)
def test_a_well_formed_file_of_other_content_is_refused(fitted, old, new, message):
    payload = fitted.dumps()[32:]
    assert old.encode() in payload
    assert TablePreprocessor.loads(signed(payload)).dtypes_ == fitted.dtypes_
    with pytest.raises(DataError, match=message):
        TablePreprocessor.loads(signed(payload.replace(old.encode(), new.encode())))


def test_a_file_cannot_bring_code(fitted, tmp_path):
    with pytest.raises(DataError, match="no usable preprocessor"):
        TablePreprocessor.loads(signed(pickle.dumps(fitted)))
    with pytest.raises(DataError, match="cannot be read"):
        TablePreprocessor.load(tmp_path / "none")


def test_real_tables_of_mixed_columns(real_data):
    for path, target, header in (
        ("hmeq/hmeq.csv.xz", "BAD", True),
        ("german-credit/german.csv", "c20", False),
        ("imblearn-classics/anneal.arff.xz", "class", True),
        ("ethereum-fraud/transaction_dataset.csv.xz", "FLAG", True),
    ):
        frame = read_table(real_data / path, header=header)
        y = encode_target(frame[target]).index
        X = frame.drop(columns=target)
        split = make_splits(y, folds=3, seed=0)[0]
        preprocessor = TablePreprocessor().fit(X.iloc[split.train])
        Z = preprocessor.transform(X.iloc[split.test])
        assert np.isfinite(Z).all()
        loaded = TablePreprocessor.loads(preprocessor.dumps())
        np.testing.assert_array_equal(loaded.transform(X.iloc[split.test]), Z)
