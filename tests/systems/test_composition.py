"""Formulas read or refused, statistics by a naive twin, properties by what the periodic table says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from metabalance.data.errors import DataError
from metabalance.systems.materials import CompositionFeatures, composition_fractions, parse_formula
from metabalance.systems.materials.composition import STATISTICS, property_statistics
from metabalance.systems.materials.elements import PROPERTIES, element_table, valence
from metabalance.systems.materials.formula import SYMBOLS


@pytest.fixture(scope="module")
def table():
    pytest.importorskip("mendeleev", reason="the extra metabalance[materials] is not installed")
    return element_table()


@pytest.mark.parametrize(
    ("formula", "amounts"),
    [
        ("NaCl", {"Na": 1, "Cl": 1}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("Ag0.5Ge1Pb1.75S4", {"Ag": 0.5, "Ge": 1, "Pb": 1.75, "S": 4}),
        ("Ti.5Zr.5", {"Ti": 0.5, "Zr": 0.5}),
        ("CuSO4*5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("CO Co", {"C": 1, "O": 1, "Co": 1}),
        ("Fe0.00000616C1e-3", {"Fe": 6.16e-6, "C": 1e-3}),
    ],
)
def test_formulas_by_hand(formula, amounts):
    assert parse_formula(formula) == pytest.approx(amounts)


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("", "names no element"), ("Xx2", "no element 'Xx'"), ("fe2", "'f' at place 1"), ("Fe(O", "do not match"),
        ("Fe(O]2", "do not match"), ("FeO)2", "do not match"), ("Fe()2", "is empty"), ("(2)Fe", "follows no element"),
        ("Fe0", "amount is 0"), ("Fe2 3", "follows no element"), ("Fe3+", r"'\+' at place 4"), ("Fe1e999", "infinite"),
        ("(" * 50 + "H" + ")" * 50, "more than 20 deep"), (None, "must be text"), (3.0, "must be text"),
        ("Fe··O", "names no element"), ("<b>", "place 1"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused_in_one_sentence(formula, says):
    with pytest.raises(DataError, match=says) as caught:
        parse_formula(formula)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("FeONaCl()[]{}0123456789.e-+ ·*xé\n"), max_size=25))
def test_any_text_is_amounts_or_a_data_error(text):
    try:
        found = parse_formula(text)
    except DataError:
        return
    assert found
    assert all(np.isfinite(v) and v > 0 for v in found.values())


@given(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 99), min_size=1, max_size=6))
def test_what_is_written_is_read_back(amounts):
    text = "".join(f"{symbol}{n}" for symbol, n in amounts.items())
    assert parse_formula(text) == amounts
    assert parse_formula(f"({text})3") == {symbol: 3 * n for symbol, n in amounts.items()}


def test_shares_do_not_depend_on_how_a_formula_is_written():
    shares = composition_fractions(["Fe2O3", "Fe4O6", "O3Fe2", "(Fe0.4O0.6)7"])
    np.testing.assert_allclose(shares, np.tile(shares[0], (4, 1)))
    np.testing.assert_allclose(shares.sum(1), 1)


def test_statistics_by_a_naive_twin():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 4))
    table[2, 1] = table[4, 1] = table[:, 3] = np.nan
    shares = rng.dirichlet(np.ones(6), size=20) * (rng.uniform(size=(20, 6)) > 0.4)
    shares[:2] = [[0, 0, 1, 0, 0, 0], [0.25, 0.25, 0, 0.5, 0, 0]]
    shares[2] = [0.5, 0.5, 0, 0, 0, 0]
    shares = shares[shares.sum(1) > 0]
    shares /= shares.sum(1, keepdims=True)
    found = property_statistics(shares, table).reshape(len(shares), 4, 6)
    for row, x in enumerate(shares):
        for p in range(4):
            held = [(x[e], table[e, p]) for e in range(6) if x[e] > 0 and not np.isnan(table[e, p])]
            if not held:
                assert np.isnan(found[row, p]).all()
                continue
            total = sum(w for w, _ in held)
            mean = sum(w * v for w, v in held) / total
            values = [v for _, v in held]
            most = max(w for w, _ in held)
            mode = np.mean([v for w, v in held if w == most])
            expected = [
                mean, sum(w * abs(v - mean) for w, v in held) / total, min(values), max(values),
                max(values) - min(values), mode,
            ]  # fmt: skip
            np.testing.assert_allclose(found[row, p], expected)


def test_valence_electrons_by_hand():
    assert valence("[Xe] 4f14 5d4 6s2") == [2, 0, 4, 0]  # W
    assert valence("[Xe] 4f7 5d1 6s2") == [2, 0, 1, 7]  # Gd
    assert valence("[Ar] 3d10 4s1") == [1, 0, 10, 0]  # Cu
    assert valence("[Xe] 4f14 5d10 6s2 6p2") == [2, 2, 0, 0]  # Pb


def test_properties_are_those_of_the_periodic_table(table):
    def value(symbol, name):
        return table[SYMBOLS.index(symbol), PROPERTIES.index(name)]

    assert table.shape == (118, len(PROPERTIES))
    assert [value("Fe", n) for n in ("atomic_number", "group", "period")] == [26, 8, 4]
    assert value("Gd", "group") == 3
    assert value("O", "en_pauling") == pytest.approx(3.44)
    assert value("W", "melting_point") == pytest.approx(3695, abs=10)
    assert value("H", "ionization_energy") == pytest.approx(13.598, abs=0.01)
    assert [value("Zn", f"{o}_unfilled") for o in "spdf"] == [0, 0, 0, 0]
    assert np.isfinite(table[:94, PROPERTIES.index("covalent_radius_cordero")]).all()
    assert not table.flags.writeable


def test_features_of_a_compound(table):
    features = CompositionFeatures()
    X = features.fit_transform(["Fe2O3", "Fe", "NaCl"])
    names = list(features.get_feature_names_out())
    assert X.shape == (3, len(names)) == (3, features.n_features_out_)
    assert len(set(names)) == len(names) == len(PROPERTIES) * len(STATISTICS) + 1 + 5 + 4 + 118
    row = dict(zip(names, X[0]))
    assert row["mean atomic_number"] == pytest.approx(0.4 * 26 + 0.6 * 8)
    assert row["mode en_pauling"] == pytest.approx(3.44)
    assert row["elements"] == 2
    assert row["2-norm"] == pytest.approx(np.hypot(0.4, 0.6))
    assert row["s electrons"] == pytest.approx(2 / (0.4 * 8 + 0.6 * 6))
    assert row["share Fe"] == pytest.approx(0.4)
    assert X[1, names.index("range en_pauling")] == 0
    assert clone(CompositionFeatures(elements=False)).fit_transform(["Fe"]).shape == (1, len(names) - 118)
    with pytest.raises(DataError, match="one column of text"):
        features.transform(np.array([["Fe", "O"]]))


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mendeleev.fetch", None)
    element_table.cache_clear()
    with pytest.raises(ImportError, match=r"metabalance\[materials\]"):
        CompositionFeatures().transform(["Fe"])
    element_table.cache_clear()
