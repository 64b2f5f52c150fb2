"""Kulatilleke & Samarakoon 2022: which metric to trust when positives are rare and annotators err."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import kendalltau

from metabalance.judge.label_noise import flip_labels, metric_of_table
from metabalance.study.reproduce.base import Contrast, Experiment, Published, greater
from metabalance.study.reproduce.tables import open_table

Array = NDArray[Any]

ROWS, FRAUDS = 284_807, 492
CRITERIA = {
    "F1": "f1",
    "G-mean": "g_mean",
    "MCC": "mcc",
    "balanced accuracy": "balanced_accuracy",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
}
BOTH = "F1, then G-mean"
HALF_POINT = 0.005  # of F1: what counts as equal before G-mean is asked
HYPOTHETICAL = {
    "30 % missed": (0.3, 0.0),
    "0.1 % false alarms": (0.0, 0.001),
    "30 % missed, 0.2 % false alarms": (0.3, 0.002),
}
MISS, ALARM_PER_POSITIVE = 0.2, 0.2  # on real tables: false alarms as a share of the positives
LEVELS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)  # alerts per positive


def measure(condition: str, seed: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """Each criterion's agreement with itself on true labels, and what the model that it chooses costs."""
    if condition in HYPOTHETICAL:
        true, given = hypothetical_pool(HYPOTHETICAL[condition], seed)
    else:
        true, given = real_pool(condition, seed, folder)
    return judged(true, given)


def judged(true: Sequence[Array], given: Sequence[Array]) -> dict[str, dict[str, float]]:
    """From the tables ``(2, 2)`` of a pool of classifiers, against true labels and against those given."""
    clean, noisy = ({name: _values(m, tables) for name, m in CRITERIA.items()} for tables in (true, given))
    for values in (clean, noisy):
        # G-mean below one: it orders what lies in the same half point of F1.
        values[BOTH] = np.round(values["F1"] / HALF_POINT) + values["G-mean"] / 2
    share = true[0][1].sum() / true[0].sum()
    miss_cost = 1 / np.sqrt(share)
    costs = np.array([miss_cost * t[1, 0] + t[0, 1] for t in true])
    found = {}
    for name in (BOTH, *CRITERIA):
        both = np.isfinite(clean[name]) & np.isfinite(noisy[name])
        tau = kendalltau(clean[name][both].round(12), noisy[name][both].round(12)).statistic
        chosen = int(np.where(np.isfinite(noisy[name]), noisy[name], -np.inf).argmax())
        alarms, finds = true[chosen][0, 1], true[chosen][1, 1]
        found[name] = {
            "agreement": float(tau),
            "excess_cost": float(costs[chosen] / costs.min() - 1),
            "alarms": float(alarms / finds) if finds else float("nan"),
        }
    return found


def _values(metric: str, tables: Sequence[Array]) -> Array:
    return np.array([metric_of_table(metric, table) for table in tables])


def hypothetical_pool(
    rates: tuple[float, float], seed: int, size: int = 200
) -> tuple[list[Array], list[Array]]:
    """Tables of classifiers with prescribed error rates on as many rows as the card frauds have; errors are shared."""
    rng = np.random.default_rng(seed)
    miss, false_alarm = rates
    called_true, called_false = rng.binomial(FRAUDS, 1 - miss), rng.binomial(ROWS - FRAUDS, false_alarm)
    f = 10 ** rng.uniform(-5, -1, size)
    t = ndtr(rng.uniform(0.5, 4.0, size) + ndtri(f))  # two normal classes at a distance of 0.5 to 4
    true, given = [], []
    for recall, alarm in zip(t, f):
        # Alerts among: frauds called so, frauds missed, others, others called frauds.
        kept, lost = rng.binomial(called_true, recall), rng.binomial(FRAUDS - called_true, recall)
        wrong = rng.binomial(called_false, alarm)
        rest = rng.binomial(ROWS - FRAUDS - called_false, alarm)
        true.append(_table(kept + lost, wrong + rest, FRAUDS))
        given.append(_table(kept + wrong, lost + rest, called_true + called_false))
    return true, given


def _table(hits: int, alarms: int, positives: int) -> Array:
    return np.array([[ROWS - positives - alarms, alarms], [positives - hits, hits]], dtype=np.float64)


def real_pool(condition: str, seed: int, folder: Path | None) -> tuple[list[Array], list[Array]]:
    """Tables of trained models at several alert rates, on test labels and on the same with errors."""
    scores, target = _scored(condition, seed, folder)
    share = float(target.mean())
    given, _ = flip_labels(target, (MISS, ALARM_PER_POSITIVE * share / (1 - share)), seed=seed)
    tables: tuple[list[Array], list[Array]] = ([], [])
    for s in scores:
        order = np.argsort(-s, kind="stable")
        for level in LEVELS:
            alert = np.zeros(len(s), dtype=np.int64)
            alert[order[: max(1, round(level * target.sum()))]] = 1
            for labels, out in zip((target, given), tables):
                out.append(np.bincount(2 * labels + alert, minlength=4).reshape(2, 2).astype(np.float64))
    return tables


@lru_cache(maxsize=1)
def _scored(condition: str, seed: int, folder: Path | None) -> tuple[list[Array], Array]:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    X, y = open_table(condition, EXPERIMENT.needs.get(condition), folder)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")),
        DecisionTreeClassifier(max_depth=3, random_state=seed),
        DecisionTreeClassifier(max_depth=8, min_samples_leaf=5, random_state=seed),
        GaussianNB(),
        RandomForestClassifier(60, min_samples_leaf=3, random_state=seed),
        HistGradientBoostingClassifier(max_iter=60, random_state=seed),
    ]
    return [m.fit(X_train, y_train).predict_proba(X_test)[:, 1] for m in models], y_test


FIRST = "i. F1 keeps the order of models best, on the hypothetical classifiers"
SECOND = "ii. and on trained ones"
THIRD = "iii. G-mean keeps it second best"
FOURTH = "iv. F1, then G-mean chooses cheaper models than G-mean or balanced accuracy"
FIFTH = "v. and cheaper ones than F1 alone or MCC"
TRAINED = ("mammography", "thyroid", "digits")
REAL = (
    "seven models on half of the rows, each at eight alert rates; a fifth of the other half's positives called "
    "negative, and as many negatives as a fifth of the positives called positive"
)


def steadier(name: str, others: tuple[str, ...], conditions: tuple[str, ...], part: str) -> list[Contrast]:
    """The order by one criterion agrees with the true one better than that by others, under each condition."""
    return [
        Contrast(f"{name} > {other}, {c}", "agreement", ((c, name, 1.0), (c, other, -1.0)), part=part)
        for c in conditions
        for other in others
    ]


def cheaper(other: str, part: str) -> Contrast:
    """The model chosen by F1, then G-mean costs less than the one that another criterion chooses."""
    return greater(f"cheaper than by {other}", other, BOTH, "excess_cost", part=part)


EXPERIMENT = Experiment(
    name="noisy-metrics",
    paper="noisy_metrics",
    statement="Where positives are rare and labels wrong at times, judge by F1 first and by G-mean second, in that order.",
    published=Published(
        "None could be read: the body of the paper was not at hand.",
        "A hypothetical classifier on a synthetic distribution like the public card frauds, with annotation errors.",
        "unconfirmed",
        "the abstract",
    ),
    arms={BOTH: "F1 to half a point, G-mean within it"} | dict.fromkeys(CRITERIA, "the metric alone"),
    conditions={
        name: f"200 hypothetical classifiers on {ROWS:,} rows with {FRAUDS} positives; annotators: {name}"
        for name in HYPOTHETICAL
    }
    | {
        "mammography": f"mammography, 11,183 rows with 260 positives; {REAL}",
        "thyroid": f"thyroid, 3,772 rows with 93 positives; {REAL}",
    },
    measure=measure,
    contrasts=(
        *steadier("F1", ("G-mean", "MCC", "balanced accuracy"), tuple(HYPOTHETICAL), FIRST),
        *steadier("F1", ("G-mean", "MCC", "balanced accuracy"), TRAINED, SECOND),
        *steadier("G-mean", ("MCC", "balanced accuracy"), tuple(HYPOTHETICAL), THIRD),
        *(cheaper(name, FOURTH) for name in ("G-mean", "balanced accuracy")),
        *(cheaper(name, FIFTH) for name in ("F1", "MCC")),
    ),
    shown=("agreement", "excess_cost", "alarms"),
    needs={
        "mammography": "imblearn-classics/mammography.csv.xz",
        "thyroid": "adbench-tabular/38_thyroid.npz",
    },
    fallback={"digits": f"digits, the eights against all others, 1,797 rows with 174 positives; {REAL}"},
    seeds=20,
    notes=(
        "Agreement is Kendall's tau between a criterion's order of the classifiers on true labels and on those given.",
        "A criterion can be steady and useless: the cost, on true labels, of the model that it chooses says which.",
        "A miss costs as much as 1/sqrt(share of positives) false alarms, half-way (in ratio) between what accuracy "
        "and what balanced accuracy stand for.",
        "In expectation, errors that are independent of the scores cannot change an order by Matthews correlation, "
        "balanced accuracy or precision; what they lose here is chance.",
    ),
)
