"""How much the classes overlap, by nearest neighbours.

N3 by class: Lorena et al., "How Complex Is Your Classification Problem?", ACM Computing Surveys 2019, arXiv 1808.03591.
Kinds of rare rows: Napierała & Stefanowski, Journal of Intelligent Information Systems 2016.
"""

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_overlap"]

NEIGHBOURS = 5
QUERIES = 2_000
CORPUS_CELLS, TREE_COLUMNS = 5_000_000, 15
TOLD = 0.3  # of a class's rows with a stranger as their nearest
FEWEST = 5  # rows of the positive class; of fewer, shares mean nothing
HARD = 0.5  # of the positive class rare or outliers
SHOWN_CLASSES = 20
KINDS = (
    "outlier",
    "rare",
    "borderline",
    "borderline",
    "safe",
    "safe",
)  # by how many of five are of one's own


def check_overlap(subject: Subject, plan: Plan) -> Part:
    """MB023."""
    from sklearn.neighbors import NearestNeighbors

    part = Part(facts={"overlap": None})
    y, n = subject.y, len(subject.y)
    if n <= NEIGHBOURS:
        part.skipped["MB023"] = f"there are no more than {NEIGHBOURS} {subject.noun}s"
        return part
    rng = np.random.default_rng(plan.seed)
    width = subject.seen_width
    room = CORPUS_CELLS // max(width, 1)
    # An equal share of every class keeps who is near whom in proportion; a tree makes room for all rows.
    most = n if width <= TREE_COLUMNS else min(n, max(room, 2_000))
    corpus = np.arange(n) if most == n else np.sort(rng.choice(n, most, replace=False))
    try:
        x = subject.matrix(corpus)
    except DataError as error:
        part.skipped["MB023"] = str(error)
        return part
    search = NearestNeighbors(
        n_neighbors=NEIGHBOURS + 1, algorithm="kd_tree" if x.shape[1] <= TREE_COLUMNS else "brute"
    )
    search.fit(x)
    classes = y[corpus]
    counts = np.bincount(classes, minlength=len(subject.counts))
    looked = [c for c in np.argsort(counts, kind="stable") if counts[c] >= 2]
    each = max(QUERIES // max(len(looked), 1), 20)
    table, positive = [], None
    for c in looked:
        rows = rng.permutation(np.flatnonzero(classes == c))[:each]
        near = search.kneighbors(x[rows], return_distance=False)
        # A copy may come before the row itself, which then stands anywhere among its equals, or nowhere.
        others = np.array([line[line != row][:NEIGHBOURS] for line, row in zip(near, rows)])
        own = classes[others] == c
        entry = {
            "label": subject.target.classes[c], "looked_at": len(rows), "n3": float(1 - own[:, 0].mean()),
            "n3_by_chance": float(1 - (counts[c] - 1) / (len(classes) - 1)),
        }  # fmt: skip
        if c == subject.target.positive:
            kinds = [KINDS[k] for k in own.sum(axis=1)]
            positive = {
                kind: kinds.count(kind) / len(kinds) for kind in ("safe", "borderline", "rare", "outlier")
            }
            entry["kinds"] = positive
        table.append(entry)
    part.facts["overlap"] = {
        "rows_compared_with": len(corpus), "classes": table[:SHOWN_CLASSES],
        "mean_n3": float(np.mean([entry["n3"] for entry in table])) if table else None,
    }  # fmt: skip
    _tell(subject, table, positive, part)
    return part


def _tell(subject: Subject, table: list, positive: dict[str, float] | None, part: Part) -> None:
    label = subject.target.classes[subject.target.positive]
    mine = next((entry for entry in table if entry["label"] == label), None)
    if positive is None or mine is None or mine["looked_at"] < FEWEST:
        part.skipped["MB023"] = f"the positive class has fewer than {FEWEST} of the {subject.noun}s compared"
        return
    hard = positive["rare"] + positive["outlier"]
    if mine["n3"] < TOLD and hard <= HARD:
        return
    named = ", ".join(f"{kind} {percent(share)}" for kind, share in positive.items())
    message = (
        f"{percent(mine['n3'])} of the {subject.noun}s of class {label!r} have one of another class as their nearest "
        f"({percent(mine['n3_by_chance'])} if there were nothing to tell them apart); by their five nearest they are {named}"
    )
    part.found("MB023", "warning" if hard > HARD else "info", message, classes=(label,))
