"""Encoders one by one: which column gets which, and what each keeps."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from metabalance.data.encoders import GRAMS, Dates, Empty, Encoder, Letters, Levels, Number, fit_encoder

COLUMNS = {
    Empty: pd.Series([np.nan, np.nan]),
    Number: pd.Series([1.0, 2.0, np.nan, 5.0]),
    Dates: pd.Series(pd.date_range("2021-01-01", periods=9, freq="MS")),
    Levels: pd.Series(["a", "b", None, "a"]),
    Letters: pd.Series([f"street {i}" for i in range(50)] + [None]),
}


def test_the_columns_cover_every_encoder():
    assert set(COLUMNS) == set(get_args(Encoder))


@pytest.mark.parametrize("kind", COLUMNS)
def test_each_column_finds_its_encoder_which_names_what_it_gives(kind):
    column = COLUMNS[kind]
    encoder = fit_encoder(column, "c", max_levels=40, text_dim=4)
    assert isinstance(encoder, kind)
    out = encoder.encode(column, "c")
    assert out.dtype == np.float32
    assert out.shape == (len(column), len(encoder.names("c")))
    assert np.isfinite(out).all()


def test_constants_give_nothing_unless_something_is_missing():
    assert fit_encoder(pd.Series([7, 7]), "c", 40, 4) == Empty()
    assert fit_encoder(pd.Series(["x", "x"]), "c", 40, 4) == Empty()
    assert fit_encoder(pd.Series([7, np.nan]), "c", 40, 4).names("c") == ["c is missing"]
    assert fit_encoder(pd.Series(["x", None]), "c", 40, 4).names("c") == ["c=x", "c is missing"]


def test_a_number_keeps_median_and_quartiles_or_the_range():
    assert Number.fit(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == Number(3.0, 0.5, False)
    # Most values agree: the quartiles do too, and the range takes over.
    assert Number.fit(np.array([0.0] * 9 + [4.0])) == Number(0.0, 0.5, False)


def test_dates_keep_the_cycles_that_vary():
    months = fit_encoder(COLUMNS[Dates], "c", 40, 4)
    assert isinstance(months, Dates)
    assert months.cycles == ("month", "day_of_week")
    june = months.encode(pd.Series([pd.Timestamp("2021-06-06")]), "c")[0]
    np.testing.assert_allclose(june[1:3], [0, -1], atol=1e-6)  # sine and cosine, half-way through the year


def test_letters_are_the_plain_tf_idf_and_svd_of_all_rows():
    rows = pd.Series([f"{kind} {i % 45}" for i in range(300) for kind in ("north", "south")])
    encoder = fit_encoder(rows, "c", max_levels=40, text_dim=2)
    assert isinstance(encoder, Letters)
    assert encoder.components.shape == (2, GRAMS)

    hashing = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), n_features=GRAMS, norm=None, alternate_sign=False
    )
    weighted = TfidfTransformer().fit_transform(hashing.transform(rows)).toarray()
    directions = np.linalg.svd(weighted, full_matrices=False)[2][:2]
    expected = weighted @ directions.T
    expected -= expected.mean(axis=0)
    expected /= np.sqrt((expected**2).mean())
    # Equal up to signs: compare all products of two rows.
    out = encoder.encode(rows, "c").astype(float)
    np.testing.assert_allclose(out @ out.T, expected @ expected.T, atol=1e-3)


def test_texts_alike_are_close():
    names = ["John Smith", "Jon Smith", "Xu Wei"]
    rows = pd.Series([f"{first} {last}" for first in ("John", "Jon", "Mary", "Xu", "Ali", "Eva", "Tom") for last in
                      ("Smith", "Brown", "Wei", "Kaya", "Novak", "Rossi", "Silva")])  # fmt: skip
    encoder = fit_encoder(rows, "c", max_levels=40, text_dim=16)
    a, b, c = encoder.encode(pd.Series(names), "c")
    assert np.linalg.norm(a - b) < 0.6 * np.linalg.norm(a - c)
