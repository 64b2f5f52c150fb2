"""The audit's figures: each beside a naive twin, scipy, or a value worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, fisher_exact

from metabalance.study.audit.classes import check_classes, imbalance, percent
from metabalance.study.audit.groups import check_groups, group_like
from metabalance.study.audit.intake import table_subject
from metabalance.study.audit.labels import check_labels, confident_joint
from metabalance.study.audit.missing import check_missing
from metabalance.study.audit.overlap import check_overlap
from metabalance.study.audit.planning import check_folds, check_metric, check_needs
from metabalance.study.audit.quick_model import QuickModel, check_signal, fit_quick_model, spread_sample
from metabalance.study.audit.subject import Plan, Subject
from metabalance.study.audit.times import check_time, drift
from metabalance.study.audit.twins import check_twins, near_pairs
from metabalance.study.audit.words import sentences


def table(rows=300, shift=2.0, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) % 5 == 0).astype(int)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)) + shift * y[:, None], columns=list("abcd"))
    return frame.assign(y=y)


# ------------------------------------------------------------------------------------------ imbalance


@pytest.mark.parametrize("counts", [[5, 5], [900, 100], [50, 30, 15, 5], [1, 1, 1, 997], [3, 200, 17, 17]])
def test_imbalance_beside_its_definitions(counts):
    n, told = np.array(counts, dtype=float), imbalance(counts)
    differences = sum(abs(a - b) for a in n for b in n) / (2 * len(n) ** 2 * n.mean())
    assert told["gini"] == pytest.approx(differences)
    assert told["ratio"] == n.max() / n.min()
    held = next(k for k in range(1, len(n) + 1) if np.sort(n)[::-1][:k].sum() >= 0.8 * n.sum())
    assert told["classes_for_80_percent"] == held
    assert told["pareto_share"] == held / len(n)
    assert told["pareto_ratio"] == pytest.approx((len(n) - held) / held)
    assert told["effective_classes"] == pytest.approx(np.prod((n / n.sum()) ** (-n / n.sum())))


def test_balanced_classes_in_figures():
    told = imbalance([10] * 10)
    assert told["gini"] == pytest.approx(0)
    assert told["normalised_entropy"] == pytest.approx(1)
    assert told["pareto_share"] == 0.8
    assert (percent(0.0), percent(0.5), percent(0.0001)) == ("0 %", "50.0 %", "0.010 %")
    assert check_classes(table_subject(table(), "y"), Plan()).facts["classes"][1]["rows"] == 60


# ------------------------------------------------------------------------------------------ sampling


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=6), st.integers(30, 400))
def test_a_sample_is_spread_and_its_weights_restore_the_shares(counts, most):
    y = np.repeat(np.arange(len(counts)), counts)
    rows, weight = spread_sample(y, most, seed=0)
    assert len(rows) <= max(most, 0)
    assert len(set(rows)) == len(rows)
    assert (np.bincount(y[rows], minlength=len(counts)) > 0).all()
    assert np.bincount(y[rows], weight) / weight.sum() == pytest.approx(np.array(counts) / sum(counts))
    if len(y) <= most:
        assert len(rows) == len(y)


# ------------------------------------------------------------------------------------- near duplicates


def test_near_pairs_beside_all_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    x[200:260] = x[:60] + rng.normal(size=(60, 6)).astype(np.float32) * 0.003
    keys = np.zeros(400, dtype=np.uint64)
    keys[200:210] = 1  # what must be equal is not
    close = np.sqrt(((x[:, None] - x[None]) ** 2).mean(axis=2)) <= 0.01
    wanted = {(i, j) for i, j in np.argwhere(close) if i < j and keys[i] == keys[j]}
    assert len(wanted) == 50
    told = set(map(tuple, near_pairs(x, keys, 0.01).tolist()))
    assert told <= wanted  # what is found is measured
    assert len(told) >= 0.95 * len(wanted)  # hashing misses a few


def test_near_pairs_without_numbers_are_equal_keys():
    assert near_pairs(np.empty((4, 0)), np.array([7, 8, 7, 9], dtype=np.uint64), 0.0).tolist() == [[0, 2]]
    assert len(near_pairs(np.empty((2, 0)), np.array([7, 8], dtype=np.uint64), 0.0)) == 0


# ------------------------------------------------------------------------------------------- labels


def naive_joint(y, p):
    """Northcutt et al. 2021, section 3.1, in loops."""
    size = p.shape[1]
    t = [np.mean([p[i][c] for i in range(len(y)) if y[i] == c]) for c in range(size)]
    counts = np.zeros((size, size))
    suggested = []
    for i in range(len(y)):
        over = [c for c in range(size) if p[i][c] >= t[c]]
        suggested.append(max(over, key=lambda c: p[i][c]) if over else -1)
        if over:
            counts[y[i], suggested[-1]] += 1
    scaled = [
        counts[c] / counts[c].sum() * np.sum(y == c) if counts[c].sum() else np.eye(size)[c] * np.sum(y == c)
        for c in range(size)
    ]
    return np.array(scaled), np.array(suggested), np.array(t)


@pytest.mark.parametrize("seed", range(5))
def test_the_confident_joint_beside_its_definition(seed):
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, 2, rng.integers(0, 3, 60)]
    p = rng.dirichlet([0.5] * 3, 63)
    joint, suggested, thresholds = confident_joint(y, p)
    for ours, theirs in zip((joint, suggested, thresholds), naive_joint(y, p)):
        np.testing.assert_allclose(ours, theirs)
    assert joint.sum() == pytest.approx(63)
    twice = confident_joint(np.r_[y, y[:9]], np.r_[p, p[:9]])[0]
    np.testing.assert_allclose(confident_joint(y, p, np.r_[np.full(9, 2.0), np.ones(54)])[0], twice)


def test_flipped_labels_are_found_where_classes_are_apart():
    frame = table(rows=1000, shift=3.0)
    flipped = np.random.default_rng(1).permutation(1000)[:20]
    frame.loc[flipped, "y"] = 1 - frame.loc[flipped, "y"]
    subject = table_subject(frame, "y")
    part = check_labels(subject, Plan(), fit_quick_model(subject, Plan()))
    facts, (finding,) = part.facts["label_errors"], part.findings
    clear = [line["row_number"] - 1 for line in facts["worst"] if line["clear"]]
    assert finding.severity == "warning"
    assert len(clear) >= 6
    assert np.isin(clear, flipped).mean() > 0.9
    assert set(finding.rows) == set(clear)
    assert facts["estimated_share"] == pytest.approx(0.02, abs=0.01)


def test_what_overlaps_is_not_called_wrong():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=1500), "b": rng.normal(size=1500)})
    frame["y"] = (rng.random(1500) < 1 / (1 + np.exp(-frame["a"] + 1.5))).astype(int)
    subject = table_subject(frame, "y")
    part = check_labels(subject, Plan(), fit_quick_model(subject, Plan()))
    assert part.facts["label_errors"]["suspect"] > 100
    assert part.facts["label_errors"]["clear"] == 0
    assert part.findings[0].severity == "info"
    assert "hard case" in part.findings[0].message


def test_a_quick_model_is_out_of_fold_and_keeps_groups_whole():
    frame = table(rows=400, shift=0.0)
    frame["owner"] = np.arange(400) // 5  # each of one class: with the owner known, the class is
    frame["y"] = ((np.arange(400) // 5) % 5 == 0).astype(int)
    frame["trait"] = np.random.default_rng(0).normal(size=80)[frame["owner"]]
    apart = table_subject(frame, "y", groups="owner")
    model = fit_quick_model(apart, Plan())
    assert isinstance(model, QuickModel)
    assert all(len(set(model.fold[apart.groups == g])) == 1 for g in range(80))
    area = check_signal(apart, Plan(), model).facts["quick_model"]["roc_auc"]
    assert area["value"] < 0.75
    together = check_signal(
        s := table_subject(frame.drop(columns="owner"), "y"), Plan(), fit_quick_model(s, Plan())
    )
    assert together.facts["quick_model"]["roc_auc"]["value"] > 0.9


# ------------------------------------------------------------------------------------------- overlap


def test_overlap_beside_all_distances():
    subject = table_subject(table(rows=200, shift=0.7), "y")
    facts = check_overlap(subject, Plan()).facts["overlap"]
    x = subject.matrix(np.arange(200)).astype(float)
    distance = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    near = subject.y[np.argsort(distance, axis=1)[:, :5]]
    for entry, c in zip(facts["classes"], (1, 0)):
        assert entry["label"] == c
        assert entry["n3"] == pytest.approx(np.mean(near[subject.y == c, 0] != c))
    own = (near[subject.y == 1] == 1).sum(axis=1)
    kinds = facts["classes"][0]["kinds"]
    assert kinds["safe"] == pytest.approx(np.mean(own >= 4))
    assert kinds["borderline"] == pytest.approx(np.mean((own == 2) | (own == 3)))
    assert kinds["outlier"] == pytest.approx(np.mean(own == 0))


def test_classes_that_overlap_wholly_and_not_at_all():
    apart = check_overlap(table_subject(table(shift=20.0), "y"), Plan())
    assert apart.facts["overlap"]["mean_n3"] == 0
    assert apart.findings == []
    mixed = check_overlap(table_subject(table(shift=0.0), "y"), Plan())
    assert mixed.findings[0].severity == "warning"
    entry = mixed.facts["overlap"]["classes"][0]
    assert entry["n3"] == pytest.approx(entry["n3_by_chance"], abs=0.15)


# ---------------------------------------------------------------------------------- missing and times


def test_missing_values_are_tested_as_scipy_does():
    frame = table(rows=500)
    rng = np.random.default_rng(0)
    frame["often"] = np.where(rng.random(500) < 0.3, np.nan, 1.0 + rng.random(500))
    frame["seldom"] = np.where(np.arange(500) < 4, np.nan, rng.random(500))
    lines = {
        line["column"]: line for line in check_missing(table_subject(frame, "y"), Plan()).facts["missing"]
    }
    for name, test in (
        ("often", lambda t: chi2_contingency(t, correction=False)[1]),
        ("seldom", lambda t: fisher_exact(t)[1]),
    ):
        counts = pd.crosstab(frame[name].isna(), frame["y"]).to_numpy()
        assert lines[name]["p"] == pytest.approx(test(counts))
    assert lines["often"]["p_holm"] >= lines["often"]["p"]


def test_of_many_classes_the_one_that_differs_is_named():
    y = np.repeat(["a", "b", "c", "d"], [400, 300, 200, 3])
    gone = np.r_[np.zeros(400), np.ones(150), np.zeros(350), [1, 0, 0]].astype(bool)
    frame = pd.DataFrame({"x": np.where(gone, np.nan, 1.0), "z": np.arange(903) % 7, "y": y})
    (finding,) = check_missing(table_subject(frame, "y"), Plan()).findings
    assert "50.0 % of 'b'" in finding.message


def test_drift_is_tested_as_scipy_does():
    y = np.random.default_rng(0).integers(0, 2, 1000)
    told = drift(y, np.arange(1000), 2)
    counts = np.array([np.bincount(part, minlength=2) for part in np.split(y, 10)])
    assert told[1]["p"] == pytest.approx(chi2_contingency(counts, correction=False)[1])
    assert told[1]["shares"] == pytest.approx(counts[:, 1] / 100)
    assert not told[1]["material"]


@pytest.mark.parametrize("seed", range(10))
def test_chance_is_no_drift(seed):
    y = (np.random.default_rng(seed).random(5000) < 0.02).astype(int)
    assert not drift(y, np.arange(5000), 2)[1]["material"]


def test_rows_of_one_moment_stay_together():
    told = drift(np.r_[np.zeros(500, dtype=int), np.ones(500, dtype=int)], np.zeros(1000), 2)
    assert told[1]["shares"] == [0.5]
    assert not told[1]["material"]


# ---------------------------------------------------------------------------------------- the rest


def test_each_check_stands_alone():
    subject = table_subject(table(rows=100), "y", groups=np.arange(100) // 2, time=np.arange(100))
    assert check_folds(subject, Plan(folds=2)).facts["plan"]["folds"] == 2
    assert check_metric(subject, Plan()).facts["metric"]["advice"][0]["chance"] == pytest.approx(0.2)
    assert check_needs(subject, Plan(), "no model").facts["positives"]["assumed"]
    assert check_time(subject, Plan()).facts["time"]["moments"] == 100
    assert check_groups(subject, Plan()).facts["groups"]["groups"] == 50
    assert check_twins(subject, Plan()).facts["near_duplicates"]["sets"] == 0
    assert group_like(subject) == ()


def test_rows_are_numbered_as_they_were_given():
    frame = table(rows=50)
    frame["y"] = frame["y"].astype(float)
    frame.loc[0, "y"] = np.nan
    subject = table_subject(frame, "y")
    assert isinstance(subject, Subject)
    assert subject.named([0, 1]) == "2, 3"


def test_the_summary_needs_no_model():
    source = {"kind": "table", "rows": 1000}
    facts = {"source": source, **check_classes(table_subject(table(rows=1000), "y"), Plan()).facts}
    assert list(sentences(facts)) == ["Class 1 has 200 of 1,000 rows (20.0 %): 1 to 4."]
